"""Speed-up of simulating a part of the network instead of the whole."""

import json
import tempfile
import time
from pathlib import Path

from torch import Tensor

from flow.callbacks import StageClock, no_progress
from flow.experiments.benchmarks.measure import Figure
from flow.noise.hardware.registers import TapSettings
from flow.rtl import simulate
from flow.rtl.design import Design
from flow.rtl.scope import SITE
from flow.walks.loading import prepare_walk
from flow.walks.points.point import NoisePoint
from flow.walks.settings import HardwareWalkSettings

WHOLE_IMAGES, PART_IMAGES = 16, 64
"""Images that a simulator has in its memory: of the whole network, and of a part."""
WHOLE_PASSES, PART_PASSES = 4, 9
"""Passes over these images in one measurement; for a part, as many as a walk has levels."""
LAYERS = 3
"""Number of layers measured, the last ones of the network."""
SIGMA = 2.0
"""Level of the additive noise, LSB."""


def run(settings: HardwareWalkSettings, rounds: int = 5) -> list[Figure]:
    """Measure the last layers of a network, each from its accumulator on, and the whole network.

    Args:
        settings: model, dataset and folding are used.
        rounds: number of rounds; each measures everything in turn.

    Returns:
        the figures; ratios are of the same round. Of the whole network, and of a part where not
        told otherwise, the time is that from the first clock to the last; "all included" adds
        what a part needs besides: golden's stream, the simulator's start, files.
    """
    prepared = prepare_walk(settings.changed(scope=SITE), StageClock(), no_progress)
    walk = prepared.walk
    sites = walk.context.network.accumulator_sites[-LAYERS:]
    whole = walk.context.designs.whole
    seen: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for site in sites:
            noise = walk.context.settings(NoisePoint(site, SIGMA * walk.context.sites[site].scale))
            seconds, _ = _seconds(whole, walk.context.stream[:WHOLE_IMAGES], noise, WHOLE_PASSES)
            alone, included = _seconds(
                walk.context.designs.at(site), walk.context.stream[:PART_IMAGES], noise, PART_PASSES
            )
            values = {
                f"RTL, whole network, noise at {site}": seconds,
                f"RTL from {site} on": alone,
                f"RTL from {site} on, all included": included,
            }
            ratios = {
                f"whole network : from {site} on": seconds / alone,
                f"whole network : from {site} on, all included": seconds / included,
            }
            for unit, some in (("s/image", values), ("ratio", ratios)):
                for name, value in some.items():
                    seen.setdefault((name, unit), []).append(value)
    return [Figure.of(name, unit, values) for (name, unit), values in seen.items()]


def _seconds(
    hardware: Design, images: Tensor, noise: dict[str, TapSettings], passes: int
) -> tuple[float, float]:
    """Return seconds per image in the simulator, and with everything before and after it."""
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder)
        started = time.perf_counter()
        points = [noise] * passes
        simulate.simulate(
            hardware.accelerator, hardware.simulation, hardware.feed(images), points, workdir
        )
        included = time.perf_counter() - started
        clocked = json.loads((workdir / "seconds.json").read_text())
    count = len(images) * passes
    return clocked / count, included / count
