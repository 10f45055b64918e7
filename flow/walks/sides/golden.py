"""Points of the golden model, with the hardware's noise bit for bit."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from torch import Tensor

from flow.golden.model import Draws, GoldenModel, Subgraph
from flow.noise.hardware.fixed_point import draw_samples
from flow.noise.hardware.registers import TapSettings
from flow.noise.hardware.weights import draw_errors
from flow.walks.context import WalkContext
from flow.walks.points.measurement import Measured
from flow.walks.points.point import NoisePoint, Point, PointRequest

Labels = npt.NDArray[np.unsignedinteger]

MOST_SAMPLES = 1 << 28
"""Number of samples kept for the levels of a site; further ones are drawn again at each level."""


def measure(
    context: WalkContext, requests: Sequence[PointRequest], found: Measured
) -> Iterator[Point]:
    """Measure points of one site and draw: clean prefix and samples are computed once."""
    golden: GoldenModel = context.device_golden
    site, draw, images = requests[0].place.site, requests[0].place.draw, requests[0].images
    noisy = context.placement.noisy(site)
    if noisy:
        part = context.clean.at(noisy).first(images)
        draws = samples(context, site, draw, images)
    for one in requests:
        if noisy:
            labels = golden.run(part, context.settings(one.place), draws=draws)
        else:
            labels = golden.run(context.stream[:images])
        kind = context.network.label_type
        yield context.point(one.side, one.place, labels.numpy().astype(kind))


def samples(context: WalkContext, name: str, draw: int, images: int) -> Draws:
    """Draw the samples that the levels of one site, or of several together, share in one draw."""
    # every level that the registers hold has the same samples
    level = context.any_level(name) if name else 0.0
    room, found = MOST_SAMPLES, {}
    for site, taken in context.settings(NoisePoint(name, level, draw)).items():
        if site in context.weights:
            found[site] = _errors(context, site, taken)
            continue
        tap = context.taps[site]
        elements = tap.pixels * tap.channels
        room -= images * elements * len(taken.draws)
        # those of several executions are too many to keep
        if taken.executions > 1 or room < 0:
            continue
        found[site] = {
            d: draw_samples(
                taken.seed, tap.number, d, 0, images, elements, taken.table_of(d), context.device
            )
            for d in taken.draws
        }
    return found


def _errors(context: WalkContext, site: str, taken: TapSettings) -> dict[int, Tensor]:
    """Return the samples of a site's weights, by draw."""
    levels = enumerate((taken.sigma_mul, taken.sigma_add))
    weights = context.weights[site]
    return {d: draw_errors(weights, taken.seed, d, context.device) for d, sigma in levels if sigma}


def first_images(context: WalkContext, site: str, images: int) -> Callable[[NoisePoint], Labels]:
    """Return what measures places of one site, or of level 0, in draw 0 on the first images.

    What the levels share is computed once, when it is first needed.
    """
    golden: GoldenModel = context.device_golden
    kind = context.network.label_type

    noisy = context.placement.noisy(site)

    @cache
    def shared() -> tuple[Subgraph, Draws]:
        return golden.before(noisy, context.stream[:images]), samples(context, site, 0, images)

    def labels(place: NoisePoint) -> Labels:
        if not context.placement.at(place):
            return golden.run(context.stream[:images]).numpy().astype(kind)
        part, draws = shared()
        return golden.run(part, context.settings(place), draws=draws).numpy().astype(kind)

    return labels
