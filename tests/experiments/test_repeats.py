"""Repeated executions in hardware, and the cycles they would take."""

import json

import pytest

from flow.errors import UserError
from flow.experiments import repeats
from flow.experiments.settings import RepeatSettings
from flow.rtl.throughput import cycles_per_image, executed_nodes
from tests.report.test_files import finished


def test_a_layer_is_its_unit_its_windows_and_its_tap(accelerator):
    nodes = accelerator.manifest["nodes"]
    cycles = {node["name"]: node["cycles"] for node in nodes}
    for name, site in accelerator.sites.items():
        found = executed_nodes(nodes, site.node)
        kinds = [n["operator"] for name in found for n in nodes if n["name"] == name]
        expected = ["NoiseTap_rtl", "MVAU_rtl"] if name.endswith(".acc") else ["NoiseTap_rtl"]
        assert kinds == expected, name
        others = max(count for node, count in cycles.items() if node not in found)
        for k in (1, 3, 64):
            own = max(k * cycles[node] for node in found)
            assert cycles_per_image(accelerator, {name: k}) == max(own, others)
    assert cycles_per_image(accelerator, {}) == accelerator.manifest["cycles_per_image"]


@pytest.mark.parametrize("unit", ["MVAU_rtl", "VVAU_rtl"])
def test_windows_of_a_convolution_are_made_again(unit):
    nodes = [
        {"name": "g", "operator": "ConvolutionInputGenerator_rtl", "inputs": ["a"],
         "outputs": ["b"]},
        {"name": "f", "operator": "StreamingFIFO_rtl", "inputs": ["b"], "outputs": ["c"]},
        {"name": "m", "operator": unit, "inputs": ["c", "w"], "outputs": ["d"]},
        {"name": "w", "operator": "StreamingDataWidthConverter_rtl", "inputs": ["d"],
         "outputs": ["e"]},
        {"name": "t", "operator": "NoiseTap_rtl", "inputs": ["e"], "outputs": ["h"]},
    ]  # fmt: skip
    assert executed_nodes(nodes, "t") == ["t", "m", "g"]


def test_repeats_bring_accuracy_back_and_cost_cycles(results_folder, tmp_path, monkeypatch):
    folder = results_folder(tmp_path / "build") / "walk-hw" / "tfc-w2a2-digits"
    folder.parent.mkdir()
    page = finished(folder) / "report.html"
    before = page.read_text()
    monkeypatch.chdir(tmp_path)
    settings = RepeatSettings(
        model="tfc-w2a2", dataset="digits", cycles=256, sites=["fc0.acc"], images=400,
        hw_images=16, repeats=[16, 1],
    )  # fmt: skip
    found = repeats.run(settings, lambda *step: None)
    one, many = found["rows"]
    assert (one["executions"], many["executions"]) == (1, 16)
    assert many["golden"][1] > one["golden"][2]
    assert many["cycles_per_image"] > 10 * one["cycles_per_image"]
    assert found["bit_mismatches"] == 0 and one["rtl_images"] == 16
    assert tmp_path / found["folder"] == folder
    assert page.read_text() != before
    assert str(many["cycles_per_image"]) in page.read_text().replace(",", "")
    assert json.loads((folder / "repeats.json").read_text())["rows"] == found["rows"]
    assert (folder / "repeats.png").stat().st_size > 10_000


@pytest.mark.parametrize("given", ["0,1", "65", "1,two", ""])
def test_bad_repeats(given):
    with pytest.raises(UserError, match="repeats is"):
        RepeatSettings(repeats=given)
