"""How much of the network is simulated in RTL at a noisy site: all of it, or what noise can reach.

With the scope ``site`` the simulated part begins at the last stream by which all that noise at the
site can reach is decided (`flow.golden.GoldenModel.narrowest`), and is fed with golden's clean
stream there. It has the layers of the whole accelerator, folded anew for speed
(`flow.compile.partial`). That bears golden out as a simulation of the whole does if the RTL in
front of it equals golden: so the point without noise is always simulated whole, on the same images
and with the digests of every tap compared, and an image that differs there counts at every site.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from torch import Tensor

from flow import simulate
from flow.compile import Accelerator, partial
from flow.errors import unknown
from flow.golden import GoldenModel, reached_from
from flow.rtl_nodes import place
from flow.store import FULL, SCOPES, SITE, Point
from sim.runner import Simulation


def check(scope: str) -> None:
    """Raise a UserError if there is no such scope."""
    if scope not in SCOPES:
        raise unknown("scope", scope, SCOPES)


@dataclass
class Hardware:
    """What is simulated for a point: a network, or the part of it behind one of its streams.

    It is compiled when it is first asked for, and no other process has.
    """

    network: Accelerator
    """The whole."""
    whole: GoldenModel
    """That of the whole."""
    entry: str
    """The stream that goes into it."""
    root: Path
    """Folder of simulators."""

    @property
    def scope(self) -> str:
        """One of ``SCOPES``."""
        return FULL if self.entry == self.whole.entry else SITE

    @cached_property
    def accelerator(self) -> Accelerator:
        """What is simulated."""
        if self.scope == FULL:
            return self.network
        layers = reached_from(self.entry, self.whole.layers)
        weights = [s for s in self.network.weights if self.whole.layer_of(s) in layers]
        return partial.behind(self.network, self.entry, weights)

    @cached_property
    def golden(self) -> GoldenModel:
        """What it must equal, bit for bit."""
        if self.scope == FULL:
            return self.whole
        part, layers = self.accelerator, reached_from(self.entry, self.whole.layers)
        return GoldenModel(layers, self.entry, part.image_shape, part.weights)

    @cached_property
    def simulation(self) -> Simulation:
        """The compiled simulator."""
        return simulate.build(self.accelerator, root=self.root)

    @property
    def begins(self) -> str:
        """Behind what it begins, by the sites next to that: ``the input`` for a whole network."""
        layers = self.whole.layers
        giver = next((layer for layer in layers if layer.output == self.entry), None)
        return "the input" if giver is None else place(layers, giver)

    def feed(self, images: Tensor) -> Tensor:
        """Return what goes into it, integers [N, …], of images, integers [N, elements]."""
        if self.scope == FULL:
            return images
        return self.whole.clean_stream(self.entry, images)


def borne_out(points: Sequence[Point]) -> list[Point]:
    """Add to the mismatches of parts those of the whole network without noise.

    Args:
        points: those of RTL all on the same images.

    Raises:
        ValueError: points of parts alone, which nothing in front of them bears out.
    """
    if not any(point.scope == SITE for point in points):
        return list(points)
    whole = next((p for p in points if not p.site and p.scope == FULL), None)
    if whole is None or whole.bit_mismatches is None:
        raise ValueError("parts were simulated without the whole network: simulate it as well")
    return [
        replace(p, bit_mismatches=min(p.images, p.bit_mismatches + whole.bit_mismatches))
        if p.scope == SITE and p.bit_mismatches is not None
        else p
        for p in points
    ]
