"""A noise walk in software: it searches the midpoint of every site and of all sites together.

The curves of a walk advance together, round by round: their next points are measured in blocks of
images, so that a block's clean part is computed once for all sites. A point of a block
is stored as soon as it is there. A block's images, and the batches within it, are all that is in
memory, beside the images themselves and one byte a prediction.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from flow import models
from flow.models import Judge, Levels, Network, evaluate_groups
from flow.models.evaluation import Labels
from flow.noise import Noise, TorchSampler
from flow.numerics import code_digest
from flow.statistics.devices import by_device
from flow.statistics.level_search import Search, Wanted
from flow.statistics.midpoint import Curve
from flow.walks.points.curves import padded
from flow.walks.points.measurement import take_or_measure
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint, Point, counted
from flow.walks.points.side import Side
from flow.walks.points.store import Store

BLOCK = 1000
"""Images of a stored point, and of the bracket of a search."""


class Piece(NamedTuple):
    """A point on one block of images."""

    place: NoisePoint
    block: int


@dataclass
class Budget:
    """Budget of a walk; unlimited if both are None."""

    images: int | None = None
    """Noisy images to evaluate; stored ones cost as if they were evaluated now, so that a run that
    was stopped ends like one that was not."""
    seconds: float | None = None
    """Wall time of this run; where it ends a walk depends on the machine."""
    used: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> bool:
        """Whether it is used up."""
        late = self.seconds is not None and time.monotonic() - self.started >= self.seconds
        return late or (self.images is not None and self.used >= self.images)


class Measure(Protocol):
    """Something that predicts labels with noise, on a block of images."""

    def __call__(
        self, block: int, noises: Mapping[NoisePoint, Mapping[str, Noise]]
    ) -> Mapping[NoisePoint, Labels]:
        """Return the labels [images of the block] of each place, under its noise by site."""


@dataclass
class SoftwareWalk:
    """One network, one set of images, one placement of noise."""

    labels: npt.NDArray[np.int64]
    """[images]."""
    inputs: Tensor
    """float32 [N, C, H, W]."""
    placement: Placement
    """The noise at each point."""
    measure: Measure
    store: Store
    identity: Mapping[str, object]
    """Further dependencies of the points."""
    budget: Budget

    def __post_init__(self) -> None:
        count = len(self.labels)
        self.blocks = [slice(a, min(a + BLOCK, count)) for a in range(0, count, BLOCK)]
        self._digests = [
            hashlib.sha256(self.inputs[rows].numpy().tobytes()).hexdigest() for rows in self.blocks
        ]
        self._found: dict[Piece, Labels] = {}

    def run(self, searches: Mapping[str, Search], done: Callable[[int], None]) -> None:
        """Measure the points that the searches request, until they end or the budget is spent.

        Args:
            searches: of each site, or of several together.
            done: called with the number of curves that have ended, after each block of images.
        """
        while running := {n: s for n, s in searches.items() if s.state == "running"}:
            ended = len(searches) - len(running)
            done(ended)
            wanted = {name: search.wanted for name, search in running.items()}
            self._round(wanted, partial(done, ended))
            for name, search in running.items():
                curve = self.curve(name, search.wanted)
                if curve is None:
                    search.stop(self._known(name, search.wanted))
                else:
                    search.tell(curve)
        done(len(searches))

    def _round(self, wanted: Mapping[str, Wanted], done: Callable[[], None]) -> None:
        """Measure, block by block, the points that are not stored."""
        for block, rows in enumerate(self.blocks):
            pieces = [Piece(place, block) for place in self._places(wanted, rows.start)]
            missing = [piece for piece in pieces if piece not in self._found]
            if missing and not self.budget.spent:
                self._block(block, missing)
                done()

    def _places(self, wanted: Mapping[str, Wanted], first_image: int) -> list[NoisePoint]:
        """The points that are wanted on a block; those of level 0 are wanted on every block."""
        clean = [place for name, w in wanted.items() for place in self._clean(name, w)]
        return list(dict.fromkeys([NoisePoint("", 0.0), *clean])) + [
            NoisePoint(name, sigma, draw)
            for name, w in wanted.items()
            for sigma, effort in w.efforts.items()
            if effort.images > first_image
            for draw in range(effort.draws)
        ]

    def _clean(self, name: str, wanted: Wanted) -> list[NoisePoint]:
        """The points of level 0 of a curve: one, or one for each draw of a map's noise."""
        draws = wanted.draws if self.placement.background else 1
        return [NoisePoint(self.placement.without(name), 0.0, draw) for draw in range(draws)]

    def _block(self, block: int, pieces: Sequence[Piece]) -> None:
        def points(number: int, missing: Sequence[Piece]) -> Iterator[Point]:
            noises = {piece.place: self.placement.at(piece.place) for piece in missing}
            labels = self.measure(number, noises)
            for piece in missing:
                yield self._point(piece.place, labels[piece.place])

        keys = {piece: self._key(piece) for piece in pieces}
        found = take_or_measure(self.store, keys, lambda piece: piece.block, points, _ignore)
        for piece, point in zip(pieces, found, strict=True):
            self._found[piece] = point.predictions
            if piece.place.site:
                self.budget.used += point.images

    def _point(self, place: NoisePoint, labels: Labels) -> Point:
        return Point(
            site=place.site,
            kind=self.placement.kind,
            sigma=place.sigma,
            seed=self.placement.setting.seed_of(place.draw),
            side=Side.SOFTWARE,
            predictions=labels,
            shared=self.placement.shared(place.site),
        )

    def _key(self, piece: Piece) -> dict:
        place, rows = piece.place, self.blocks[piece.block]
        noises = self.placement.at(place)
        return {
            **self.identity,
            "side": Side.SOFTWARE,
            "noise": {site: noise.to_json() for site, noise in noises.items()},
            "seed": self.placement.setting.seed_of(place.draw) if noises else None,
            "images": [rows.start, rows.stop, self._digests[piece.block]],
            "code": code_digest(models),
        }

    def curve(self, name: str, wanted: Wanted) -> Curve | None:
        """Return what is known of what is wanted; None if a part of it was not measured."""
        count = wanted.images

        def right(place: NoisePoint, images: int) -> npt.NDArray[np.float32]:
            blocks = [b for b, rows in enumerate(self.blocks) if rows.start < images]
            parts = [self._found[Piece(place, block)] for block in blocks]
            return padded(counted(np.concatenate(parts)[:images], self.labels[:images]), count)

        try:
            levels = [
                [
                    right(NoisePoint(name, sigma, draw), effort.images)
                    for draw in range(effort.draws)
                ]
                for sigma, effort in wanted.efforts.items()
            ]
            clean = np.mean([right(place, count) for place in self._clean(name, wanted)], axis=0)
        except KeyError:
            return None
        devices, fixed = None, self.placement.setting.options.get("device") is not None
        if not fixed and self.placement.shared(name):
            accuracy = [np.nanmean(draws, axis=1, dtype=np.float64) for draws in levels]
            devices = by_device(np.transpose(accuracy), float(clean.mean()))
        correct = np.array([np.mean(draws, axis=0) for draws in levels])
        seeds = np.array([len(draws) for draws in levels])
        return Curve(np.array(wanted.levels), correct, clean, seeds, devices)

    def _known(self, name: str, wanted: Wanted) -> Curve | None:
        """Return what is wanted on as many images as all of it was measured on, if on any."""
        fewer = (rows.stop for rows in reversed(self.blocks) if rows.stop < wanted.images)
        curves = (self.curve(name, wanted.upto(images)) for images in fewer)
        return next((curve for curve in curves if curve is not None), None)

    def points(self) -> list[Point]:
        """Return every measured point, with its blocks joined from the first image on."""
        parts: dict[NoisePoint, list[Labels]] = {}
        for piece in sorted(self._found, key=lambda piece: piece.block):
            known = parts.setdefault(piece.place, [])
            if len(known) == piece.block:
                known.append(self._found[piece])
        return [self._point(place, np.concatenate(rows)) for place, rows in parts.items() if rows]


@dataclass(frozen=True)
class Inference:
    """Measures one trained network, without changing it."""

    network: Network
    inputs: Tensor
    setting: NoiseSetting
    batch: int
    """Images at a time, a divisor of `BLOCK`; the samples depend on it."""
    judge: Judge | None = None
    """Metric that replaces the label of each image."""

    def __call__(
        self, block: int, noises: Mapping[NoisePoint, Mapping[str, Noise]]
    ) -> dict[NoisePoint, Labels]:
        """Return the labels of each place; the levels of a site and a draw share their samples."""

        def judge(outputs: Tensor, rows: slice) -> npt.NDArray[Any]:
            assert self.judge is not None
            return self.judge(outputs, slice(first + rows.start, first + rows.stop))

        groups: dict[tuple[str, int], list[NoisePoint]] = {}
        for place in noises:
            groups.setdefault((place.site, place.draw), []).append(place)
        first = block * BLOCK
        found = evaluate_groups(
            self.network,
            self.inputs[first : first + BLOCK],
            [
                Levels(
                    [noises[place] for place in places],
                    TorchSampler(self.setting.seed_of(draw)),
                )
                for (_, draw), places in groups.items()
            ],
            batch=self.batch,
            first_image=first,
            judge=self.judge and judge,
        )
        return {
            place: row
            for places, rows in zip(groups.values(), found, strict=True)
            for place, row in zip(places, rows, strict=True)
        }


def _ignore(points: int) -> None:
    pass
