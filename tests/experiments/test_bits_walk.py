"""A walk of ADC bits on `digits`, in software and on every side: results, page and table."""

import json

import jsonschema
import pandas as pd
import pytest
from rich.console import Console

from flow.callbacks import no_progress
from flow.cli.printing.bits import print_bits
from flow.cli.reference import SCHEMA
from flow.errors import UserError
from flow.experiments import bits_walk, hardware_walk
from flow.experiments.settings import SoftwareWalkSettings
from flow.walks.settings import HardwareWalkSettings
from flow.walks.summaries import BitsWalkSummary, WalkSummary

SETTINGS = {"model": "tfc-w2a2", "dataset": "digits", "images": 500, "adc": "1,3,8"}
SITES = ("fc0.acc", "fc3.acc")


@pytest.fixture(scope="module")
def build(tmp_path_factory, results_folder):
    return results_folder(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def hardware(build):
    settings = HardwareWalkSettings(**SETTINGS, sites=SITES, hw_images=6, cycles=256, build=build)
    return bits_walk.walk_hw(settings, no_progress, "noisewalk walk-hw")


@pytest.fixture(scope="module")
def software(build):
    settings = SoftwareWalkSettings(**SETTINGS, sites=(*SITES, "global"), build=build)
    return bits_walk.walk(settings, no_progress)


def test_hardware_agrees_with_software(hardware):
    assert hardware.verdict == "agree" and hardware.rtl.bit_mismatches == 0
    assert hardware.golden.mismatches == 0 and not hardware.failures
    for site in hardware:
        entry = hardware[site]
        assert [point.bits for point in entry.points] == [1, 3, 8]
        assert entry.rtl_images == 6 and entry.rtl_runs == 18
        assert entry.fewest["golden"] == entry.fewest["software"]
    # one bit cannot tell ten classes apart
    assert hardware["fc3.acc"].points[0].golden.value < 0.5 < hardware.clean["golden"].value


def test_software_alone_finds_the_same(software, hardware):
    assert software.verdict is None and list(software) == [*SITES, "global"]
    for site in SITES:
        for ours, theirs in zip(software[site].points, hardware[site].points, strict=True):
            assert ours.golden is None
            assert ours.software.value == pytest.approx(theirs.software.value, abs=0.02)
    assert software["global"].range is None


def test_results_are_written_and_read(software, hardware, build):
    for summary, folder in (
        (hardware, build / "walk-hw" / "tfc-w2a2-digits-adc"),
        (software, build / "walk" / "tfc-w2a2-digits-adc"),
    ):
        told = json.loads((folder / "summary.json").read_text())
        jsonschema.validate(told, json.loads(SCHEMA.read_text()))
        read = WalkSummary.read(folder / "summary.json")
        assert isinstance(read, BitsWalkSummary) and read == summary
        page = (folder / "report.html").read_text()
        assert all(site in page for site in summary) and "at most 1 point below" in page
        table = pd.read_parquet(folder / "curves.parquet")
        assert set(table["sigma"]) == {0, 1, 3, 8} and set(table["kind"]) == {"adc"}
        console = Console(width=200, record=True)
        print_bits(console, summary)
        printed = console.export_text()
        assert str(summary["fc0.acc"].best) in printed and "at most 1 point" in printed


def test_a_walk_of_noise_does_not_take_several_numbers(build):
    with pytest.raises(UserError, match="several numbers"):
        hardware_walk.walk_hw(HardwareWalkSettings(**SETTINGS, build=build), no_progress)
