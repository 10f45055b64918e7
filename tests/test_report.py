"""The picture and the report of a walk, from made-up results."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer

from flow.curves import plot_curves, write_curves
from flow.errors import UserError
from flow.midpoint import logistic, wilson
from flow.report import definition, verdict_sentence, write_report

IMAGES = {"software": 2000, "golden": 2000, "rtl": 128, "software-hwdraws": 2000}
CLEAN = 0.86
HOSTILE = "<script>alert(1)</script>$x_{$"


def results(count: int = 4, seeds: int = 1) -> tuple[dict[str, Any], pd.DataFrame]:
    """Make a walk whose sides agree."""
    rng = np.random.default_rng(0)
    rows = [("", "additive", 0.0, 0, s, n, round(CLEAN * n)) for s, n in IMAGES.items()]
    sites: dict[str, Any] = {}
    for number in range(count):
        mu, k, name = 1.5 * 2.0**number, 2.0, f"conv{number}.acc"
        for sigma in np.geomspace(mu / 6, mu * 6, 7):
            p = float(logistic(sigma, mu, k, CLEAN, 0.1))
            rows += [
                (name, "additive", float(sigma), seed, side, n, int(rng.binomial(n, p)))
                for side, n in IMAGES.items()
                for seed in range(seeds)
            ]
        sites[name] = {
            "scale": 1.0, "mu_sw": [mu, 0.95 * mu, 1.05 * mu], "k_sw": k,
            "mu_hw": [1.01 * mu, 0.96 * mu, 1.06 * mu], "k_hw": k,
            "mu_rtl": [mu, 0.8 * mu, 1.25 * mu], "mu_crn": [mu, 0.95 * mu, 1.05 * mu],
            "ratio": [1.01, 0.97, 1.05], "rtl_images": 128, "bit_mismatches": 0,
            "verdict": "agree", "reason": "",
        }  # fmt: skip
    columns = ["site", "kind", "sigma", "seed", "side", "images", "correct"]
    curves = pd.DataFrame(rows, columns=columns)
    curves["accuracy"] = curves["correct"] / curves["images"]
    curves["lo"], curves["hi"] = wilson(curves["correct"], curves["images"])
    runs = 128 * (1 + 7 * count)
    summary = {
        "model": "tfc-w2a2", "dataset": "fashion-mnist", "noise": "additive", "seed": 0,
        "unit": "real", "training_noise": None, "classes": 10, "verdict": "agree",
        "accuracy": {side: [CLEAN, 0.84, 0.88] for side in ("brevitas", "golden", "rtl")},
        "images": {"software": 2000, "golden": 2000, "rtl": 128},
        "checks": {
            "L0": {"images": 4, "tensors": 13, "mismatches": 0, "labels_compared": 2000,
                   "labels_differing": []},
            "L1": {"images": runs, "bit_mismatches": 0},
        },
        "rtl": {"engine": "cocotb 2.1.0 / verilator 5.048", "scope": "full", "images": runs,
                "bit_mismatches": 0, "cycles_per_image": 64, "seconds_per_image": 0.0008},
        "sites": sites, "seconds": {"compile": 40.0}, "versions": {"brevitas": "0.13.4"},
        "command": "noisewalk walk-hw --model tfc",
    }  # fmt: skip
    return summary, curves


def html_of(folder: Path, summary: dict[str, Any], curves: pd.DataFrame) -> str:
    picture = folder / "curves.png"
    picture.write_bytes(b"\x89PNG made up")
    write_report(folder / "report.html", summary, curves, picture)
    return (folder / "report.html").read_text(encoding="utf-8")


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


@pytest.mark.parametrize(
    "bound",
    [
        {"bound": "above", "level": 9.0},
        {"bound": "below", "level": 0.3},
        {"bound": "above", "level": 0.0},
    ],
)
def test_bounds_are_written_as_bounds(tmp_path: Path, bound: dict[str, Any]) -> None:
    summary, curves = results()
    nothing = {"ratio": None, "k_sw": None, "k_hw": None, "verdict": "undecided"}
    for entry in summary["sites"].values():
        entry |= {key: bound for key in ("mu_sw", "mu_hw", "mu_rtl", "mu_crn")} | nothing
    summary["verdict"] = "undecided"
    write_curves(tmp_path / "bound.png", summary, curves)
    sign = "&gt;" if bound["bound"] == "above" else "&lt;"
    assert f"<td>{sign} {bound['level']:.3g}</td>" in html_of(tmp_path, summary, curves)


def test_files_are_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    summary, curves = results()
    write_curves(tmp_path / "curves.png", summary, curves)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    write_report(tmp_path / "report.html", summary, curves, tmp_path / "curves.png")
    assert {p.name for p in tmp_path.iterdir()} == {"curves.png", "report.html"}


def test_verdict_comes_first_and_all_sites_appear(tmp_path: Path) -> None:
    summary, curves = results(9)
    html = html_of(tmp_path, summary, curves)
    verdict, picture = html.index(verdict_sentence(summary).split("'")[0]), html.index("<img")
    assert verdict < picture < html.index("<table")
    assert definition() in html
    assert '<th scope="row">conv8.acc</th>' in html and "unit of the layer" in html
    assert html.count("<table") == html.count("<caption")
    for name in summary["sites"]:
        assert f'<tr><th scope="row">{name}</th>' in html


def test_html_is_self_contained_and_escaped(tmp_path: Path) -> None:
    summary, curves = results(2)
    summary["model"] = HOSTILE
    summary["sites"]["conv0.acc"]["reason"] = HOSTILE
    html = html_of(tmp_path, summary, curves)
    assert "<script" not in html and "&lt;script&gt;" in html
    assert not re.search(r"https?://|<link|@import|src=\"(?!data:)|href=", html)
    write_curves(tmp_path / "hostile.png", summary, curves)


def test_golden_never_passes_for_simulated(tmp_path: Path) -> None:
    summary, curves = results(2)
    assert "not borne out by RTL" not in html_of(tmp_path, summary, curves)
    entry = summary["sites"]["conv1.acc"]
    entry |= {"rtl_images": 0, "mu_golden": entry["mu_hw"], "mu_hw": None, "mu_rtl": None,
              "ratio": None, "verdict": "undecided"}  # fmt: skip
    curves = curves[~((curves["side"] == "rtl") & (curves["site"] == "conv1.acc"))]
    summary["verdict"] = "undecided"
    html = html_of(tmp_path, summary, curves)
    assert html.count("golden only, not borne out by RTL") == 1 and "not simulated" in html
    assert "not settle conv1.acc; 1 of 2 sites agree" in verdict_sentence(summary)
    texts = [text.get_text() for text in plot_curves(summary, curves).axes[1].texts]
    assert "not simulated in RTL" in texts


def test_mismatches_are_told() -> None:
    summary, curves = results(2)
    summary["sites"]["conv1.acc"] |= {"bit_mismatches": 3, "verdict": "disagree"}
    summary["rtl"]["bit_mismatches"] = 3
    summary["verdict"] = "disagree"
    said = verdict_sentence(summary)
    assert said.startswith("Disagree: the sides differ at conv1.acc") and "on 3 of 1,920" in said
    texts = [text.get_text() for text in plot_curves(summary, curves).axes[1].texts]
    assert "RTL ≠ golden on 3 images" in texts


def test_missing_picture_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="write the curves first"):
        write_report(tmp_path / "report.html", *results(1), tmp_path / "none.png")
    assert list(tmp_path.iterdir()) == []
