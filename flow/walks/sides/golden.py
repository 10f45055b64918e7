"""Points of the golden model, whose noise is that of the hardware bit for bit."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from flow.golden.model import Draws, GoldenModel, Subgraph
from flow.noise.hardware.fixed_point import draw_samples
from flow.noise.hardware.weights import draw_errors
from flow.walks.context import WalkContext
from flow.walks.points.measurement import Measured
from flow.walks.points.point import NoisePoint, Point, PointRequest

Labels = npt.NDArray[np.unsignedinteger]


def measure(
    context: WalkContext, requests: Sequence[PointRequest], found: Measured
) -> Iterator[Point]:
    """Measure points of one site and draw: clean prefix and samples are computed once."""
    golden: GoldenModel = context.device_golden
    site, draw, images = requests[0].place.site, requests[0].place.draw, requests[0].images
    if site:
        part = context.clean.at(site).first(images)
        draws = samples(context, site, draw, images)
    for one in requests:
        if site:
            labels = golden.run(part, context.settings(one.place), draws=draws)
        else:
            labels = golden.run(context.stream[:images])
        kind = context.network.label_type
        yield context.point(one.side, one.place, labels.numpy().astype(kind))


def samples(context: WalkContext, site: str, draw: int, images: int) -> Draws:
    """Draw what the levels of one site and draw share."""
    # any level that the registers hold has the same samples
    taken = context.settings(NoisePoint(site, context.largest_level(site) / 2, draw))[site]
    if site in context.weights:
        levels = enumerate((taken.sigma_mul, taken.sigma_add))
        weights = context.weights[site]
        used = [d for d, sigma in levels if sigma]
        return {site: {d: draw_errors(weights, taken.seed, d, context.device) for d in used}}
    if taken.executions > 1:
        # too many to hold
        return {}
    tap = context.taps[site]
    size = (0, images, tap.pixels * tap.channels)
    return {
        site: {
            d: draw_samples(taken.seed, tap.number, d, *size, taken.table_of(d), context.device)
            for d in taken.draws
        }
    }


def first_images(context: WalkContext, site: str, images: int) -> Callable[[NoisePoint], Labels]:
    """Return what measures places of one site, or without noise, in draw 0 on the first images.

    What the levels share is computed once, when it is first needed.
    """
    golden: GoldenModel = context.device_golden
    kind = context.network.label_type

    @cache
    def shared() -> tuple[Subgraph, Draws]:
        return golden.before(site, context.stream[:images]), samples(context, site, 0, images)

    def labels(place: NoisePoint) -> Labels:
        if not place.site:
            return golden.run(context.stream[:images]).numpy().astype(kind)
        part, draws = shared()
        return golden.run(part, context.settings(place), draws=draws).numpy().astype(kind)

    return labels
