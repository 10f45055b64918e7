"""Points of the compiled graph with noise in floating point, which ablation needs."""

from collections.abc import Iterator, Sequence

from flow.device import CPU
from flow.golden.float_noise import classify
from flow.walks.context import WalkContext
from flow.walks.points.measurement import Measured
from flow.walks.points.point import Point, PointRequest
from flow.walks.sides.software import sampler_of


def measure(
    context: WalkContext, requests: Sequence[PointRequest], found: Measured
) -> Iterator[Point]:
    """Measure points of one side, site and draw; levels share their samples."""
    side, place = requests[0].side, requests[0].place
    levels = [context.placement.at(one.place) for one in requests]
    sampler, noisy = sampler_of(context, side, place.draw, CPU), context.placement.noisy(place.site)
    # in float64, which not every device has
    part = context.clean.at(noisy).to(CPU)
    taps = {site: context.taps[site] for site in noisy}
    rows = classify(context.golden, part, taps, levels, sampler, context.batch)
    for one, labels in zip(requests, rows, strict=True):
        yield context.point(side, one.place, labels.astype(context.network.label_type))
