"""Check of the hardware's samples themselves, independent of any network.

The samples that the walk's seed draws at its sites must pass tests for being standard normal and
independent
(`flow.statistics.random_samples`). This check finds faults that the accuracy hardly shows, such as
a block that occurs twice. The distribution is that of the normal table, which empirical noise
replaces by a table of its own; the random words behind both are the same.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from flow.noise.gaussian import FRACTION_BITS
from flow.noise.hardware.fixed_point import draw_samples
from flow.noise.samplers import DRAWS
from flow.statistics.random_samples import Figure, Samples, correlation, figures
from flow.walks.context import WalkContext
from flow.walks.points.point import NoisePoint

SAMPLES = 1 << 18
"""Samples of each site and draw, unless all its images have fewer."""


@dataclass(frozen=True)
class SampleCheck:
    """Figures of the samples of a walk."""

    samples: int
    """Number of samples, over all sites."""
    figures: Sequence[tuple[str, Figure]]
    """With the sites that each is of."""

    @property
    def failed(self) -> list[str]:
        """Figures outside their limits, in words."""
        return [f"{site}: {figure}" for site, figure in self.figures if not figure.holds]

    @property
    def good(self) -> bool:
        """Whether every figure lies within its limits."""
        return not self.failed

    def to_json(self) -> dict[str, Any]:
        """Return the summary's ``checks.samples``."""
        return {
            "samples": self.samples,
            "failed": self.failed,
            "figures": [{"site": site} | asdict(figure) for site, figure in self.figures],
        }


def check_samples(context: WalkContext, sites: Sequence[str]) -> SampleCheck:
    """Check the samples that the walk's first noise draw takes at sites.

    Args:
        context: the walk.
        sites: the sites; those of weights have no samples for each image and are left out.
    """
    noisy = dict.fromkeys(one for site in sites for one in context.placement.noisy(site))
    drawn = {site: _drawn(context, site) for site in noisy if site in context.taps}
    found = [
        (f"{site}, z{draw + 1}", figure)
        for site, draws in drawn.items()
        for draw, samples in enumerate(draws)
        for figure in figures(samples)
    ]
    found += _between(drawn)
    count = sum(samples.size for draws in drawn.values() for samples in draws)
    return SampleCheck(count, found)


def _drawn(context: WalkContext, site: str) -> list[Samples]:
    """Return z₁ and z₂ of one site, [images, elements] each."""
    tap, elements = context.taps[site], context.taps[site].pixels * context.taps[site].channels
    seed = context.seed_of(NoisePoint(site, 0.0))
    images = max(2, min(len(context.inputs), math.ceil(SAMPLES / elements)))
    return [
        draw_samples(seed, tap.number, draw, 0, images, elements).numpy().astype(np.float32)
        / np.float32(1 << FRACTION_BITS)
        for draw in range(DRAWS)
    ]


def _between(drawn: dict[str, list[Samples]]) -> Iterator[tuple[str, Figure]]:
    """Yield the correlations of a site's two draws, and of neighbouring sites."""
    for site, (first, second) in drawn.items():
        yield site, correlation("z1 and z2", first, second)
    for (one, ours), (other, theirs) in pairwise(drawn.items()):
        rows, columns = np.minimum(ours[1].shape, theirs[1].shape)
        a, b = (draws[1][:rows, :columns] for draws in (ours, theirs))
        yield f"{one} and {other}", correlation("the sites", a, b)
