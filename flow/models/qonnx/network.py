"""A custom network: a QONNX file exported by Brevitas, with taps at its layers.

The network evaluates QONNX node by node, so software and the hardware compiled from the same graph
share one description.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from flow.errors import UserError
from flow.models.network import Network
from flow.models.qonnx.file import read, shown
from flow.models.qonnx.graph import Graph, open_graph
from flow.models.qonnx.operators import Quant
from flow.noise import NoiseTap, Tap
from flow.noise.site import Site

MOST_CLASSES = 256
"""Largest number of classes: labels are stored in a byte."""


class ImportedNetwork(Network):
    """A network read from a QONNX file.

    Sites: ``input``, and ``<layer>.acc`` and ``<layer>.act`` of each layer, which has its name in
    the user's code if the file records it; a quantiser that follows no layer has an ``.act`` of its
    own. At the accumulators of a layer with one weight scale per output channel, σ is in LSB of the
    integer accumulator: the real value of an LSB differs between channels, and hardware adds the
    same noise in LSB to each.

    Args:
        file: path of the file; the network is named after it.
        graph: the network's graph.
    """

    def __init__(self, file: Path, graph: Graph) -> None:
        super().__init__(file.stem, graph.image_shape, graph.classes)
        self.file = file
        self.steps = nn.ModuleList(step.module for step in graph.steps)
        self.taps = nn.ModuleList(_tap(graph, *place) for place in graph.sites.items())
        self.graph: Graph = graph
        self._sites = list(graph.sites)
        self.image_range = _image_range(graph)
        last = {name: step for step in graph.steps for name in step.inputs}
        self._spent = [[n for n, one in last.items() if one is step] for step in graph.steps]

    @property
    def definition(self) -> bytes:
        """The network as QONNX."""
        return self.graph.definition

    def _taps(self) -> dict[Site, Tap]:
        return dict(zip(map(Site, self._sites), cast(Iterable[Tap], self.taps), strict=True))

    def integer_weights(self, layer: str) -> npt.NDArray[np.float32]:
        """Return the weights of a layer as integers, [O, …].

        Raises:
            UserError: the layer's weights are not quantised.
        """
        step = self.graph.layer_of(Site.of(layer, "acc"))
        if step.output not in self.graph.weights:
            raise UserError(
                f"{shown(step.node)} has weights that are not quantised: use Brevitas' QuantConv2d "
                "or QuantLinear"
            )
        return self.graph.weights[step.output].integers.numpy()

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores, float [N, classes], of images, float [N, C, H, W]."""
        tapped = dict(zip(self.graph.sites.values(), self.taps, strict=True))
        values = {self.graph.entry: x}
        for step, module, spent in zip(self.graph.steps, self.steps, self._spent, strict=True):
            value = module(*(values[name] for name in step.inputs))
            values[step.output] = tapped[step.output](value) if step.output in tapped else value
            for name in spent:
                del values[name]
        return values[self.graph.exit]


def _image_range(graph: Graph) -> tuple[float, float] | None:
    """Return the range of the images' quantiser; None if the images meet another operation."""
    for step in graph.steps:
        if isinstance(step.module, Quant) and graph.entry in step.inputs:
            quant = step.module
            low, high = ((end - quant.zero_point) * quant.scale for end in quant.limits)
            return float(low.min()), float(high.max())
    return None


def _tap(graph: Graph, site: str, stream: str) -> NoiseTap:
    """Return the tap of a site."""
    step = graph.producer(stream)
    assert step is not None
    if not Site(site).is_accumulator:
        # the output of a pooling has the quantiser upstream of it
        quant = step if isinstance(step.module, Quant) else graph.producer(step.inputs[0])
        assert quant is not None
        return NoiseTap(requantise=quant.module)
    weights = graph.weights.get(stream)
    if weights is None or weights.per_tensor:
        return NoiseTap()
    grid = graph.grids.get(step.inputs[0])
    return NoiseTap(unit=weights.scale * (grid.step if grid else 1.0))


def open_network(path: Path, image_shape: tuple[int, int, int]) -> ImportedNetwork:
    """Read a network from a QONNX file, in evaluation mode; no code of the file is run.

    Args:
        path: path of the file; the network is named after it.
        image_shape: (H, W, C) of the images, for a network that takes them flat.

    Raises:
        UserError: the file does not hold a supported network; the message says why.
    """
    graph = open_graph(read(path), image_shape)
    if graph.classes > MOST_CLASSES:
        raise UserError(f"{path} has {graph.classes} classes: at most {MOST_CLASSES} are supported")
    return ImportedNetwork(path, graph).eval()
