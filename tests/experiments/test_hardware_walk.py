"""The job on `digits`, small: results, resuming, and that nothing is lost."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest

from flow import data
from flow.cli.reference import SCHEMA
from flow.errors import OptionError, UserError
from flow.experiments import hardware_walk, preliminary
from flow.rtl import simulate
from flow.rtl.divergence import Localisation
from flow.training.zoo import zoo_path
from flow.walks.context import WalkContext
from flow.walks.engine.engine import SerialExecutor
from flow.walks.loading import CALIBRATION_IMAGES
from flow.walks.points import store
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint, Point
from flow.walks.points.side import Side
from flow.walks.settings import HardwareWalkSettings
from flow.walks.summaries import HardwareWalkSummary, WalkSummary
from flow.walks.walk import Walk

SETTINGS = {
    "model": "tfc-w2a2",
    "dataset": "digits",
    "images": 500,
    "draws": 2,
    "hw_images": 20,
    "cycles": 256,
    "budget": 0,
}


def silent(stage: str, done: int, total: int, images: int = 0) -> None:
    pass


@pytest.fixture(scope="module")
def build(tmp_path_factory, results_folder):
    return results_folder(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def summary(build):
    return hardware_walk.walk_hw(HardwareWalkSettings(**SETTINGS, build=build), silent, "a test")


@pytest.fixture(scope="module")
def folder(build, summary):
    return build / "walk-hw" / "tfc-w2a2-digits"


def test_summary_has_what_the_design_lists(summary, folder):
    file = folder / "summary.json"
    dumped = json.loads(file.read_text())
    assert summary.model_dump(mode="json") == dumped
    assert WalkSummary.read(file) == HardwareWalkSummary.read(file) == summary
    jsonschema.validate(dumped, json.loads(SCHEMA.read_text()))
    assert list(summary) == list(summary.sites) == ["fc0.acc", "fc1.acc", "fc2.acc", "fc3.acc"]
    assert summary.divergence is None
    assert summary.rtl.bit_mismatches == 0 and summary.rtl.scope == "full"
    assert summary.rtl.images == 20 * (4 * 9 + 1)
    assert summary.checks.golden.mismatches == 0
    assert summary.clean["brevitas"] == summary.clean["golden"]
    for site in summary:
        entry = summary[site]
        assert entry.verdict in ("agree", "undecided")
        assert entry.bit_mismatches == 0 and entry.rtl_runs == 20 * 9
        mu, low, high = entry.midpoint
        assert low < mu < high and entry.midpoint == entry.golden == entry.mu_hw
        assert entry.software.low < entry.software.value < entry.software.high
        assert dumped["sites"][site]["mu_sw"] == list(entry.software)
    with pytest.raises(UserError, match=r"unknown site 'fc0.ac': did you mean fc0.acc"):
        summary["fc0.ac"]


def test_a_walk_in_parts_finds_the_same_and_says_what_it_is(build, summary, folder, tmp_path):
    """The scope ``site``: the same labels, told apart in every file; no full point is taken."""
    shutil.copytree(build, tmp_path, dirs_exist_ok=True, symlinks=True)
    found = hardware_walk.walk_hw(
        HardwareWalkSettings(**SETTINGS, build=tmp_path, scope="site"), silent
    )
    own = tmp_path / "walk-hw" / folder.name
    text = (own / "report.html").read_text()
    whole, table = (pd.read_parquet(f / "curves.parquet") for f in (folder, own))
    assert found.rtl.scope == "site" and found.rtl.bit_mismatches == 0
    assert found.rtl.images == summary.rtl.images
    # all but the point without noise
    assert found.rtl.images_simulated_in_this_run == summary.rtl.images - 20
    for site, entry in found.sites.items():
        begins = {"rtl_scope": "site", "rtl_begins": f"the matrix-vector unit of {site}"}
        full = {"rtl_scope": "full", "rtl_begins": "the input"}
        assert entry == summary[site].model_copy(update=begins)
        assert summary[site] == entry.model_copy(update=full)
        assert f"{site}: behind the matrix-vector unit of {site}" in text
    assert "RTL scope: site, not the whole network" in text
    assert "RTL (simulated), from the site on" in text
    columns = [name for name in table if name != "scope"]
    pd.testing.assert_frame_equal(table[columns], whole[columns])
    rtl = table[table.side == "rtl"]
    assert (rtl.scope == np.where(rtl.site == "", "full", "site")).all()
    assert (whole[whole.side == "rtl"].scope == "full").all()
    assert table[table.side != "rtl"].scope.isna().all()


def test_curves_fall_from_clean_to_guessing_on_both_sides(summary, folder):
    table = pd.read_parquet(folder / "curves.parquet")
    for side, accuracy in (("software", "brevitas"), ("golden", "golden")):
        clean = summary.clean[accuracy].value
        for site in summary:
            rows = table[(table.side == side) & (table.site == site)]
            means = rows.groupby("sigma").accuracy.mean()
            assert len(means) == 9
            assert means.iloc[0] > clean - 0.05, (side, site)
            assert means.iloc[-1] < 0.2, (side, site)


def test_outer_levels_have_fewer_images_in_software_and_golden(summary, folder):
    table = pd.read_parquet(folder / "curves.parquet")
    for site, entry in summary.sites.items():
        rows = table[table.site == site]
        assert set(rows[rows.side == "rtl"].images) == {20}
        for side in ("software", "software-hwdraws", "golden"):
            images = rows[rows.side == side].groupby("sigma").images.unique()
            many = [sigma for sigma, counts in images.items() if counts.tolist() == [500]]
            few = [sigma for sigma, counts in images.items() if counts.tolist() == [250]]
            assert len(many) == 4 and len(few) == len(images) - 4 > 2
            assert many[0] < entry.midpoint.value < many[-1]
            assert not any(many[0] < sigma < many[-1] for sigma in few)
        golden = {d.sigma: d.images for d in entry.differences.golden}
        assert sorted(golden.values()) == [250] * len(few) + [500] * len(many)


def test_rtl_and_golden_agree_image_by_image(folder, summary):
    table = pd.read_parquet(folder / "curves.parquet")
    rtl = table[table.side == "rtl"]
    assert (rtl.bit_mismatches == 0).all() and (rtl.images == 20).all()


def test_every_file_is_there(folder, summary):
    for name in ("summary.json", "curves.parquet", "curves.png", "report.html"):
        assert (folder / name).stat().st_size > 1000, name
    assert summary.verdict in (folder / "report.html").read_text()


def test_a_second_run_computes_nothing(build, summary, monkeypatch):
    def never(*arguments, **options):
        raise AssertionError("computed again")

    monkeypatch.setattr("flow.walks.sides.software.evaluate", never)
    monkeypatch.setattr("flow.rtl.simulate.simulate", never)
    monkeypatch.setattr(store.Store, "put", never)
    again = hardware_walk.walk_hw(HardwareWalkSettings(**SETTINGS, build=build), silent, "a test")
    drop = {"seconds", "rtl"}
    assert again.model_dump(exclude=drop) == summary.model_dump(exclude=drop)


def correct(points: list[Point]) -> dict[tuple[str, float, int, str], int]:
    """Return how many labels of each point are right."""
    labels = data.load("digits").labels
    return {(p.site, p.sigma, p.seed, p.side): int(p.correct(labels).sum()) for p in points}


def told_by(folder: Path) -> dict[tuple[str, float, int, str], int]:
    """Return the same of the points in a walk's table."""
    rows = pd.read_parquet(folder / "curves.parquet").itertuples()
    return {(row.site, row.sigma, row.seed, row.side): row.correct for row in rows}


def test_a_run_that_was_stopped_goes_on(results_folder, monkeypatch, tmp_path):
    """Whatever the point at which it stops, what was finished is reported, and is kept."""
    results_folder(tmp_path)
    settings = HardwareWalkSettings(**{**SETTINGS, "seed": 5, "levels": "2,20,200"}, build=tmp_path)
    folder = tmp_path / "walk-hw" / "tfc-w2a2-digits"
    real, calls = simulate.simulate, []

    def stopping(*arguments, **options):
        calls.append(len(arguments[3]))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr("flow.rtl.simulate.simulate", stopping)
    seen: list[HardwareWalkSummary] = []
    with pytest.raises(KeyboardInterrupt):
        hardware_walk.walk_hw(settings, silent, "again", tell=seen.append)
    points = tmp_path / "points"
    kept = set(points.rglob("*.npz"))
    assert kept
    early = seen[-1]
    assert early == WalkSummary.read(folder / "summary.json") and not early.complete
    assert not early.progress.running and early.verdict is None
    assert sum(early.progress.done.values()) == len(kept)
    assert early.progress.planned == {"golden": 25, "software": 50, "rtl": 13}
    stored = store.Store(points)
    assert told_by(folder) == correct([stored.named(path.name) for path in kept])
    assert 0 < early["fc0.acc"].rtl_runs < 3 * 20 and early["fc0.acc"].golden is not None
    jsonschema.validate(early.model_dump(mode="json"), json.loads(SCHEMA.read_text()))
    page = (folder / "report.html").read_text()
    assert "not yet judged" in page and "<code>again</code>" in page and "refresh" not in page
    calls.clear()
    monkeypatch.setattr(
        "flow.rtl.simulate.simulate", lambda *a, **o: (calls.append(len(a[3])), real(*a, **o))[1]
    )
    # one is due at once, and then a few
    monkeypatch.setattr(preliminary, "FIRST", 0.0)
    monkeypatch.setattr(preliminary, "GROWTH", 0.0)
    monkeypatch.setattr(preliminary, "SHARE", 0.2)
    pages: list[str] = []
    seen.clear()

    def tell(summary: HardwareWalkSummary) -> None:
        seen.append(summary)
        pages.append((folder / "report.html").read_text())

    finished = hardware_walk.walk_hw(settings, silent, tell=tell)
    assert sum(calls) < 4 * 3 + 1
    assert finished.rtl.images == 20 * (4 * 3 + 1)
    assert kept < set(points.rglob("*.npz"))
    assert all(one.progress.running and one.verdict is None for one in seen)
    done = [sum(one.progress.done.values()) for one in seen]
    assert len(kept) <= done[0] and done == sorted(done)
    assert all('http-equiv="refresh"' in page and "not yet judged" in page for page in pages)
    final = (folder / "report.html").read_text()
    assert "refresh" not in final and "Preliminary" not in final and finished.complete
    assert told_by(folder) == correct([stored.named(path.name) for path in points.rglob("*.npz")])


def test_a_full_disk_stops_with_a_message_and_keeps_what_was_done(build, summary, monkeypatch):
    real, count, points = Path.write_bytes, [], build / "points"

    def full(path, content):
        if points in path.parents:
            count.append(1)
            if len(count) > 3:
                raise OSError(28, "No space left on device")
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    before = set(points.rglob("*.*"))
    with pytest.raises(UserError, match="No space left"):
        hardware_walk.walk_hw(HardwareWalkSettings(**{**SETTINGS, "seed": 6}, build=build), silent)
    after = set(points.rglob("*.*"))
    assert len(after - before) == 3 and before < after
    assert not [path for path in after if path.suffix != ".npz"]


def test_golden_speaks_for_no_site_where_rtl_differs(build, summary, monkeypatch):
    real = simulate.simulate

    def wrong(*arguments, **options):
        results, seconds = real(*arguments, **options)
        for noise, result in zip(arguments[3], results, strict=True):
            if "fc2.acc" in noise:
                result.scores[0, 0] += 1
        return results, seconds

    def located(walk, place, images, workdir, **options):
        return Localisation(f"{images} images of {place.site}", None, "a point")

    monkeypatch.setattr("flow.rtl.simulate.simulate", wrong)
    monkeypatch.setattr("flow.experiments.hardware_walk.localise_point", located)
    found = hardware_walk.walk_hw(
        HardwareWalkSettings(**{**SETTINGS, "seed": 7}, build=build), silent
    )
    assert found.verdict == "disagree"
    assert found["fc2.acc"].verdict == "disagree"
    assert found["fc2.acc"].midpoint is None
    assert found["fc1.acc"].bit_mismatches == 0
    assert found.rtl.bit_mismatches == 9
    assert found.divergence.rerun == "20 images of fc2.acc"
    assert found.divergence.sentence[1:] in Path(found.report).read_text()


@pytest.mark.parametrize(("factor", "verdict"), [(1.15, "disagree"), (1.0, "agree")])
def test_a_planted_bias_of_the_hardwares_sigma_is_found(
    results_folder, monkeypatch, tmp_path, factor, verdict
):
    """15 % more noise in the golden model and in the RTL than in software, and none.

    Both hardware sides have it, so L1 holds, and only the comparison of curves can tell.
    """
    results_folder(tmp_path)  # its own points: the keys know of no bias
    real = WalkContext.settings

    def biased(self, place, first_image=0):
        return real(self, replace(place, sigma=factor * place.sigma), first_image)

    monkeypatch.setattr(WalkContext, "settings", biased)
    wanted = {"sites": "fc1.acc", "levels": "12,20,30,45,80", "draws": 16, "hw_images": 8,
              "margin": 0.1}  # fmt: skip
    found = hardware_walk.walk_hw(
        HardwareWalkSettings(**{**SETTINGS, **wanted}, build=tmp_path), silent
    )
    entry = found["fc1.acc"]
    assert found.rtl.bit_mismatches == 0 and found.rtl.images == 8 * 6
    assert found.verdict == entry.verdict == verdict, entry.reason
    assert entry.ratio_golden.low < 1 / factor < entry.ratio_golden.high
    assert entry.ratio.value == pytest.approx(1 / factor, rel=0.03)
    assert found.random_numbers.verdict == "agree"


def test_further_draws_are_spent_once(build, summary, monkeypatch):
    """Undecided with two draws; the budget adds some, and a second run takes them as they are."""
    settings = HardwareWalkSettings(**{**SETTINGS, "sites": "fc2.acc", "budget": 5}, build=build)
    assert summary["fc2.acc"].draws == 2
    found = hardware_walk.walk_hw(settings, silent, "a test")
    entry, further = found["fc2.acc"], found.further
    assert further.draws["fc2.acc"] >= 6 and further.looks >= 2
    assert entry.draws == 2 + further.draws["fc2.acc"] == found.draws["golden"]
    first, then = (one["fc2.acc"].ratio_golden for one in (summary, found))
    assert then[2] / then[1] < first[2] / first[1]
    assert found.rtl.images == 20 * (9 + 1)  # simulated as before
    report = (build / "walk-hw" / "tfc-w2a2-digits" / "report.html").read_text()
    assert f"{further.draws['fc2.acc']} more at fc2.acc" in report
    monkeypatch.setattr(store.Store, "put", lambda *_: pytest.fail("measured again"))
    again = hardware_walk.walk_hw(settings, silent, "a test")
    assert again.further == further and again.sites == found.sites


def test_levels_in_midpoints_are_those_of_golden(build, summary):
    changed = {"sites": "fc1.acc", "levels": "0.5mu,2mu", "hw_images": 4}
    found = hardware_walk.walk_hw(
        HardwareWalkSettings(**{**SETTINGS, **changed}, build=build), silent
    )
    differences = found["fc1.acc"].differences
    sigmas = [one.sigma for one in differences.golden]
    # μ of one draw here, of two there
    mu = summary["fc1.acc"].golden.value
    assert sigmas == pytest.approx([0.5 * mu, 2 * mu], rel=0.1)
    assert sigmas[1] == pytest.approx(4 * sigmas[0], rel=1e-3)
    assert [one.sigma for one in differences.rtl] == sigmas
    table = pd.read_parquet(Path(found.report).with_name("curves.parquet"))
    assert sorted(set(table[table.site != ""].sigma)) == sigmas
    far = HardwareWalkSettings(**{**SETTINGS, **changed, "levels": "1mu,1000000mu"}, build=build)
    with pytest.raises(OptionError, match="levels: "):
        hardware_walk.walk_hw(far, silent)


def test_rtl_points_do_not_depend_on_how_they_are_shared_out(build, summary, inputs, digits):
    from flow.compiler.pipeline import compile_network
    from flow.training import checkpoint

    path = zoo_path("tfc-w2a2", "digits")
    network, _ = checkpoint.load(path)
    accelerator = compile_network(
        network, inputs[:CALIBRATION_IMAGES], cycles=256, root=build / "accelerators"
    )
    places = [NoisePoint("", 0.0), *(NoisePoint("fc0.acc", s) for s in (3.0, 9.0, 27.0))]
    found = []
    for workers in (1, 2):
        engine = SerialExecutor()
        engine.workers = workers
        walk = Walk(
            network=network,
            accelerator=accelerator,
            inputs=inputs[:30],
            labels=digits.labels[:30],
            placement=Placement(NoiseSetting("mixed", seed=3)),
            store=store.Store(build / f"shared-{workers}"),
            build=build,
            engine=engine,
        )
        measured = walk.run(walk.wanted([Side.RTL], places, 30))
        assert measured.speed.images == 4 * 30 and not measured.failures
        points = measured.points
        assert all(point.bit_mismatches == 0 for point in points)
        found.append({(p.site, p.sigma): p.predictions.tolist() for p in points})
    assert found[0] == found[1]
