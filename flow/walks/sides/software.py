"""Points of the Brevitas network, with torch's random numbers or the hardware's."""

from collections.abc import Iterator, Sequence

import torch

from flow.models import Levels, evaluate, evaluate_groups
from flow.models.evaluation import Labels
from flow.noise import Sampler, TorchSampler
from flow.noise.hardware.sampler import HardwareSampler
from flow.noise.hardware.weights import WeightSampler
from flow.walks.context import WalkContext
from flow.walks.points.measurement import Measured
from flow.walks.points.point import Point, PointRequest
from flow.walks.points.side import Side


def sampler_of(context: WalkContext, side: Side, draw: int, device: torch.device) -> Sampler:
    """Return the sampler of a side with noise in floating point."""
    seed = context.setting.seed_of(draw)
    if side.has_hardware_rng:
        return WeightSampler(context.weights, seed, HardwareSampler(context.taps, seed, device))
    return TorchSampler(seed)


def measure(
    context: WalkContext, requests: Sequence[PointRequest], found: Measured
) -> Iterator[Point]:
    """Measure points of one site; levels, draws and sides share the clean part before it."""
    labels: dict[PointRequest, Labels] = {}
    inputs = context.inputs[: requests[0].images]
    if context.placement.noisy(requests[0].place.site):
        groups: dict[tuple[Side, int], list[PointRequest]] = {}
        for one in requests:
            groups.setdefault((one.side, one.place.draw), []).append(one)
        sides = evaluate_groups(
            context.device_network,
            inputs,
            [
                Levels(
                    [context.placement.at(one.place) for one in group],
                    sampler_of(context, side, draw, context.device),
                )
                for (side, draw), group in groups.items()
            ],
            batch=context.batch,
        )
        for group, rows in zip(groups.values(), sides, strict=True):
            labels |= dict(zip(group, rows, strict=True))
    else:
        labels = dict.fromkeys(
            requests, evaluate(context.device_network, inputs, batch=context.batch)
        )
    for one in requests:
        yield context.point(one.side, one.place, labels[one])
