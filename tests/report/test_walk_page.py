"""The picture and the report of a walk, from made-up results."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape
from matplotlib.container import ErrorbarContainer
from numpy.typing import NDArray

from flow.errors import UserError
from flow.report.plots.walk_hw import plot_curves, write_curves
from flow.report.walk_page import write_report
from flow.report.wording import definition, need_sentence, verdict_sentence
from flow.rtl.divergence import Divergence, Localisation
from flow.walks.crosscheck.summary_values import midpoint_text
from flow.walks.points.curves import curve_table
from flow.walks.points.point import Point
from flow.walks.points.side import Side
from flow.walks.summaries import HardwareWalkSummary
from flow.walks.summaries.upgrade import upgraded
from tests.helpers.hardware_results import old_results, results
from tests.helpers.synthetic import device_walk, independent_check, walk

HOSTILE = "<script>alert(1)</script>$x_{$"


def judged(points: list[Point], labels: NDArray[np.int64], **options: int) -> dict[str, Any]:
    """Return what a cross-check adds to a summary."""
    check = independent_check(points, labels, 0.1, **options).to_json()
    for entry in check["sites"].values():
        entry |= {"unit": "real", "rtl_scope": "full", "rtl_begins": "the input"}
    return check


def html_of(folder: Path, summary: dict[str, Any], curves: pd.DataFrame) -> str:
    picture = folder / "curves.png"
    picture.write_bytes(b"\x89PNG made up")
    write_report(folder / "report.html", summary, curves, picture)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_a_network_that_only_guesses_is_named(tmp_path: Path) -> None:
    summary, curves = results(1)
    assert "no site has a midpoint" not in html_of(tmp_path, summary, curves)
    summary["clean"]["brevitas"] = [0.1, 0.08, 0.12]
    assert "between 8.0 and 12.0 %, and guessing reaches 10.0 %" in html_of(
        tmp_path, summary, curves
    )


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 4, 9])
def test_figure_has_a_panel_a_site_with_rtl_bars(count: int) -> None:
    summary, curves = results(count)
    figure = plot_curves(summary, curves)
    assert [panel.get_title(loc="left") for panel in figure.axes] == list(summary["sites"])
    for panel in figure.axes:
        bars = {
            c.get_label(): c[2][0] for c in panel.containers if isinstance(c, ErrorbarContainer)
        }
        assert set(bars) == {"golden", "rtl"}
        heights = {
            side: np.mean([np.ptp(segment[:, 1]) for segment in lines.get_segments()])
            for side, lines in bars.items()
        }
        assert heights["rtl"] > 3 * heights["golden"]  # 128 images against 2,000


def test_seeds_do_not_narrow_the_bars() -> None:
    """The seeds of a point share their images."""
    heights = []
    for seeds in (1, 4):
        bars = plot_curves(*results(1, seeds)).axes[0].containers
        (rtl,) = (c for c in bars if c.get_label() == "rtl")
        segments = rtl[2][0].get_segments()
        assert len(segments) == 7
        heights.append(np.mean([np.ptp(segment[:, 1]) for segment in segments]))
    assert heights[1] == pytest.approx(heights[0], rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "bound",
    [
        {"bound": "above", "level": 9.0},
        {"bound": "below", "level": 0.3},
        {"bound": "above", "level": 0.0},
    ],
)
def test_bounds_are_written_as_bounds(tmp_path: Path, bound: dict[str, Any]) -> None:
    summary, curves = old_results()
    nothing = {"ratio": None, "k_sw": None, "k_hw": None, "verdict": "undecided"}
    for entry in summary["sites"].values():
        entry |= {key: bound for key in ("mu_sw", "mu_hw", "mu_rtl", "mu_crn")} | nothing
    summary = HardwareWalkSummary.model_validate(upgraded(summary)).model_dump(mode="json")
    above = bound["bound"] == "above"
    shape = [None, bound["level"], None] if above else [None, None, bound["level"]]
    assert summary["sites"]["conv0.acc"]["mu_golden"] == shape
    summary["verdict"] = "undecided"
    plot_curves(summary, curves)
    sign = "&gt;" if above else "&lt;"
    text = f"{sign} {bound['level']:.3g}" if bound["level"] else "–"
    assert f"<td>{text}</td>" in html_of(tmp_path, summary, curves)


@pytest.mark.slow
def test_files_are_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    summary, curves = results()
    write_curves(tmp_path / "curves.png", summary, curves)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "curves.pdf").read_bytes().startswith(b"%PDF")
    write_report(tmp_path / "report.html", summary, curves, tmp_path / "curves.png")
    assert {p.name for p in tmp_path.iterdir()} == {"curves.png", "curves.pdf", "report.html"}


def test_verdict_comes_first_and_all_sites_appear(tmp_path: Path) -> None:
    summary, curves = results(9)
    html = html_of(tmp_path, summary, curves)
    verdict, picture = html.index(verdict_sentence(summary).split("'")[0]), html.index("<img")
    assert verdict < picture < html.index("<table")
    assert escape(definition("independent", 0.1)) in html
    assert '<th scope="row">conv8.acc</th>' in html and "unit of the layer" in html
    assert html.count("<table") == html.count("<caption")
    for name in summary["sites"]:
        assert f'<tr><th scope="row">{name}</th>' in html


@pytest.mark.slow
def test_html_is_self_contained_and_escaped(tmp_path: Path) -> None:
    summary, curves = results(2)
    summary["model"] = HOSTILE
    summary["sites"]["conv0.acc"]["reason"] = HOSTILE
    html = html_of(tmp_path, summary, curves)
    assert "<script>alert" not in html and "&lt;script&gt;" in html
    assert not re.search(r"https?://|<link|@import|src=\"(?!data:)|href=\"(?!#)", html)
    write_curves(tmp_path / "hostile.png", summary, curves)


@pytest.mark.slow
def test_golden_never_passes_for_simulated(tmp_path: Path) -> None:
    summary, curves = results(2)
    assert "not confirmed by RTL" not in html_of(tmp_path, summary, curves)
    entry = summary["sites"]["conv1.acc"]
    entry |= {"rtl_images": 0, "mu_golden": entry["mu_hw"], "mu_hw": None, "mu_rtl": None,
              "ratio": None, "verdict": "undecided"}  # fmt: skip
    curves = curves[~((curves["side"] == "rtl") & (curves["site"] == "conv1.acc"))]
    summary["verdict"] = "undecided"
    html = html_of(tmp_path, summary, curves)
    assert html.count("golden only, not confirmed by RTL") == 2  # beside μ and beside the ratio
    assert '<td class="n">not simulated</td>' in html
    assert "not decide conv1.acc; 1 of 2 sites agree" in verdict_sentence(summary)
    texts = [text.get_text() for text in plot_curves(summary, curves).axes[1].texts]
    assert "not simulated in RTL" in texts


def tables(html: str) -> list[list[tuple[str, str]]]:
    """Every table as its cells, each with the heading of its column."""
    found = []
    for table in re.findall(r"<table>.*?</table>", html, re.S):
        heads = re.findall(r'<th scope="col">(.*?)</th>', table)
        rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(
            r"<tr>(.*?)</tr>", table.split("<tbody>")[1], re.S)]  # fmt: skip
        found.append([pair for row in rows for pair in zip(heads, row, strict=False)])
    return found


@pytest.mark.parametrize("rtl", [128, 0])
def test_every_figure_stands_under_the_name_of_its_side(tmp_path: Path, rtl: int) -> None:
    """From a walk whose golden, software and RTL figures can be told apart by their value."""
    points, labels = walk({"a": (1.0, 2.0)}, shift={"a": 1.3}, rtl=rtl)
    summary, _ = results(1)
    summary |= judged(points, labels)
    summary["images"]["rtl"] = rtl
    summary["rtl"]["images"] = 9 * rtl
    entry = summary["sites"]["a"]
    html = html_of(tmp_path, summary, curve_table(points, labels, "accuracy"))
    texts = {
        "golden": [midpoint_text(entry["mu_golden"]), f"{entry['ratio_golden'][0]:.3f}"],
        "software (Brevitas)": [midpoint_text(entry["mu_sw"])],
        "RTL": [midpoint_text(entry["mu_rtl"]), f"{entry['ratio_rtl'][0]:.3f}"] if rtl else [],
        "hardware's draws": [midpoint_text(entry["mu_crn"])],
    }
    cells = [pair for table in tables(html) for pair in table]
    for name, figures in texts.items():
        for figure in figures:
            heads = [head for head, cell in cells if cell.startswith(figure)]
            assert heads and all(name.replace("'", "&#39;") in head for head in heads), figure
            assert name == "golden" or not any("golden" in head for head in heads)
    assert all("simulated" in head for head, cell in cells if "RTL" in head and "images" in head
               and "μ" in head)  # fmt: skip
    hardware = [entry[name] for name in ("mu_hw", "k_hw", "ratio")]
    assert hardware == ([entry["mu_golden"], entry["k_golden"], entry["ratio_golden"]] if rtl
                        else [None] * 3)  # fmt: skip
    if not rtl:
        assert {cell for head, cell in cells if "RTL" in head} <= {"–", "0", "not simulated"}
        assert "no RTL was simulated, so this says nothing about the hardware" in html
        assert "golden alone: " in entry["reason"] and entry["mu_rtl"] is None


def test_keys_of_the_summary_name_their_side() -> None:
    """What is golden's says so, or stands only where RTL bears it out."""
    points, labels = walk({"a": (1.0, 2.0)}, rtl=0)
    entry = independent_check(points, labels, 0.1).to_json()["sites"]["a"]
    there = {name for name, value in entry.items() if value is not None}
    assert not {name for name in there if name.endswith(("_hw", "_rtl"))}
    assert "ratio" not in there and entry["rtl_images"] == entry["rtl_runs"] == 0
    assert entry["differences"]["rtl"] == [] and len(entry["differences"]["golden"]) == 9


def test_sides_are_named_in_full_everywhere() -> None:
    assert "not simulated" in Side.GOLDEN.label and "simulated" in Side.RTL.label
    legend = plot_curves(*results(1)).legends[0]
    labels = [text.get_text() for text in legend.get_texts()]
    assert any("golden" in label and "not simulated" in label for label in labels)
    assert any(label == "RTL (simulated)" for label in labels)


@pytest.mark.slow
def test_what_the_walk_could_see_and_what_it_spent(tmp_path: Path) -> None:
    points, labels = walk({"a": (1.0, 2.0), "b": (3.0, 2.0)}, images=250, rtl=30)
    summary, _ = results(1)
    summary |= judged(points, labels)
    spent = {"budget": 10, "looks": 3, "draws": {"a": 15}, "ended": "the budget was spent"}
    summary |= {"further": spent, "seconds": {"further": 12.3}}
    html = html_of(tmp_path, summary, curve_table(points, labels, "accuracy"))
    shown = summary["detectable"]["disagreement"]
    assert f"its verdict is disagree at a difference of {100 * shown:.1f} %" in html
    assert "15 more at a in 12 s of this run. The walk was analysed 3 times" in html
    assert "because the budget was spent" in html
    for entry in summary["sites"].values():
        assert entry["verdict"] == "undecided" and need_sentence(entry) in html
        assert need_sentence(entry)
    for side, images in (("golden", 250), ("rtl", 30)):
        first = summary["sites"]["a"]["differences"][side][0]
        difference = "{:.2f} % [{:.2f}, {:.2f}]".format(*(100 * v for v in first["difference"]))
        row = f'<td>{Side(side).label}</td><td class="n">{images}</td>'
        assert row in html and difference in html
    assert need_sentence({"need": {"images": None, "draws": None}}).startswith("Even 100 times")


def test_steps_from_software_to_rtl(tmp_path: Path) -> None:
    summary, curves = results(1)
    assert "Why they differ" not in html_of(tmp_path, summary, curves)
    step = {
        "step": "fixed point", "mu_before": [2.0, 1.9, 2.1], "mu_after": [1.7, 1.6, 1.8],
        "ratio": [0.85, 0.84, 0.86], "moved": True, "beyond": True, "images": 2000, "draws": 4,
    }  # fmt: skip
    summary["ablation"] = {
        "conv0.acc": {"sentence": "moves at: fixed point", "steps": [step]},
        "conv0.weight": {"sentence": "not done for weights", "steps": []},
    }
    html = html_of(tmp_path, summary, curves)
    assert "<b>conv0.acc</b> moves at: fixed point." in html
    assert "<b>conv0.weight</b> not done for weights." in html
    cells = (
        Side.INTEGER_HARDWARE_RNG.label.replace("'", "&#39;"),
        Side.GOLDEN.label,
        "2 [1.9, 2.1]",
    )
    assert "".join(f"<td>{cell}</td>" for cell in cells) in html
    assert "<td>0.850 [0.840, 0.860]</td><td>yes, beyond ± 10 %</td>" in html


@pytest.mark.parametrize("devices", [1, 6])
def test_one_device_is_called_so(tmp_path: Path, devices: int) -> None:
    """Where images share their noise: what has an interval over devices shows it, the rest none."""
    points, labels = device_walk(devices, rtl=30)
    summary, _ = results(1)
    summary |= judged(points, labels, resamples=199)
    curves = curve_table(points, labels, "accuracy")
    html = html_of(tmp_path, summary, curves)
    entry = summary["sites"]["fc0.weight"]
    assert (
        f"{midpoint_text(entry['mu_rtl'])}, of one device" in html and "<td>one device</td>" in html
    )
    for name in ("mu_sw", "mu_golden", "mu_crn"):
        one = f"{midpoint_text(entry[name])}, of one device" in html
        assert one == (devices == 1), name
    assert need_sentence(entry) in html and "images alone would not" in need_sentence(entry)
    panel = plot_curves(summary, curves).axes[0]
    intervals = [line for line in panel.lines if line.get_marker() == "|"]
    assert len(intervals) == (0 if devices == 1 else 2)


def test_mismatches_are_told() -> None:
    summary, curves = results(2)
    summary["sites"]["conv1.acc"] |= {"bit_mismatches": 3, "verdict": "disagree"}
    summary["rtl"]["bit_mismatches"] = 3
    summary["verdict"] = "disagree"
    said = verdict_sentence(summary)
    assert said.startswith("Disagree: the sides differ at conv1.acc") and "in 3 of 1,920" in said
    texts = [text.get_text() for text in plot_curves(summary, curves).axes[1].texts]
    assert "RTL ≠ golden on 3 images" in texts


def test_a_part_of_the_network_does_not_pass_for_all_of_it(tmp_path: Path) -> None:
    """Verdict, picture and tables say so; where all of it was simulated, none does."""
    summary, curves = results(2)
    curves["scope"] = np.where(curves["side"] == "rtl", "full", None)
    for part in (False, True):
        if part:
            summary["rtl"]["scope"] = "site"
            entry = summary["sites"]["conv1.acc"]
            entry |= {"rtl_scope": "site", "rtl_begins": "the unit of conv1.acc"}
            summary["sites"]["conv0.acc"] |= {"rtl_scope": "full", "rtl_begins": "the input"}
            curves.loc[(curves["side"] == "rtl") & (curves["site"] == "conv1.acc"), "scope"] = (
                "site"
            )
        html = html_of(tmp_path, summary, curves)
        (legend,) = plot_curves(summary, curves).legends
        labels = [text.get_text() for text in legend.get_texts()]
        assert ("RTL (simulated from the noisy site on)" in labels) == part
        assert ("simulated with noise only from the noisy site on" in html) == part
        assert (
            "conv0.acc: behind the input; conv1.acc: behind the unit of conv1.acc" in html
        ) == part
        assert html.count("<small>simulated from the site on</small>") == part
        assert html.count("RTL (simulated), from the site on") == 7 * part
        assert f"RTL scope: {'site, not the whole network' if part else 'full'}" in html


def test_the_first_divergence_is_shown_only_where_there_is_one(tmp_path: Path) -> None:
    summary, curves = results(1)
    assert "First divergence" not in html_of(tmp_path, summary, curves)
    found = Divergence(
        "the tap at conv1.acc", "NoiseTap_rtl_3", "NoiseTap_rtl_3_out0", 17, (4, 5), 3, -3072, 21,
        8, 1234, Path("run/window.fst"),
    )  # fmt: skip
    located = Localisation("image 17 alone", found, "additive noise of σ 2 at conv1.acc")
    html = html_of(tmp_path, summary | {"divergence": located.to_json()}, curves)
    assert (
        "Additive noise of σ 2 at conv1.acc: image 17, the tap at conv1.acc (NoiseTap_rtl_3), "
        "pixel (row 4, column 5), channel 3: RTL -3,072, golden 21, in LSB / 2^8; seen when "
        "simulating image 17 alone."
    ) in html
    assert "<code>gtkwave run/window.fst</code><br>at 1,234 ns" in html
    assert "row 4, column 5" in html and "NoiseTap_rtl_3_out0_data" in html
    lost = Localisation("images 0 to 9", None)
    html = html_of(tmp_path, summary | {"divergence": lost.to_json()}, curves)
    assert "The mismatch did not occur again when simulating images 0 to 9." in html
    assert "gtkwave" not in html


def test_missing_picture_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="write the curves first"):
        write_report(tmp_path / "report.html", *results(1), tmp_path / "none.png")
    assert list(tmp_path.iterdir()) == []
