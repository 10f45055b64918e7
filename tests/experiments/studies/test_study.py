"""Studies: what a file says, how runs stand, and that a killed one goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from flow.cli import main
from flow.errors import Fatal
from flow.experiments.studies import page, status, study, tables
from flow.files import PLAN
from flow.paths import REPOSITORY
from flow.walks.engine.engine import SerialExecutor
from tests.helpers.processes import NOISEWALK
from tests.helpers.studies import SMALL, written


def silent(stage: str, done: int, total: int, images: int = 0) -> None:
    pass


def test_a_training_serves_the_walks_behind_it_and_is_done_once(tmp_path, monkeypatch):
    out = tmp_path / "float-mlp on digits"
    text = f"""
runs:
  - train:
      model: float-mlp
      dataset: digits
      recipe: paper
      epochs: 1
      out: "{tmp_path}/{{model}} on {{dataset}}"
  - walk:
      model: float-mlp
      dataset: digits
      checkpoint: "{tmp_path}/{{model}} on {{dataset}}"
      levels: [1]
      sites: [fc0.acc]
      images: 50
      seeds: 1
  - walk:
      model: float-mlp
      dataset: digits
      checkpoint: {out}
      noise: mixed
      ratio: [0.1, 0.9]
      levels: [1]
      sites: [fc0.acc]
      images: 50
      seeds: 1
  - walk:
      model: float-mlp
      dataset: digits
      checkpoint: {out}
      retrain: 1
      retrain-from: random
      clamp: true
      levels: [1]
      sites: [fc0.acc]
      images: 50
      seeds: 1
"""
    found = study.read(written(tmp_path, text), tmp_path / "build")
    ended = []
    failed = study.run_study(found, silent, SerialExecutor(), ended.append)
    assert not failed and [run.state["ended"] for run in ended] == ["done"] * 5
    trained, walked, *_ = (run.summary for run in found.runs)
    assert (trained["recipe"], trained["epochs"], trained["file"]) == ("paper", 1, str(out))
    assert trained["interval"][0] < trained["accuracy"] < trained["interval"][1]
    assert walked.recipe == "paper" and walked.image_range == (0, 1)
    table = tables.table(found)
    assert set(table["recipe"]) == {"paper"} and set(table["images_in"]) == {"0..1"}
    # what differs in more than its seed is not put together
    together = page.over_seeds(table)
    assert len(together) == 4 and set(together["seeds"]) == {1}
    assert set(together["noise"]) == {"additive", "mixed, r = 0.1", "mixed, r = 0.9"}
    assert set(together["per_point"]) == {"", "1 epochs, from random weights, clamped"}
    text = page.write(found, tmp_path / "points").read_text()
    assert "recipe paper, images in 0..1" in text and "Accuracy without noise, %" in text
    monkeypatch.setitem(vars(study.COMMANDS["train"]), "run", lambda *a, **o: pytest.fail("ran"))
    study.run_study(found, silent, SerialExecutor(), ended.append)
    # every walk depends on the checkpoint, and the training on its being there as it was written
    kept = out.read_bytes()
    out.write_bytes(kept + b" ")
    assert all(run.summary is None for run in found.runs)
    out.write_bytes(kept)
    assert all(run.summary is not None for run in found.runs)
    out.unlink()
    assert found.runs[0].summary is None


@pytest.fixture(scope="module")
def finished(tmp_path_factory, results_folder) -> tuple[study.Study, Path]:
    """The small study, done, but for a run that cannot be."""
    folder = tmp_path_factory.mktemp("study")
    results_folder(folder / "build")
    text = SMALL + "  - walk-hw: {model: lenet5-w2a2, dataset: mnist}\n"
    found = study.read(written(folder, text), folder / "build")
    told: list[str] = []
    failed = study.run_study(found, silent, SerialExecutor(), lambda run: told.append(run.name))
    assert told == [run.name for run in found.runs]
    ((run, message),) = failed
    assert run is found.runs[-1] and "no checkpoint" in message
    return found, folder


def test_one_failed_run_does_not_stop_the_others(finished):
    found, folder = finished
    states = status.status(found.index, found.folder, folder / "build" / "points")
    assert [state.ended for state in states] == ["done"] * 4 + ["failed"]
    planned = {"golden": (7, 7), "software": (14, 14), "rtl": (7, 7)}
    assert all(dict(state.points) == planned for state in states[:4])
    assert "no checkpoint" in states[4].message


def test_kinds_of_noise_in_a_list_are_one_walk_in_software(tmp_path):
    text = """
runs:
  - walk: {model: tfc, dataset: digits, noise: [additive, mixed], levels: [8, 30], images: 50,
           seeds: 1, sites: [fc0.acc]}
  - walk: {model: tfc, dataset: digits, images: 501}
"""
    found = study.read(written(tmp_path, text), tmp_path / "build")
    failed = study.run_study(found, silent, SerialExecutor(), lambda run: None)
    summary = found.runs[0].summary
    assert summary is not None and list(summary.kinds) == ["additive", "mixed"]
    ((run, message),) = failed
    assert run is found.runs[1] and message.startswith("images is 501, ")


def test_midpoints_and_fewest_bits_over_the_rows_of_tiles(tmp_path):
    text = """
runs:
  - walk: &tiles {model: tfc, dataset: digits, rows: [16, 40], levels: [5, 20, 80], images: 100,
                  seeds: 1, sites: [fc0.tile]}
  - walk: {<<: *tiles, rows: , sites: [fc0.acc, fc3.acc]}
  - walk: {<<: *tiles, rows: 40, input_bits: 2}
"""
    bits = """
  - walk: {model: tfc, dataset: digits, rows: [16, 40], images: 100, sites: [fc0.tile], adc: 2-4}
  - walk: {model: tfc, dataset: digits, images: 100, sites: [fc0.acc], adc: 1-4}
"""
    found = study.read(written(tmp_path, text + bits), tmp_path / "build")
    assert not study.run_study(found, silent, SerialExecutor(), lambda run: None)
    together = page.over_seeds(tables.table(found))
    # tiles of other rows, or read in several passes, are no further seed
    assert set(together["seeds"]) == {1}
    assert together["input_bits"].dropna().tolist() == [2]
    whole = together[together["input_bits"].isna()].to_dict("records")
    of_rows = {r["rows"]: r for r in whole if r["site"] == "fc0.tile"}
    assert set(of_rows) == {16, 40} and together["rows"].isna().sum() == 2
    # the sum of four tiles has twice the noise of one
    assert of_rows[16]["mu_sw"] < of_rows[40]["mu_sw"]
    one = of_rows[16]
    # of one seed, its own interval
    assert one["mu_sw_least"] < one["mu_sw"] < one["mu_sw_most"]
    fewest = tables.bits_table(found)
    assert fewest["rows"].tolist()[:2] == [16, 40] and fewest["rows"].isna().sum() == 1
    read = [run.summary for run in found.runs if run.settings.walks_bits]
    entries = [entry.best for summary in read for entry in summary.sites.values()]
    assert fewest["software_text"].tolist() == [str(entry) for entry in entries]
    text = page.write(found, tmp_path / "points").read_text()
    assert "Fewest ADC bits" in text and '<td class="n">whole</td>' in text
    assert len(pd.read_csv(found.folder / "bits.csv")) == 3
    for name in ("midpoints.png", "bits.png"):
        assert (found.folder / name).stat().st_size > 10_000


def test_a_study_that_is_done_does_nothing(finished, monkeypatch):
    found, _ = finished
    monkeypatch.setitem(vars(study.COMMANDS["walk-hw"]), "run", lambda *a, **o: pytest.fail("ran"))
    done = study.Study("x", "x", None, found.runs[:4], found.folder)
    assert study.run_study(done, silent, SerialExecutor(), lambda run: None) == []


def test_a_full_disk_stops_the_study(finished, monkeypatch, tmp_path):
    def full(*arguments, **options):
        raise Fatal("the disk is full")

    monkeypatch.setitem(vars(study.COMMANDS["walk-hw"]), "run", full)
    found = study.read(written(tmp_path, SMALL), tmp_path / "build")
    with pytest.raises(Fatal, match="full"):
        study.run_study(found, silent, SerialExecutor(), lambda run: pytest.fail("went on"))


def test_a_file_that_changes_during_a_run_makes_it_run_again(tmp_path, monkeypatch):
    table = tmp_path / "array.yaml"
    table.write_text("sites: {fc0.acc: {kind: additive, sigma: 1}}\n")
    text = f"runs:\n  - walk: {{model: tfc, dataset: digits, noise-map: {table}}}\n"
    found = study.read(written(tmp_path, text), tmp_path / "build")
    ran: list[str] = []

    def changing(*arguments, **options):
        ran.append("a run")
        table.write_text(f"sites: {{fc0.acc: {{kind: additive, sigma: {1 + len(ran)}}}}}\n")
        return {}

    monkeypatch.setitem(vars(study.COMMANDS["walk"]), "run", changing)
    for _ in range(2):
        study.run_study(found, silent, SerialExecutor(), lambda run: None)
        assert not found.runs[0].state
    assert len(ran) == 2


def test_time_that_is_up_begins_no_run(finished, monkeypatch, tmp_path):
    ran: list[str] = []

    def slow(*arguments, **options):
        ran.append("a run")
        time.sleep(0.2)
        return {}

    monkeypatch.setitem(vars(study.COMMANDS["walk-hw"]), "run", slow)
    found = study.read(written(tmp_path, "minutes: 0.001\n" + SMALL), tmp_path / "build")
    study.run_study(found, silent, SerialExecutor(), lambda run: None)
    assert ran == ["a run"]


def test_table_picture_and_page(finished):
    found, folder = finished
    written_page = page.write(found, folder / "build" / "points")
    rows = pd.read_csv(found.folder / "table.csv")
    assert len(rows) == 4 * 2 and set(rows["seed"]) == {0, 1}
    assert (rows["bit_mismatches"] == 0).all() and (rows["rtl_images"] == 3 * 8).all()
    together = page.over_seeds(tables.table(found))
    assert len(together) == 2 * 2 and (together["seeds"] == 2).all()
    one = together.iloc[0]
    both = rows[(rows["noise"] == one["noise"]) & (rows["site"] == one["site"])]["mu_sw"]
    assert one["mu_sw_least"] == pytest.approx(both.min())
    assert one["mu_sw"] == pytest.approx(both.median())
    text = written_page.read_text()
    assert "4 of 5 runs are done" in text and "no checkpoint" in text
    assert text.count('report.html"') == 4
    assert (found.folder / "midpoints.png").stat().st_size > 10_000


@pytest.mark.slow
def test_status_of_many_points_takes_no_time(tmp_path):
    """100,000 points of ten runs, from the command line, without networks or data."""
    build = tmp_path / "build"
    file = written(tmp_path, SMALL.replace("[0, 1]", "[0, 1, 2, 3, 4]"))
    found = study.read(file, build)
    points = build / "points"
    names = [f"{number:02x}" * 8 + f"{index:048x}" for number in range(256) for index in range(391)]
    for number in range(256):
        (points / f"{number:02x}").mkdir(parents=True)
        (points / f"{number:02x}" / "first").touch()
    for name in names:
        # a link takes a third of a file's time, now and when it is deleted
        os.link(f"{points}/{name[:2]}/first", f"{points}/{name[:2]}/{name}.npz")
    for number in range(256):
        (points / f"{number:02x}" / "first").unlink()
    assert len(names) > 100_000
    share = len(names) // len(found.runs)
    for number, run in enumerate(found.runs):
        run.folder.mkdir(parents=True)
        run.write_state(run.stamp, ended=None)
        mine = names[number * share : (number + 1) * share]
        plan = {"points": {"golden": [f"{name}.npz" for name in mine] + ["ff.npz"]}}
        (run.folder / PLAN).write_text(json.dumps(plan))
    took = []
    for _ in range(3):
        started = time.process_time_ns(), os.times().children_user
        out = subprocess.run(
            [sys.executable, "-c", "from flow.cli.main import main; main()",
             "study", "status", file],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        took.append(os.times().children_user - started[1])
        if took[-1] < 2.0:
            break
    assert f"golden {share} / {share + 1}" in out.stdout.replace("\n", " ")
    assert min(took) < 2.0, took
    assert max(len(list(folder.iterdir())) for folder in points.iterdir()) <= 10_000


@pytest.mark.slow
def test_a_killed_study_goes_on(finished, results_folder, tmp_path, monkeypatch):
    """Killed in the middle: what is there then is not measured again; the results are the same."""
    found, _ = finished
    build = results_folder(tmp_path / "build")
    file = written(tmp_path, SMALL.replace("[0, 1]", "[1]"))
    arguments = ["study", "run", str(file), "--jobs=1"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    client = subprocess.Popen(
        [*NOISEWALK, *arguments], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL
    )
    end = time.monotonic() + 180
    # in the middle of the second run
    while len(list((build / "points").rglob("*.npz"))) < 28 + 5:
        assert time.monotonic() < end and client.poll() is None
        time.sleep(0.02)
    os.kill(client.pid, signal.SIGKILL)
    client.wait()
    left = {path: path.stat().st_mtime_ns for path in (build / "points").rglob("*.npz")}
    states = status.status(study.read(file, build).index, build / "studies" / "small",
                                 build / "points")  # fmt: skip
    assert [state.ended for state in states] == ["done", "begun"]
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(main.cli, arguments, catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    assert "2 of 2" in (build / "studies" / "small" / "report.html").read_text()
    assert all(path.stat().st_mtime_ns == when for path, when in left.items())
    again = tables.table(study.read(file, build))
    before = tables.table(found)
    before = before[before["seed"] == 1].reset_index(drop=True)
    # a run is named by what tells it from the others
    pd.testing.assert_frame_equal(again.drop(columns="run"), before.drop(columns="run"))
