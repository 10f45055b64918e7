"""Everything that measures the points of a walk: one network, its accelerator, images and noise."""

import hashlib
import math
from collections.abc import Mapping
from contextlib import nullcontext
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from flow.device import CPU
from flow.errors import within
from flow.noise.hardware.registers import TapSettings, largest_factor
from flow.noise.hardware.sites import TapSite
from flow.noise.hardware.weights import WeightSite, settings_of
from flow.noise.site import MAP
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint, Point
from flow.walks.points.side import Side

if TYPE_CHECKING:
    # a side's figures depend on those of these modules that it imports itself
    from flow.compiler.accelerator import Accelerator
    from flow.golden.model import GoldenModel, Subgraph
    from flow.models import Network
    from flow.rtl.design import Designs


class CleanPrefix:
    """The images as they arrive at noisy sites, computed without noise.

    Request sites in the order of the data: clean values at one site give those at the next.

    Args:
        golden: the model.
        stream: images, integers [N, elements].
    """

    def __init__(self, golden: "GoldenModel", stream: Tensor) -> None:
        self._golden = golden
        self._stream = stream
        self._last: tuple[list[str], Subgraph] | None = None

    def at(self, sites: list[str]) -> "Subgraph":
        """Return the subgraph downstream of sites, with the streams that enter it."""
        if self._last is None or self._last[0] != sites:
            source: Tensor | Subgraph = self._stream
            if self._last is not None and all(
                self._golden.layer_of(site) in self._last[1].layers for site in sites
            ):
                source = self._last[1]
            self._last = (sites, self._golden.before(sites, source))
        return self._last[1]


@dataclass
class WalkContext:
    """One network, one accelerator, one set of images, one placement of noise."""

    network: "Network"
    accelerator: "Accelerator"
    inputs: Tensor
    """float32 [N, C, H, W]."""
    placement: Placement
    """The noise at each point."""
    golden: "GoldenModel"
    """The bit-exact model of the accelerator, on the processor."""
    designs: "Designs"
    """The simulated design for noise at each site."""
    build: Path
    """Folder of simulators and of the files that they write."""
    device: torch.device = CPU
    """Device that computes the software and golden sides."""

    def __post_init__(self) -> None:
        self.stream = self.accelerator.quantise(self.inputs)
        """Images as the accelerator takes them, integers [N, elements]."""
        self.taps: dict[str, TapSite] = self.accelerator.sites
        self.weights: dict[str, WeightSite] = self.accelerator.weights
        self.sites: dict[str, TapSite | WeightSite] = {**self.taps, **self.weights}
        self.batch = images_at_a_time(self.taps)
        """Images at a time in software; the samples of torch's generator depend on it."""
        self.device_network = self.network.on(self.device)
        self.device_golden = self.golden.to(self.device)
        self.clean = CleanPrefix(self.device_golden, self.stream)
        self.images_digest = hashlib.sha256(self.inputs.numpy().tobytes()).hexdigest()

    @property
    def setting(self) -> NoiseSetting:
        """Noise of the walk, except its level."""
        return self.placement.setting

    def with_placement(self, placement: Placement) -> "WalkContext":
        """Return the same context with other noise; it shares what is computed without noise."""
        other = copy(self)
        other.placement = placement
        return other

    def seed_of(self, place: NoisePoint) -> int:
        """Return the seed of a point's draw: the run's own for draw 0."""
        return self.setting.seed_of(place.draw)

    def settings(self, place: NoisePoint, first_image: int = 0) -> dict[str, TapSettings]:
        """Return the taps' registers, or the error of weights, of each noisy site at a point."""
        seed, noises = self.seed_of(place), self.placement.at(place)
        found = {}
        for site, noise in noises.items():
            with nullcontext() if site == place.site else within(f"site {site}"):
                if site in self.weights:
                    found[site] = settings_of(noise, self.weights[site], seed)
                else:
                    tap = self.taps[site]
                    found[site] = TapSettings.of(
                        noise, tap.scale, seed, first_image, tap.sigma_bits
                    )
        return found

    def largest_level(self, name: str) -> float:
        """Return the largest level of a site, or of several together, that the registers hold."""
        walking, noises = self.placement.walking(name), self.placement.at(NoisePoint(name, 1.0))
        noisy = [s for s in walking if noises[s].sigma_add or noises[s].sigma_mul]
        found = ((noises[s], self.sites[s]) for s in noisy)
        return min(largest_factor(noise, one.scale, one.sigma_bits) for noise, one in found)

    def any_level(self, name: str) -> float:
        """Return a level of a site, or of several together, that the registers hold."""
        if self.placement.converter_of is not None:
            return 1.0
        return self.largest_level(name) / 2

    def likely_level(self, name: str, reach: float = math.inf) -> float:
        """Return a level at which noise may have an effect: 4 LSB, or the map as written.

        Args:
            name: a site, `GLOBAL` or `MAP`.
            reach: factor by which a search may go up from the level. The level is larger where it
                would end below 4 standard deviations of the values, as those of accumulators of
                8-bit operands, which are wide.
        """
        if name == MAP:
            return 1.0
        return min(
            4 * max(one.scale, one.std / reach) / self.placement.unit(one.name)
            for one in (self.sites[site] for site in self.placement.walking(name))
        )

    def point(
        self,
        side: Side,
        place: NoisePoint,
        labels: npt.NDArray[np.unsignedinteger[Any]],
        mismatches: int | None = None,
    ) -> Point:
        """Return a side's point at a place; ``mismatches``: RTL images that differ from golden."""
        return Point(
            site=place.site,
            kind=self.placement.kind,
            sigma=place.sigma,
            seed=self.seed_of(place),
            side=side,
            predictions=labels,
            bit_mismatches=mismatches,
            scope=self.designs.at(place.site).scope if side is Side.RTL else None,
            shared=self.placement.shared(place.site),
        )


def images_at_a_time(sites: Mapping[str, TapSite]) -> int:
    """Return the number of images per batch for these sites, few enough for the caches."""
    largest = max(site.pixels * site.channels for site in sites.values())
    return max(1, min(1000, (1 << 23) // largest))
