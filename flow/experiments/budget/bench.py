"""Measurement of plans on some images: with the golden model, whose noise is the hardware's."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from flow.errors import UserError
from flow.experiments.budget.knobs import ADC, EXECUTIONS, SIGMA
from flow.experiments.budget.response import Trial
from flow.experiments.budget.sources import Floats, Source, Space
from flow.experiments.site_levels import found_levels
from flow.golden.layers import ByteConvolution, Convolution, MatrixVector
from flow.golden.model import GoldenModel
from flow.golden.tiles import TileProducts
from flow.noise import Adc, Noise
from flow.noise.noise_map import NoiseMap
from flow.noise.site import MAP, Site
from flow.rtl.throughput import executed_nodes
from flow.walks.points.point import NoisePoint, Point, PointRequest
from flow.walks.points.side import Side
from flow.walks.sides.golden import Labels
from flow.walks.walk import Walk

Weighted = MatrixVector | Convolution | ByteConvolution
BITS_IMAGES = 1000
"""Number of images for measuring bits at single sites."""
DIGITS = 4
"""Significant digits of σ in a plan and its noise map."""


class Outcome(NamedTuple):
    """Changes by noise, image by image: means over the draws."""

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
    """Changes by a single source of noise."""

    log_mu: float
    """Logarithm of the relative noise at which half of the accuracy is lost; the
    largest of a lattice if it loses less."""
    trials: list[Trial]


class Bench(Protocol):
    """Measures plans."""

    @property
    def images(self) -> int:
        """Number of images."""

    @property
    def ceiling(self) -> float:
        """Share of predictions that differ under overwhelming noise."""

    @property
    def all_lost(self) -> float:
        """Loss of accuracy there."""

    @property
    def random(self) -> bool:
        """Whether noise draws differ."""

    def alone(self, name: str) -> Alone:
        """Measure a single source, from no effect to guessing."""

    def measure(self, log_noise: Floats, draws: int) -> Outcome:
        """Measure a plan, log x of each source, with this many noise draws."""


@dataclass(frozen=True)
class GoldenBench:
    """A `Bench` of the golden model.

    Points are taken from the walk's store, or measured and stored.
    """

    walk: Walk
    """A walk without noise; its converters are in place at every point."""
    space: Space
    first_draw: int
    """Number of the first noise draw; selection and judgement use different ones."""
    converter_of: Callable[[str, int], Adc] | None = None
    """ADC of a site for a number of bits, if bits vary."""
    noise_map: Mapping[str, Noise] = field(default_factory=dict)
    """Noise of a single execution by site, if executions vary."""

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.walk.context.inputs)

    @property
    def ceiling(self) -> float:
        """Share of predictions that differ under overwhelming noise; as `Bench`."""
        return 1 - self.walk.reference.guess

    @property
    def all_lost(self) -> float:
        """Loss of accuracy under overwhelming noise; as `Bench`."""
        right = float((self.clean.predictions == self.walk.labels).mean())
        return right - self.walk.reference.guess

    @property
    def random(self) -> bool:
        """Whether noise draws differ; as `Bench`."""
        return self.space.knobs != [ADC]

    @cached_property
    def shares(self) -> Floats:
        """Error of σ = 1 relative to the standard deviation of the values, [sources]."""
        return np.array([share_of(self.walk, one.site) for one in self.space.sources])

    def settled(self, log_noise: Floats) -> Floats:
        """Return log x after rounding to the digits of a noise map, [sources]."""
        plan = self.space.nearest(log_noise)
        values = (float(f"{v:.{DIGITS}g}") for v in np.exp(plan) / self.shares)
        return np.where(self.space.on_lattice, plan, np.log(list(values)) + np.log(self.shares))

    def map_of(self, log_noise: Floats) -> NoiseMap:
        """Return the noise map of a plan: noise, executions and ADC bits."""
        noises: dict[str, Noise] = {}
        bits = {site: adc.bits for site, adc in self.walk.context.placement.converters.items()}
        plan = self.settled(log_noise)
        for source, u, share in zip(self.space.sources, plan, self.shares, strict=True):
            if source.knob == SIGMA:
                sigma = float(f"{math.exp(u) / share:.{DIGITS}g}")
                noises[source.site] = self.walk.setting.noise(sigma)
            elif source.knob == EXECUTIONS:
                noises[source.site] = replace(
                    self.noise_map[source.site], executions=source.number(u)
                )
            else:
                bits[source.site] = source.number(u)
        return replace(NoiseMap.of(noises), adc=bits)

    def step_of(self, site: str, bits: int) -> float | None:
        """Return the step of a site's converter, in the unit of the layer's output."""
        return None if self.converter_of is None else self.converter_of(site, bits).real_step

    @cached_property
    def clean(self) -> Point:
        """Predictions without noise."""
        (one,) = self.walk.wanted([Side.GOLDEN], [NoisePoint("", 0.0)])
        return self.walk.run([one]).points[0]

    def alone(self, name: str) -> Alone:
        """Measure a single source; as `Bench`.

        Raises:
            UserError: the network only guesses.
        """
        number = self.space.names.index(name)
        source = self.space.sources[number]
        alone = self._bits if source.knob == ADC else self._levels
        points, log_noise, log_mu = alone(source)
        rows = np.full((len(points), len(self.space.sources)), -np.inf)
        rows[:, number] = log_noise
        trials = [self._outcome([p]).trial(u) for p, u in zip(points, rows, strict=True)]
        return Alone(log_mu, trials)

    def _levels(self, source: Source) -> tuple[list[Point], Floats, float]:
        """Measure noise of a site; return points, their log x, and log x of the midpoint."""
        walk, site, share = self.walk, source.site, share_of(self.walk, source.site)
        if source.knob == EXECUTIONS:
            # σ as a factor on the noise of one execution
            walk, site = self.mapped({site: self.noise_map[site]}), MAP
            share = math.exp(source.origin)
        search = found_levels(walk, site)
        if search.crossing is None:
            raise UserError("the network only guesses: there is no accuracy to lose")
        points = walk.run([one for one in search.points if one.place.sigma]).points
        log_noise = np.log([point.sigma * share for point in points])
        return points, log_noise, float(np.log(search.crossing * share))

    def _bits(self, source: Source) -> tuple[list[Point], Floats, float]:
        """Measure a converter at a site alone, from few to many bits; as `_levels`."""
        placement = replace(self.walk.context.placement, converter_of=self.converter_of)
        walk, images = self.walk.with_placement(placement), min(BITS_IMAGES, self.images)
        points: list[Point] = []
        for bits in reversed(source.numbers):
            (one,) = walk.wanted([Side.GOLDEN], [NoisePoint(source.site, float(bits))], images)
            points.insert(0, walk.run([one]).points[0])
            # two numbers of bits without effect: more bits have none either
            if not any(self._outcome([point]).changed.any() for point in points[:2]):
                break
        lost = np.array([self._outcome([point]).lost.mean() for point in points])
        after = np.flatnonzero(lost >= self.all_lost / 2)
        levels = source.levels[-len(points) :]
        last = int(after[0]) if len(after) else len(lost) - 1
        if not len(after) or not last:
            return points, levels, float(levels[last])
        pair = slice(last - 1, last + 1)
        return points, levels, float(np.interp(self.all_lost / 2, lost[pair], levels[pair]))

    def mapped(self, noises: Mapping[str, Noise], bits: Mapping[str, int] | None = None) -> Walk:
        """Return the walk of a noise map and of the converters that vary."""
        placement = self.walk.context.placement
        found = {
            site: self.converter_of(site, number)
            for site, number in (bits or {}).items()
            if self.converter_of is not None
        }
        return self.walk.with_placement(
            replace(
                placement,
                noise_map={site: self.averaged(site, one) for site, one in noises.items()},
                walks_map=bool(noises),
                converters={**placement.converters, **found},
            )
        )

    def averaged(self, site: str, noise: Noise) -> Noise:
        """Return noise of one execution that is distributed as the mean of all, if it exists."""
        k = noise.executions
        if k == 1 or not noise.averages or site in self.walk.context.placement.converters:
            return noise
        return replace(noise.scaled(1 / math.sqrt(k)), executions=1)

    def measure(self, log_noise: Floats, draws: int) -> Outcome:
        """Measure a plan; as `Bench`."""
        plan = self.map_of(log_noise)
        walk = self.mapped(plan.sites, plan.adc)
        draws = draws if self.random else 1
        places = [NoisePoint(MAP, 1.0, self.first_draw + number) for number in range(draws)]
        requests = [PointRequest(Side.GOLDEN, place, self.images) for place in places]
        sites = list(dict.fromkeys([*plan.named, *walk.context.placement.converters]))
        return self._outcome([walk.take(one, _labels(walk, sites)) for one in requests])

    def _outcome(self, points: Sequence[Point]) -> Outcome:
        images = points[0].images
        clean, labels = self.clean.predictions[:images], self.walk.labels[:images]
        right = clean == labels
        predicted = np.stack([point.predictions for point in points])
        changed = (predicted != clean).mean(axis=0, dtype=np.float32)
        lost = right - (predicted == labels).mean(axis=0, dtype=np.float32)
        return Outcome(np.asarray(changed), np.asarray(lost), len(points))


def _labels(walk: Walk, sites: Sequence[str]) -> Callable[[NoisePoint], Labels]:
    """Return a function that measures a place of a walk; plans share the clean part."""
    context = walk.context
    golden: GoldenModel = context.device_golden

    def labels(place: NoisePoint) -> Labels:
        part = context.clean.at(list(sites))
        found = golden.run(part, context.settings(place))
        return found.numpy().astype(context.network.label_type)

    return labels


def share_of(walk: Walk, site: str) -> float:
    """Return noise at σ = 1 relative to the standard deviation of a site's values."""
    return walk.setting.share_of(walk.context.sites[site].std)


class Work(NamedTuple):
    """Operations of a site's layer for an image, in the compiled graph."""

    rows: int | None
    """Number of products in the sum of one value; None if the site has no layer."""
    operations: float
    """Multiplications; without a layer one for each value."""
    values: float
    """Values of the site; an ADC converts each once."""
    cycles: float
    """Clock cycles of one execution, by the folding."""


def work_of(walk: Walk, site: str) -> Work:
    """Return the operations of a site's layer."""
    context, layers = walk.context, {one.output: one for one in walk.context.golden.layers}
    name = Site(site).accumulator(context.taps) if Site(site).layer else site
    tap, layer = context.taps[name], layers.get(context.golden.taps[name].inputs[0])
    values = float(tap.pixels * tap.channels)
    nodes = context.accelerator.manifest["nodes"]
    executed = executed_nodes(nodes, tap.node)
    cycles = float(max(node["cycles"] for node in nodes if node["name"] in executed))
    if isinstance(layer, TileProducts):
        products = values * len(layer.matrix) / len(layer.lengths)
        return Work(max(layer.lengths), products, values, cycles)
    rows = len(layer.matrix) if isinstance(layer, Weighted) else None
    return Work(rows, values * (rows or 1), values, cycles)
