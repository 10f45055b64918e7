"""Noise walks on all sides: which points there are, what each depends on, and who measures them."""

import logging
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from flow.compiler.accelerator import Accelerator
from flow.data.reference import Reference
from flow.device import CPU
from flow.device import key as device_key
from flow.models import Network
from flow.noise.site import JOINT
from flow.numerics import code_digest
from flow.rtl.design import Designs
from flow.rtl.scope import FULL
from flow.walks.context import WalkContext
from flow.walks.engine.engine import Engine, SerialExecutor, Task
from flow.walks.points.measurement import Batch, Measured, propagate_mismatches
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint, Point, PointRequest
from flow.walks.points.side import SOFTWARE, Side
from flow.walks.points.store import Store
from flow.walks.sides.golden import Labels
from flow.walks.sides.measurements import MEASUREMENTS

log = logging.getLogger(__name__)

SideProgress = Callable[[Side, int, int], None]
"""Called with a side, how many of its points are there, and their images measured just now."""


def _no_progress(side: Side, points: int, images: int) -> None:
    pass


class Walk:
    """A walk: its points are planned, taken from the store or measured, and stored.

    Args:
        network: the Brevitas network.
        accelerator: the same, compiled.
        inputs: images, float32 [N, C, H, W].
        labels: int64 [N]; None for images without labels.
        placement: the noise at each point.
        store: the points measured before.
        build: folder of simulators and of what they write while they run.
        identity: what the points depend on and the walk does not see: checkpoint and data set.
        scope: how much RTL simulates at a noisy site; see `flow.rtl.design`.
        engine: runs the work; this process if not given.
        recipe: how another process opens the same walk; its ``repr`` tells all that it depends on.
        device: what computes the software and golden sides.
    """

    def __init__(
        self,
        network: Network,
        accelerator: Accelerator,
        inputs: Tensor,
        labels: npt.NDArray[np.int64] | None,
        placement: Placement,
        store: Store,
        build: Path,
        identity: dict[str, str] | None = None,
        scope: str = FULL,
        engine: Engine | None = None,
        recipe: Callable[[], "Walk"] | None = None,
        device: torch.device = CPU,
    ) -> None:
        golden = accelerator.golden_model()
        designs = Designs(accelerator, golden, scope, build / "sim")
        self.context = WalkContext(
            network, accelerator, inputs, placement, golden, designs, build, device
        )
        self._labels = labels
        self.store = store
        self.identity = identity or {}
        self.scope = scope
        self.engine = engine or SerialExecutor()
        self.recipe = recipe

    @property
    def setting(self) -> NoiseSetting:
        """Noise of the walk, except its level."""
        return self.context.setting

    @cached_property
    def reference(self) -> Reference:
        """Labels of the images, or else those that golden gives without noise.

        Golden's are whole numbers' alone, so that they are the same on every machine, and RTL has
        them too.
        """
        if self._labels is not None:
            return Reference.of_labels(self._labels, self.context.network.classes)
        if self.context.placement.at(NoisePoint("", 0.0)):
            labels = self.context.device_golden.run(self.context.stream)
            return Reference.of_network(labels.numpy())
        (clean,) = self.wanted([Side.GOLDEN], [NoisePoint("", 0.0)])
        point = self._stored(clean) or self.measure(Batch((clean,))).points[0]
        return Reference.of_network(point.predictions)

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """What predictions are compared with, int64 [N]."""
        return self.reference.labels

    def with_setting(self, setting: NoiseSetting) -> "Walk":
        """Return the same walk with other noise."""
        return self.with_placement(replace(self.context.placement, setting=setting))

    def with_placement(self, placement: Placement) -> "Walk":
        """Return the same walk with noise elsewhere."""
        other = copy(self)
        other.context = self.context.with_placement(placement)
        return other

    def on_images(self, rows: npt.NDArray[np.int64]) -> "Walk":
        """Return the same walk on some of its images, by number, in this process alone."""
        context = self.context
        return Walk(
            context.network,
            context.accelerator,
            context.inputs[torch.from_numpy(rows)],
            None if self._labels is None else self._labels[rows],
            context.placement,
            self.store,
            context.build,
            self.identity,
            self.scope,
            device=context.device,
        )

    def wanted(
        self, sides: Sequence[Side], places: Sequence[NoisePoint], images: int | None = None
    ) -> list[PointRequest]:
        """List the points of sides at places, on the first images, or on all."""
        images = images or len(self.context.inputs)
        return [PointRequest(side, place, images) for side in sides for place in places]

    def run_models(self, places: Sequence[NoisePoint]) -> list[Point]:
        """Measure points in software, on both of its sides, and on the golden model."""
        return self.run(self.wanted((*SOFTWARE, Side.GOLDEN), places)).points

    def run(
        self, wanted: Sequence[PointRequest], progress: SideProgress = _no_progress
    ) -> Measured:
        """Take points that are stored, and measure the others.

        Args:
            wanted: the points.
            progress: called with the progress of each side.

        Returns:
            the points in the requested order; those of RTL that could not be simulated are missing,
            and failures instead.
        """
        found = {one: self._stored(one) for one in wanted}
        missing = [one for one, point in found.items() if point is None]
        for side in dict.fromkeys(one.side for one in wanted):
            progress(side, sum(one.side == side for one in wanted if found[one] is not None), 0)
        measured = Measured()
        calls = [Task(Walk.measure, batch) for batch in self._batches(missing)]
        for call, result in self.engine.run(self, calls):
            measured.add(result)
            simulated = {(p.side, p.site, p.sigma, p.seed): p for p in result.points}
            for one in call.item.points:
                found[one] = simulated.get(self._where(one))
                progress(one.side, 1, one.images)
        measured.points = propagate_mismatches(
            [point for point in found.values() if point is not None]
        )
        return measured

    def take(self, one: PointRequest, measure: Callable[[NoisePoint], Labels]) -> Point:
        """Take a point that is stored, or measure its labels in this process and store it."""
        point = self._stored(one)
        if point is None:
            point = self.context.point(one.side, one.place, measure(one.place))
            self.store.put(self.key(one), point)
        return point

    def _stored(self, one: PointRequest) -> Point | None:
        """Return a point that was measured before.

        One without noise has the seed of this walk, whichever walk measured it.
        """
        point = self.store.get(self.key(one))
        return None if point is None else replace(point, seed=self.context.seed_of(one.place))

    def _where(self, one: PointRequest) -> tuple[Side, str, float, int]:
        return one.side, one.place.site, one.place.sigma, self.context.seed_of(one.place)

    def _batches(self, missing: Sequence[PointRequest]) -> list[Batch]:
        """Put points together that share work: those with most layers downstream come first."""
        groups: dict[Hashable, list[PointRequest]] = {}
        for one in missing:
            groups.setdefault(MEASUREMENTS[one.side].shares(one), []).append(one)
        simulated = [one for one in missing if one.side is Side.RTL]
        computed = [group for group in groups.values() if group[0].side is not Side.RTL]
        sites: list[str] = ["", *JOINT, *self.context.network.all_sites]
        computed.sort(key=lambda group: sites.index(group[0].place.site))
        coarse = (coarse_first(group) for group in computed)
        return [Batch(tuple(group)) for group in (*coarse, *self._chunks(simulated))]

    def _chunks(self, points: Sequence[PointRequest]) -> Iterator[Sequence[PointRequest]]:
        """Cut points into runs of a simulator: enough to share out, few enough to resume."""
        size = math.ceil(len(points) / (4 * self.engine.workers))
        runs: dict[Hashable, list[PointRequest]] = {}
        for one in coarse_first(points):
            runs.setdefault(self.context.designs.at(one.place.site).entry, []).append(one)
        for same in runs.values():
            most = max(1, min(size, 4096 // same[0].images))
            for first in range(0, len(same), most):
                yield same[first : first + most]

    def file_name(self, one: PointRequest) -> str:
        """Return the name under which a point is stored."""
        return self.store.path(self.key(one)).name

    def measure(self, batch: Batch) -> Measured:
        """Measure points in this process, and store each as soon as it is there."""
        found = Measured()
        asked = {self._where(one): one for one in batch.points}
        for point in MEASUREMENTS[batch.side].measure(self.context, batch.points, found):
            one = asked[point.side, point.site, point.sigma, point.seed]
            self.store.put(self.key(one), point)
            found.points.append(point)
        return found

    def key(self, one: PointRequest) -> dict:
        """Return everything that a point depends on."""
        context, side, place = self.context, one.side, one.place
        noises = {site: noise.to_json() for site, noise in context.placement.at(place).items()}
        key = {
            **self.identity,
            "side": side,
            "site": place.site,
            # the level as well: in another unit, another one is the same noise
            "noise": {"level": place.sigma, **noises} if noises else None,
            "seed": context.seed_of(place) if noises else None,
            "images": [one.images, context.images_digest],
            "code": code_digest(MEASUREMENTS[side].numerics),
        }
        if side.has_torch_rng:
            # torch's samples depend on it, and the two sides are to have the same
            key["batch"] = context.batch
        if side.is_software:
            key |= device_key(context.device)
        else:
            key["accelerator"] = context.accelerator.folder.name
        if side is Side.RTL:
            # what a part is made of is what the whole is
            key["simulation"] = context.designs.whole.simulation.design
            key["scope"] = context.designs.at(place.site).scope
        return key


def coarse_first(points: Sequence[PointRequest]) -> list[PointRequest]:
    """Order points so that each site has a coarse curve before any has a fine one.

    Of a site's nine levels the order is 8, 4, 2, 6, 1, 3, 5, 7, 9; sites take turns.
    """
    sites: dict[str, list[PointRequest]] = {}
    for one in points:
        sites.setdefault(one.place.site, []).append(one)
    spread = [
        [same[n - 1] for n in sorted(range(1, len(same) + 1), key=lambda n: -(n & -n))]
        for same in sites.values()
    ]
    return [one for one in chain.from_iterable(zip_longest(*spread)) if one is not None]
