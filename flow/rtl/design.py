"""How much of the network is simulated in RTL at a noisy site: all of it, or what noise can reach.

With the scope ``site`` the simulated part begins at the last stream by which all that noise at the
site can reach is decided (`flow.golden.model.GoldenModel.narrowest`), and is fed with golden's
clean stream there. It has the layers of the whole accelerator, folded anew for speed
(`flow.compiler.subgraph`). That bears golden out as a simulation of the whole does if the RTL in
front of it equals golden: so the point without noise is always simulated whole, on the same images
and with the digests of every tap compared, and an image that differs there counts at every site.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from flow.compiler import subgraph
from flow.compiler.accelerator import Accelerator
from flow.golden.model import GoldenModel, reached_from
from flow.rtl import simulate
from flow.rtl.nodes import place
from flow.rtl.scope import FULL, SITE
from sim.runner import Simulation


@dataclass
class Design:
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
        return subgraph.behind(self.network, self.entry, weights)

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
        producer = next((layer for layer in layers if layer.output == self.entry), None)
        return "the input" if producer is None else place(layers, producer)

    def feed(self, images: Tensor) -> Tensor:
        """Return what goes into it, integers [N, …], of images, integers [N, elements]."""
        if self.scope == FULL:
            return images
        return self.whole.clean_stream(self.entry, images)


class Designs:
    """What is simulated for noise at each site: the network, or the part that noise can reach.

    Args:
        accelerator: the whole network.
        golden: its bit-exact model.
        scope: one of ``SCOPES``.
        root: folder of simulators.
    """

    def __init__(
        self, accelerator: Accelerator, golden: GoldenModel, scope: str, root: Path
    ) -> None:
        self.accelerator, self.golden, self.scope, self.root = accelerator, golden, scope, root
        self._by_entry: dict[str, Design] = {}

    @property
    def whole(self) -> Design:
        """The whole network."""
        return self.at("")

    def at(self, site: str) -> Design:
        """Return what is simulated for noise at a site, or for none where it is empty."""
        whole = self.scope == FULL or not site
        entry = self.golden.entry if whole else self.golden.narrowest(site)
        if entry not in self._by_entry:
            self._by_entry[entry] = Design(self.accelerator, self.golden, entry, self.root)
        return self._by_entry[entry]
