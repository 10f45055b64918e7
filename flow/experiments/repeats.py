"""Noisy layers that are executed several times in hardware: accuracy over cycles per image.

At each site noise of twice its midpoint is put on, and its tap repeats an execution k times and
gives the mean, in the golden model and in the simulated RTL, which are held against each other bit
for bit. The cycles of an image are those of a design that executes the layer k times
(`flow.rtl.throughput`).
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from flow.callbacks import ProgressCallback, StageClock
from flow.errors import OptionError
from flow.experiments import hardware_walk
from flow.experiments.settings import RepeatSettings
from flow.files import write_json
from flow.report import files
from flow.report.plots import repeats
from flow.rtl.throughput import cycles_per_image
from flow.statistics.midpoint import midpoint
from flow.walks.engine.engine import Engine
from flow.walks.loading import prepare_walk
from flow.walks.points.curves import curve_of, write_curves
from flow.walks.points.point import NoisePoint, Point
from flow.walks.points.side import Side
from flow.walks.settings import Effort
from flow.walks.walk import Walk

FACTOR = 2.0
"""σ over the site's midpoint, when no σ is given."""


def run(
    settings: RepeatSettings,
    progress: ProgressCallback,
    command: str = "",
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Repeat in hardware, and compare what it brings with what it costs.

    Args:
        settings: the user's choice.
        progress: called with the progress.
        command: how the user asked for it.
        engine: does the work; this process if not given.

    Returns:
        what ``repeats.json`` holds; a page of a walk that is in the folder is written anew.

    Raises:
        UserError: as for `flow.experiments.hardware_walk.walk_hw`.
    """
    started = time.monotonic()
    opened = prepare_walk(settings, StageClock(), progress, engine)
    walk, folder = opened.walk, opened.folder
    unknown = [site for site in opened.sites if site not in walk.context.taps]
    if unknown:
        raise OptionError("sites", f": {unknown[0]} has no tap that repeats: choose others")
    effort = Effort.of(settings, walk.context.accelerator, len(walk.context.labels))
    progress("build simulator", 0, 1)
    _ = walk.context.designs.whole.simulation
    progress("build simulator", 1, 1)
    rows = []
    for number, site in enumerate(opened.sites):
        progress("repeats", number, len(opened.sites))
        sigma = settings.sigma or FACTOR * midpoint_of_site(walk, site)
        for k in settings.repeats:
            golden, rtl = measure(walk, NoisePoint(site, sigma), k, effort.hw_images)
            cycles = cycles_per_image(walk.context.accelerator, {site: k})
            rows.append(
                {
                    "site": site,
                    "sigma": sigma,
                    "executions": k,
                    "cycles_per_image": cycles,
                    "golden": golden.accuracy(walk.labels),
                    "rtl": rtl.accuracy(walk.labels),
                    "rtl_images": rtl.images,
                    "bit_mismatches": rtl.bit_mismatches,
                }
            )
    progress("repeats", len(opened.sites), len(opened.sites))
    table = pd.DataFrame(rows)
    (clean,) = walk.run(walk.wanted([Side.GOLDEN], [NoisePoint("", 0.0)])).points
    result = {
        "model": walk.context.network.name,
        "dataset": settings.dataset,
        "noise": walk.context.setting.kind,
        "images": {"golden": len(walk.context.labels), "rtl": effort.hw_images},
        "clean": clean.accuracy(walk.labels),
        "bit_mismatches": int(table["bit_mismatches"].sum()),
        "rows": rows,
        "command": command,
        "folder": str(folder),
        "seconds": round(time.monotonic() - started, 2),
    }
    write_curves(folder / "repeats.parquet", table)
    write_json(folder / "repeats.json", result)
    repeats.write(folder / "repeats.png", result, table)
    if (folder / "summary.json").exists():
        # a walk's page shows them
        files.write_report(files.Finished.read(folder))
    return result


def measure(walk: Walk, place: NoisePoint, k: int, images: int) -> tuple[Point, Point]:
    """Return a point of k executions in the golden model and in RTL.

    Args:
        walk: with its simulator.
        place: where, and of which level.
        k: executions.
        images: of the RTL.

    Raises:
        SimulationError: the simulator failed.
    """
    options = {**walk.context.setting.options, "executions": k}
    repeated = walk.with_setting(replace(walk.context.setting, options=options))
    wanted = [
        *repeated.wanted([Side.GOLDEN], [place]),
        *repeated.wanted([Side.RTL], [place], images),
    ]
    found = repeated.run(wanted)
    for failure in found.failures:
        raise failure.error
    golden, rtl = found.points
    return golden, rtl


def midpoint_of_site(walk: Walk, site: str) -> float:
    """Return a site's midpoint in the golden model, or half the last level if it has none."""
    levels = hardware_walk.found_levels(walk, site)
    places = [NoisePoint("", 0.0), *(NoisePoint(site, sigma) for sigma in levels)]
    points: Sequence[Point] = walk.run(walk.wanted([Side.GOLDEN], places)).points
    curve = curve_of(points, walk.context.labels, site, Side.GOLDEN)
    assert curve is not None
    found = midpoint(curve, 1 / walk.context.network.classes)
    return found.mu or levels[-1] / FACTOR
