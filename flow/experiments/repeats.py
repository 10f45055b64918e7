"""Noisy layers that are executed several times in hardware: accuracy over cycles per image.

At each site the noise level is twice the site's midpoint. The tap repeats an execution k times and
passes on the mean, both in the golden model and in the simulated RTL, which are compared bit for
bit. The cycles per image are those of a design that executes the layer k times
(`flow.rtl.throughput`).
"""

from dataclasses import replace
from typing import Any

import pandas as pd

from flow.callbacks import ProgressCallback, StageClock
from flow.errors import OptionError
from flow.experiments.results import ExperimentRun
from flow.experiments.settings import RepeatSettings
from flow.experiments.site_levels import golden_curve
from flow.report import files
from flow.report.plots import repeats
from flow.rtl.throughput import cycles_per_image
from flow.statistics.midpoint import midpoint
from flow.walks.effort import Effort
from flow.walks.engine.engine import Engine
from flow.walks.loading import prepare_walk
from flow.walks.points.point import NoisePoint, Point
from flow.walks.points.side import Side
from flow.walks.walk import Walk

FACTOR = 2.0
"""Ratio of σ to the site's midpoint, where no σ is given."""


def run(
    settings: RepeatSettings,
    progress: ProgressCallback,
    command: str = "",
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Repeat executions in hardware, and compare the gain in accuracy with its cost in cycles.

    Args:
        settings: the user's settings.
        progress: called with the progress.
        command: the command line.
        engine: runs the work; this process if not given.

    Returns:
        The content of ``repeats.json``. If the folder holds a walk, its page is written again.

    Raises:
        UserError: as for `flow.experiments.hardware_walk.walk_hw`.
    """
    this = ExperimentRun(command)
    prepared = prepare_walk(settings, StageClock(), progress, engine)
    walk, folder = prepared.walk, prepared.folder
    unknown = [site for site in prepared.sites if site not in walk.context.taps]
    if unknown:
        raise OptionError("sites", f": {unknown[0]} has no tap that repeats: choose others")
    effort = Effort.of(settings, walk.context.accelerator, len(walk.context.inputs))
    progress("build simulator", 0, 1)
    _ = walk.context.designs.whole.simulation
    progress("build simulator", 1, 1)
    rows: list[dict[str, Any]] = []
    for number, site in enumerate(prepared.sites):
        progress("repeats", number, len(prepared.sites))
        place = NoisePoint(site, settings.sigma or FACTOR * midpoint_of_site(walk, site))
        rows += [_row(walk, place, k, effort.hw_images) for k in settings.repeats]
    progress("repeats", len(prepared.sites), len(prepared.sites))
    table = pd.DataFrame(rows)
    found = {
        **describe_walk(walk, settings.dataset, effort.hw_images),
        "clean": clean_point(walk).accuracy(walk.labels),
        "bit_mismatches": int(table["bit_mismatches"].sum()),
        "rows": rows,
    }
    result = this.write(folder, "repeats", found, table, repeats.write)
    if (folder / "summary.json").exists():
        # the page of a walk shows repeats
        files.rewrite(folder)
    return result


def describe_walk(walk: Walk, dataset: str, hw_images: int) -> dict[str, Any]:
    """Return what a summary says about a walk, and the images of its sides."""
    return {
        "model": walk.context.network.name,
        "dataset": dataset,
        "noise": walk.context.setting.kind,
        "measure": walk.reference.measure,
        "images": {"golden": len(walk.context.inputs), "rtl": hw_images},
    }


def clean_point(walk: Walk) -> Point:
    """Return the golden model's point without noise."""
    (clean,) = walk.run(walk.wanted([Side.GOLDEN], [NoisePoint("", 0.0)])).points
    return clean


def _row(walk: Walk, place: NoisePoint, k: int, images: int) -> dict[str, Any]:
    """Return what k executions at a site gain and cost; arguments and errors as of `measure`."""
    golden, rtl = measure(walk, place, k, images)
    return {
        "site": place.site,
        "sigma": place.sigma,
        "executions": k,
        "cycles_per_image": cycles_per_image(walk.context.accelerator, {place.site: k}),
        "golden": golden.accuracy(walk.labels),
        "rtl": rtl.accuracy(walk.labels),
        "rtl_images": rtl.images,
        "bit_mismatches": rtl.bit_mismatches,
    }


def measure(walk: Walk, place: NoisePoint, k: int, images: int) -> tuple[Point, Point]:
    """Return a point of k executions in the golden model and in RTL.

    Args:
        walk: a walk whose simulator is built.
        place: site and noise level.
        k: executions.
        images: images in RTL.

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
    curve = golden_curve(walk, site)
    found = midpoint(curve, walk.reference.guess)
    return found.mu or float(curve.levels[-1]) / FACTOR
