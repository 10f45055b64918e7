"""Summaries and curves of made-up walks in hardware."""

from typing import Any

import numpy as np
import pandas as pd

from flow.statistics.intervals import wilson
from flow.statistics.logistic import logistic
from flow.walks.crosscheck.preliminary import with_points
from flow.walks.points.curves import curve_table
from flow.walks.summaries import HardwareWalkSummary, Progress
from flow.walks.summaries.upgrade import upgraded
from tests.helpers.synthetic import walk

IMAGES = {"software": 2000, "golden": 2000, "rtl": 128, "software-hwdraws": 2000}


CLEAN = 0.86


def results(count: int = 4, seeds: int = 1) -> tuple[dict[str, Any], pd.DataFrame]:
    """Make a walk whose sides agree; its summary is that of an old version, upgraded."""
    summary, curves = old_results(count, seeds)
    return HardwareWalkSummary.model_validate(upgraded(summary)).model_dump(mode="json"), curves


def old_results(count: int = 4, seeds: int = 1) -> tuple[dict[str, Any], pd.DataFrame]:
    """Make a walk whose sides agree, as the first versions wrote it."""
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
        "design": "independent", "random_numbers": None,
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


def unfinished(*, running: bool) -> tuple[dict[str, Any], pd.DataFrame]:
    """Make a walk of two sites that lacks RTL at the second, and every point of its third side."""
    points, labels = walk({"conv0.acc": (2.0, 2.0), "conv1.acc": (4.0, 2.0)})
    kept = [p for p in points if p.side != "rtl" or p.site != "conv1.acc"]
    begun, _ = results(2)
    begun |= {"complete": False, "verdict": None}
    progress = Progress(
        running=running,
        done={"software": 38, "golden": 19, "rtl": 10},
        planned={"software": 38, "golden": 19, "rtl": 19},
    )
    found = with_points(HardwareWalkSummary.model_validate(begun), kept, labels, progress)
    return found.model_dump(mode="json"), curve_table(kept, labels, "accuracy")
