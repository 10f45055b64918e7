"""Measurement of plans on some images: with the golden model, whose noise is the hardware's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from flow.errors import UserError
from flow.experiments.budget.cost import Floats
from flow.experiments.budget.response import Trial
from flow.experiments.site_levels import found_levels
from flow.golden.layers import ByteConvolution, Convolution, MatrixVector
from flow.golden.model import GoldenModel
from flow.golden.tiles import TileProducts
from flow.noise import Noise
from flow.noise.site import MAP, Site
from flow.walks.points.point import NoisePoint, Point, PointRequest
from flow.walks.points.side import Side
from flow.walks.sides.golden import Labels
from flow.walks.walk import Walk

Weighted = MatrixVector | Convolution | ByteConvolution
DIGITS = 4
"""Significant digits of σ: a plan is what its noise map says."""


class Outcome(NamedTuple):
    """What noise changed, image by image: means over the draws."""

    changed: npt.NDArray[np.float32]
    """[images], share of draws with another prediction than without noise."""
    lost: npt.NDArray[np.float32]
    """[images], right without noise minus right with noise."""
    draws: int

    def trial(self, log_noise: Floats) -> Trial:
        """Return the plan with the means over the images."""
        return Trial(
            log_noise,
            float(self.changed.mean(dtype=np.float64)),
            float(self.lost.mean(dtype=np.float64)),
            len(self.changed) * self.draws,
        )


class Alone(NamedTuple):
    """What noise at one site alone changes."""

    log_mu: float
    """Logarithm of the noise at which half of the accuracy is lost, as a share of the values."""
    trials: list[Trial]


class Bench(Protocol):
    """What plans are measured on."""

    @property
    def sites(self) -> Sequence[str]:
        """Names of the noisy sites."""

    @property
    def images(self) -> int:
        """Number of images."""

    @property
    def ceiling(self) -> float:
        """Share of predictions that differ where noise drowns everything."""

    @property
    def all_lost(self) -> float:
        """Loss of accuracy there."""

    def alone(self, site: str) -> Alone:
        """Measure a site alone, from no effect to guessing."""

    def measure(self, log_noise: Floats, draws: int) -> Outcome:
        """Measure a plan, log x of each site, with so many noise draws."""


@dataclass(frozen=True)
class GoldenBench:
    """A `Bench` of the golden model.

    Points are taken from the walk's store, or measured and stored.
    """

    walk: Walk
    sites: Sequence[str]
    first_draw: int
    """Number of the first noise draw; selection and judgement have different ones."""

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.walk.context.inputs)

    @property
    def ceiling(self) -> float:
        """Share of predictions that differ where noise drowns everything; as `Bench`."""
        return 1 - self.walk.reference.guess

    @property
    def all_lost(self) -> float:
        """Loss of accuracy where noise drowns everything; as `Bench`."""
        right = float((self.clean.predictions == self.walk.labels).mean())
        return right - self.walk.reference.guess

    @cached_property
    def shares(self) -> Floats:
        """Noise at σ = 1 as a share of the standard deviation of each site's values, [sites]."""
        context = self.walk.context
        return np.array([context.setting.share_of(context.sites[s].std) for s in self.sites])

    @cached_property
    def largest(self) -> Floats:
        """Largest log x of each site that the registers hold, [sites]."""
        context = self.walk.context
        return np.log([context.largest_level(site) for site in self.sites]) + np.log(self.shares)

    @cached_property
    def smallest(self) -> Floats:
        """Log x of one step of the registers at each site, [sites]."""
        return self.largest - np.log(1 << 24)

    def sigmas(self, log_noise: Floats) -> dict[str, float]:
        """Return σ of each site, in the unit of the layer's output, for log x."""
        values = np.exp(log_noise) / self.shares
        rounded = (float(f"{value:.{DIGITS}g}") for value in values)
        return dict(zip(self.sites, rounded, strict=True))

    def noises(self, log_noise: Floats) -> dict[str, Noise]:
        """Return the noise of each site for log x."""
        setting = self.walk.setting
        return {site: setting.noise(sigma) for site, sigma in self.sigmas(log_noise).items()}

    @cached_property
    def clean(self) -> Point:
        """Predictions without noise."""
        (one,) = self.walk.wanted([Side.GOLDEN], [NoisePoint("", 0.0)])
        return self.walk.run([one]).points[0]

    def alone(self, site: str) -> Alone:
        """Measure a site alone; as `Bench`.

        Raises:
            UserError: the network only guesses.
        """
        search = found_levels(self.walk, site)
        if search.crossing is None:
            raise UserError("the network only guesses: there is no accuracy to lose")
        share = self.shares[self.sites.index(site)]
        trials = []
        for point in self.walk.run([one for one in search.points if one.place.sigma]).points:
            alone = np.full(len(self.sites), -np.inf)
            alone[self.sites.index(site)] = np.log(point.sigma * share)
            trials.append(self._outcome([point]).trial(alone))
        return Alone(float(np.log(search.crossing * share)), trials)

    def measure(self, log_noise: Floats, draws: int) -> Outcome:
        """Measure a plan; as `Bench`."""
        walk = self.walk.with_placement(
            replace(self.walk.context.placement, noise_map=self.noises(log_noise), walks_map=True)
        )
        places = [NoisePoint(MAP, 1.0, self.first_draw + number) for number in range(draws)]
        requests = [PointRequest(Side.GOLDEN, place, self.images) for place in places]
        return self._outcome([walk.take(one, _labels(walk, self.sites)) for one in requests])

    def _outcome(self, points: Sequence[Point]) -> Outcome:
        images = points[0].images
        clean, labels = self.clean.predictions[:images], self.walk.labels[:images]
        right = clean == labels
        predicted = np.stack([point.predictions for point in points])
        changed = (predicted != clean).mean(axis=0, dtype=np.float32)
        lost = right - (predicted == labels).mean(axis=0, dtype=np.float32)
        return Outcome(np.asarray(changed), np.asarray(lost), len(points))


def _labels(walk: Walk, sites: Sequence[str]) -> Callable[[NoisePoint], Labels]:
    """Return what measures a place of a walk of a map; what is clean is shared by all plans."""
    context = walk.context
    golden: GoldenModel = context.device_golden

    def labels(place: NoisePoint) -> Labels:
        part = context.clean.at(list(sites))
        found = golden.run(part, context.settings(place))
        return found.numpy().astype(context.network.label_type)

    return labels


def halves(walk: Walk) -> tuple[Walk, Walk]:
    """Return the walk on its even images, and on its odd ones."""
    return walk.on_images(slice(0, None, 2)), walk.on_images(slice(1, None, 2))


class Work(NamedTuple):
    """What the layer of a site computes for an image, in the compiled graph."""

    rows: int | None
    """Products of which one value is the sum; None if the site has no layer."""
    operations: float
    """Multiplications; without a layer one for each value."""


def work_of(walk: Walk, site: str) -> Work:
    """Return what the layer of a site computes."""
    context, layers = walk.context, {one.output: one for one in walk.context.golden.layers}
    name = Site(site).accumulator(context.taps) if Site(site).layer else site
    tap, layer = context.taps[name], layers.get(context.golden.taps[name].inputs[0])
    values = float(tap.pixels * tap.channels)
    if isinstance(layer, TileProducts):
        return Work(max(layer.lengths), values * len(layer.matrix) / len(layer.lengths))
    rows = len(layer.matrix) if isinstance(layer, Weighted) else None
    return Work(rows, values * (rows or 1))
