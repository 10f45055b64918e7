"""Choice of what RTL simulates for noise at a site: the whole network, or what noise can reach.

With the scope ``site`` the simulated subgraph begins at the last stream that determines everything
that noise at the site can reach (`flow.golden.model.GoldenModel.narrowest`), and its input is
golden's stream without noise. It has the layers of the whole accelerator, folded again for speed
(`flow.compiler.subgraph`). It verifies golden as well as the whole does if the RTL upstream of it
equals golden. Therefore the point without noise is always simulated whole, on the same images and
with the digests of every tap compared, and an image that differs there counts at every site.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from flow.compiler import subgraph
from flow.compiler.accelerator import Accelerator
from flow.golden.model import GoldenModel, reached_from
from flow.noise.site import JOINT
from flow.rtl import simulate
from flow.rtl.nodes import place
from flow.rtl.scope import FULL, SITE
from sim.runner import Simulation


@dataclass
class Design:
    """Design that is simulated for a point: the network, or the subgraph downstream of a stream.

    It is compiled on first use, unless another process has compiled it.
    """

    network: Accelerator
    """Accelerator of the whole network."""
    whole: GoldenModel
    """Golden model of the whole network."""
    entry: str
    """Name of the input stream."""
    root: Path
    """Folder of simulators."""

    @property
    def scope(self) -> str:
        """Scope of the design, one of ``SCOPES``."""
        return FULL if self.entry == self.whole.entry else SITE

    @cached_property
    def accelerator(self) -> Accelerator:
        """Accelerator that is simulated."""
        if self.scope == FULL:
            return self.network
        layers = reached_from(self.entry, self.whole.layers)
        weights = [s for s in self.network.weights if self.whole.layer_of(s) in layers]
        return subgraph.downstream(self.network, self.entry, weights)

    @cached_property
    def golden(self) -> GoldenModel:
        """Golden model that the simulation must equal, bit for bit."""
        if self.scope == FULL:
            return self.whole
        part, layers = self.accelerator, reached_from(self.entry, self.whole.layers)
        return GoldenModel(layers, self.entry, part.image_shape, part.weights)

    @cached_property
    def simulation(self) -> Simulation:
        """Compiled simulator."""
        return simulate.build(self.accelerator, root=self.root)

    @property
    def begins(self) -> str:
        """Place of the input stream by the nearest sites; ``the input`` for the whole network."""
        layers = self.whole.layers
        producer = next((layer for layer in layers if layer.output == self.entry), None)
        return "the input" if producer is None else place(layers, producer)

    def feed(self, images: Tensor) -> Tensor:
        """Return the input stream, integers [N, …], for images, integers [N, elements]."""
        if self.scope == FULL:
            return images
        return self.whole.clean_stream(self.entry, images)


class Designs:
    """Designs for noise at each site: the network, or the subgraph that noise can reach.

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
        """Design of the whole network."""
        return self.at("")

    def at(self, site: str) -> Design:
        """Return the design for noise at a site, or at several; for no noise if it is empty."""
        whole = self.scope == FULL or not site or site in JOINT
        entry = self.golden.entry if whole else self.golden.narrowest(site)
        if entry not in self._by_entry:
            self._by_entry[entry] = Design(self.accelerator, self.golden, entry, self.root)
        return self._by_entry[entry]
