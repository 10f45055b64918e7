"""A custom network: a QONNX file exported by Brevitas, with taps at its layers.

The network evaluates QONNX node by node, so software and the hardware compiled from the same graph
share one description.
"""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from qonnx.core.modelwrapper import ModelWrapper
from torch import Tensor, nn

from flow.errors import UserError
from flow.models.network import Network
from flow.models.planes import Grid
from flow.models.qonnx.file import read, refusing, shown
from flow.models.qonnx.graph import Graph, open_graph
from flow.models.qonnx.input_quantiser import NAME, InputQuantiser, quantise_input
from flow.models.qonnx.operators import (
    AVERAGES,
    Aligned,
    Concatenated,
    Elementwise,
    ExactLayer,
    ExactMean,
)
from flow.models.qonnx.quantisers import ExactHalves, Quant, Thresholds
from flow.models.qonnx.streams import MOST_GAINS, PASSING, Step
from flow.models.qonnx.tidy.edits import attribute
from flow.models.steps import common_multiples
from flow.noise import NoiseTap, Tap
from flow.noise.site import Site

MOST_CLASSES = 1 << 16
"""Largest number of classes: labels are stored in two bytes."""


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
        input_quantiser: quantiser that was put before the first layer, if any.
    """

    def __init__(
        self, file: Path, graph: Graph, input_quantiser: InputQuantiser | None = None
    ) -> None:
        super().__init__(file.stem, graph.image_shape, graph.classes)
        self.file = file
        self.input_quantiser = input_quantiser
        self.steps = nn.ModuleList(_computed(graph, step) for step in graph.steps)
        self.taps = nn.ModuleList(_tap(graph, *place) for place in graph.sites.items())
        self.graph: Graph = graph
        self._sites = list(graph.sites)
        self.single = graph.single
        self.image_range = _image_range(graph)
        last = {name: step for step in graph.steps for name in step.inputs}
        self._spent = [[n for n, one in last.items() if one is step] for step in graph.steps]

    @property
    def definition(self) -> bytes:
        """The network as QONNX."""
        return self.graph.definition

    def _taps(self) -> dict[Site, Tap]:
        return dict(zip(map(Site, self._sites), cast(Iterable[Tap], self.taps), strict=True))

    def layer_at(self, site: Site) -> nn.Module:
        """Return the convolution or dense layer whose accumulators are at a site."""
        return self.steps[self._step_at(site)]

    def input_grid(self, site: Site) -> Grid | None:
        """Return the grid of what the layer at a site reads; None if it has none."""
        return self.graph.grids.get(self.graph.layer_of(site).inputs[0])

    def step(self, site: Site) -> float | None:
        """Return the size of an LSB at a site, in the unit of σ there; None if it is not known."""
        if not (site.is_accumulator or site.is_tile):
            grid = self.graph.grids.get(self.graph.sites[site])
            return None if grid is None else grid.step
        if cast(NoiseTap, self.tap(site)).in_lsb:
            return 1.0
        layer = self.graph.layer_of(Site.of(site.layer, "acc"))
        weights, grid = self.graph.weights.get(layer.output), self.graph.grids.get(layer.inputs[0])
        return None if weights is None or grid is None else float(weights.scale[0]) * grid.step

    def put_tiles(self, site: Site, tiled: nn.Module) -> None:
        """Replace the layer at an accumulator site by one that has the tap itself."""
        self.steps[self._step_at(site)] = tiled
        place = self._sites.index(site)
        self._sites[place] = Site.of(site.layer, "tile")
        self.taps[place] = cast(Tap, tiled.tile)

    def _step_at(self, site: Site) -> int:
        outputs = [step.output for step in self.graph.steps]
        return outputs.index(self.graph.sites[site])

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

    def without_input_quantiser(self) -> "ImportedNetwork":
        """Return the network without the quantiser that was put before its first layer."""
        bare = copy.deepcopy(self)
        for index, step in enumerate(self.graph.steps):
            if step.node.name == NAME:
                bare.steps[index] = nn.Identity()
        return bare

    def from_own_layout(self, images: npt.NDArray) -> Tensor | None:
        """Return images that lie as in the network's file, float32 [N, C, H, W].

        Args:
            images: [N, …] in the order of the file's input, with any dimensions of size 1 added or
                left out; None is returned if they have another shape, or the network's own.
        """
        steps, shape = self.graph.own_input
        if images.shape[1:] == self.image_shape or _long(images.shape[1:]) != _long(shape):
            return None
        x = torch.from_numpy(np.ascontiguousarray(images, np.float32)).reshape(-1, *shape)
        for step in steps:
            x = x.permute(step["perm"]) if "perm" in step else x.reshape(-1, *step["shape"][1:])
        height, width, channels = self.image_shape
        return x.reshape(-1, channels, height, width).contiguous()

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores, float [N, classes], of images, float [N, C, H, W]."""
        places = zip(self._sites, self.graph.sites.values(), self.taps, strict=True)
        tapped = {stream: tap for site, stream, tap in places if not Site(site).is_tile}
        values = {self.graph.entry: x}
        for step, module, spent in zip(self.graph.steps, self.steps, self._spent, strict=True):
            value = module(*(values[name] for name in step.inputs))
            values[step.output] = tapped[step.output](value) if step.output in tapped else value
            for name in spent:
                del values[name]
        scores = values[self.graph.exit]
        # class 1 is a score of 0 or more
        return torch.cat((-scores - (scores == 0).float(), scores), 1) if self.single else scores


def _computed(graph: Graph, step: Step) -> nn.Module:
    """Return what computes a step: of a layer whose input and weights are whole, an exact one."""
    if type(step.module) is Quant and _of_whole_numbers(graph, step.inputs[0]):
        return ExactHalves.of(step.module)
    if isinstance(step.module, AVERAGES) and (unit := _unit(graph, step.inputs[0])) is not None:
        places = graph.averaged(step)
        return ExactMean(step.module, places, unit) if places else step.module
    if isinstance(step.module, Concatenated) and (whole := graph.grids.get(step.output)):
        steps = [graph.grids[name].step for name in step.inputs]
        if len(set(steps)) > 1 and not whole.bipolar:
            gains, common = common_multiples(steps, attribute(step.node, MOST_GAINS))
            return Aligned(step.module.dim, steps, [gain * common for gain in gains])
    weights, grid = graph.weights.get(step.output), graph.grids.get(step.inputs[0])
    if weights is None or grid is None:
        return step.module
    return ExactLayer(step.module, weights.integers, grid.step, weights.scale * grid.step)


def _unit(graph: Graph, stream: str) -> Tensor | None:
    """Return the real value of a whole number of a stream, [1] or [C]; None if it holds others."""
    if stream in graph.grids:
        return torch.tensor([graph.grids[stream].step])
    weights, layer = graph.weights.get(stream), graph.producer(stream)
    if weights is None or layer is None or layer.inputs[0] not in graph.grids:
        return None
    return weights.scale * graph.grids[layer.inputs[0]].step


def _of_whole_numbers(graph: Graph, stream: str) -> bool:
    """Whether a stream is quantised, or an average of quantised values, rectified or not."""
    if stream in graph.grids:
        return True
    step = graph.producer(stream)
    if step is None:
        return False
    if isinstance(step.module, (nn.ReLU, *PASSING)):
        return _of_whole_numbers(graph, step.inputs[0])
    joins = isinstance(step.module, AVERAGES) or len(step.inputs) > 1
    return joins and all(name in graph.grids for name in step.inputs)


def _long(shape: Iterable[int]) -> list[int]:
    return [size for size in shape if size > 1]


def _image_range(graph: Graph) -> tuple[float, float] | None:
    """Return the range of the images that reach the quantiser; None if another operation does."""
    stream, gain, shift = graph.entry, 1.0, 0.0
    while len(consumers := graph.consumers(stream)) == 1:
        (step,) = consumers
        module = step.module
        if isinstance(module, Thresholds):
            finite = module.thresholds[module.thresholds.isfinite()]
            first, last = (float(end) for end in finite.aminmax())
            steps = module.thresholds.shape[1] - 1
            # the ends of a quantiser lie half a step beyond its thresholds
            half = (last - first) / steps / 2 if steps else 1.0
            ends = torch.tensor([first - half, last + half])
        elif isinstance(module, Quant):
            ends = torch.stack([(e - module.zero_point) * module.scale for e in module.limits])
        elif isinstance(module, PASSING):
            stream = step.output
            continue
        elif isinstance(module, Elementwise) and (line := module.line) is not None:
            gain, shift = gain * line[0], shift * line[0] + line[1]
            stream = step.output
            continue
        else:
            return None
        low, high = sorted((float(end) - shift) / gain for end in ends.aminmax())
        return low, high
    return None


def _tap(graph: Graph, site: str, stream: str) -> NoiseTap:
    """Return the tap of a site."""
    step = graph.producer(stream)
    assert step is not None
    if not Site(site).is_accumulator:
        # the output of a pooling has the quantiser upstream of it
        quant = step if isinstance(step.module, Quant) else graph.producer(step.inputs[0])
        assert quant is not None and isinstance(quant.module, Quant)
        return NoiseTap(requantise=quant.module.on_grid)
    weights = graph.weights.get(stream)
    if weights is None or weights.per_tensor:
        return NoiseTap()
    grid = graph.grids.get(step.inputs[0])
    return NoiseTap(unit=weights.scale * (grid.step if grid else 1.0))


def _try(network: ImportedNetwork, classifies: bool) -> None:
    """Compute the output for one image, which the shapes in a damaged file may not allow."""
    height, width, channels = network.image_shape
    with torch.no_grad():
        scores = network(torch.zeros(1, channels, height, width))
    wrong = classifies and scores.shape != (1, network.classes)
    if wrong or not scores.isfinite().all():
        raise ValueError(
            f"the output for an image of zeros has {list(scores.shape)} values, or NaN"
        )


def open_network(
    path: Path,
    image_shape: tuple[int, int, int] | None = None,
    input_quantiser: InputQuantiser | None = None,
    *,
    classifies: bool = True,
) -> ImportedNetwork:
    """Read a network from a QONNX file, in evaluation mode; no code of the file is run.

    Args:
        path: path of the file; the network is named after it.
        image_shape: (H, W, C) of the images, for a network that takes them flat; a single row of
            values if None.
        input_quantiser: quantiser, with its range, to put before the first layer.
        classifies: whether its outputs must be scores of classes; otherwise they stay as they are.

    Raises:
        UserError: the file does not hold a supported network; the message says why.
    """
    tidied = read(path, classifies=classifies)
    if input_quantiser is not None:
        model = ModelWrapper(tidied)
        quantise_input(model, input_quantiser, str(path))
        tidied = model.model.SerializeToString(deterministic=True)
    with refusing(path, "read"):
        graph = open_graph(tidied, image_shape)
        network = ImportedNetwork(path, graph, input_quantiser).eval()
        network.single &= classifies
        _try(network, classifies)
    if classifies and graph.classes > MOST_CLASSES:
        raise UserError(f"{path} has {graph.classes} classes: at most {MOST_CLASSES} are supported")
    return network
