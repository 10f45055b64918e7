"""Files of a finished walk: written, read and written again, and compared."""

import json
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from flow.cli.main import cli
from flow.errors import UserError
from flow.report import comparison_page
from flow.report.charts import walk_charts
from flow.report.files import Results, write, write_report
from flow.report.plots.walk_hw import plot_curves
from flow.version import revision
from flow.walks.summaries import HardwareWalkSummary
from tests.helpers.hardware_results import old_results, results
from tests.report.test_network_diagram import summary as drawn

REPEATS = {
    "noise": "additive", "images": {"golden": 500, "rtl": 16}, "clean": [0.9, 0.88, 0.92],
    "command": "noisewalk multi-exec-hw", "rows": [
        {"site": "conv0.acc", "sigma": 4.0, "executions": k, "cycles_per_image": 1600 * k,
         "golden": [0.4 + 0.1 * k, 0.3, 0.8], "rtl": [0.5, 0.2, 0.7], "rtl_images": 16,
         "bit_mismatches": 0}
        for k in (1, 4)
    ],
}  # fmt: skip


def finished(folder: Path, model: str = "tfc-w2a2") -> Path:
    """Make the folder of a walk, with all that a page may show."""
    summary, curves = results(3)
    summary |= {"model": model, "hardware": drawn()["hardware"] | {"cycles_per_image": 1234}}
    for tap in summary["hardware"]["taps"]:
        tap |= {"channels": 4, "pixels": 9, "in_bits": 7, "out_bits": 14, "fraction_bits": 8}
    folder.mkdir()
    (folder / "repeats.json").write_text(json.dumps(REPEATS))
    write(folder, HardwareWalkSummary.model_validate(summary | {"revision": revision()}), curves)
    return folder


@pytest.mark.pictures
@pytest.mark.slow
def test_a_page_is_written_anew_without_measuring(tmp_path: Path) -> None:
    folder = finished(tmp_path / "walk")
    names = {p.name for p in folder.iterdir()}
    made = {"report.html", "curves.png", "curves.pdf", "curves.csv"}
    assert names == made | {"summary.json", "curves.parquet", "repeats.json"}
    page = (folder / "report.html").read_text()
    for name in made:
        (folder / name).unlink()
    done = CliRunner().invoke(cli, ["report", str(folder)])
    assert done.exit_code == 0, done.output
    assert (folder / "report.html").read_text() == page and len(page) < 5e6
    assert {p.name for p in folder.iterdir()} == names
    pd.testing.assert_frame_equal(
        pd.read_csv(folder / "curves.csv", keep_default_na=False),
        pd.read_parquet(folder / "curves.parquet"), check_dtype=False,
    )  # fmt: skip
    assert revision() in page and "6,400" in page and "1,234 cycles per image" in page


@pytest.mark.slow
def test_the_page_has_what_synthesis_counted(tmp_path: Path) -> None:
    folder, accelerator = finished(tmp_path / "walk"), tmp_path / "accelerator"
    page = folder / "report.html"
    assert "not measured: run <code>noisewalk synth --model tfc-w2a2" in page.read_text()
    walk = Results.read(folder)
    summary = walk.summary | {"accelerator": str(accelerator)}
    write(folder, HardwareWalkSummary.model_validate(summary), walk.table)
    assert "not measured: run" in page.read_text()
    estimate = {"lut": 4321, "dsp": 7, "bram": 0}
    counts = {"lut": 16322, "ff": 5042, "dsp": 262, "bram": 8, "lutram": 3168, "srl": 0}
    rows = [
        {"node": "tap", "lanes": 4, "estimate": estimate, "reason": None} | counts,
        {"node": "unit", "lanes": None, "estimate": estimate, "reason": "not done within 9 s"}
        | dict.fromkeys(counts),
    ]
    accelerator.mkdir()
    file = accelerator / "synthesis.json"
    file.write_text(json.dumps({"yosys": "0.70", "family": "xcup", "rows": rows}))
    write_report(Results.read(folder))
    html = page.read_text()
    assert "not measured: run" not in html and "no figures: not done within 9 s" in html
    for figure in ("16,322", "5,042", "4,321", "4,080 LUT, 65.5 DSP"):
        assert figure in html
    file.write_text("{")
    with pytest.raises(UserError, match="or run synth again"):
        write_report(Results.read(folder))


@pytest.mark.slow
def test_a_walk_without_hardware_facts_has_a_page_without_them(tmp_path: Path) -> None:
    summary, curves = old_results(1)
    del summary["rtl"]["scope"]
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    curves.to_parquet(tmp_path / "curves.parquet")
    assert CliRunner().invoke(cli, ["report", str(tmp_path)]).exit_code == 0
    page = (tmp_path / "report.html").read_text()
    assert 'id="network"' not in page and 'id="hardware"' not in page


def test_other_folders_are_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not the folder of a finished walk"):
        Results.read(tmp_path)
    results(1)[1].to_parquet(tmp_path / "curves.parquet")
    (tmp_path / "summary.json").write_text('{"kinds": {}}')
    with pytest.raises(UserError, match="holds no results of walk-hw"):
        Results.read(tmp_path)


@pytest.mark.slow
def test_walks_side_by_side(tmp_path: Path) -> None:
    folders = [finished(tmp_path / name, model=name) for name in ("first", "second")]
    page = tmp_path / "comparison.html"
    arguments = ["report", *map(str, folders), "--out", str(page)]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    html = page.read_text()
    for number, name in enumerate(("first", "second"), start=1):
        assert html.count(f'<th scope="row">{number}: {name} on fashion-mnist') == 3 + 1
    walks = [Results.read(folder) for folder in folders]
    walks[0].summary["margin"] = 0.2
    with pytest.raises(UserError, match="different margins"):
        comparison_page.write(page, walks)


def test_the_revision_is_a_commit_or_a_version(tmp_path: Path) -> None:
    assert revision(tmp_path) == version("noisewalk")
    (tmp_path / ".git").write_text("gitdir: nowhere\n")
    assert revision(tmp_path) == version("noisewalk")


def test_walks_of_other_units_have_charts_of_their_own() -> None:
    summary, curves = results(1)
    sites = {site: entry | {"unit": "none"} for site, entry in summary["sites"].items()}
    other = summary | {"unit": "none", "sites": sites}
    panels = walk_charts([("a", summary, curves), ("b", other, curves)])["panels"]
    assert [panel["title"] for panel in panels] == ["conv0.acc, σ real", "conv0.acc, σ relative"]
    assert [{one["name"] for one in panel["series"]} for panel in panels] == [{"a"}, {"b"}]
    (panel,) = walk_charts([("a", summary, curves), ("b", summary, curves)])["panels"]
    assert panel["title"] == "conv0.acc" and {one["run"] for one in panel["series"]} == {0, 1}


@pytest.mark.slow
def test_letters_of_the_picture_are_fit_for_a_paper() -> None:
    figure = plot_curves(*results(9))
    FigureCanvasAgg(figure).draw()
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert figure.get_figwidth() <= 7.16 and min(text.get_fontsize() for text in texts) >= 7
    legend = figure.legends[0].get_window_extent()
    labels = [panel.xaxis.label.get_window_extent() for panel in figure.axes]
    assert not any(label.overlaps(legend) for label in labels if label.height)
