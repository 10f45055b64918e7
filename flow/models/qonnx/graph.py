"""Graph of a QONNX network: its nodes as modules, its quantised streams, and its sites."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

import torch
from onnx import NodeProto, TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from torch import Tensor, nn

from flow.errors import UserError
from flow.models.planes import Grid
from flow.models.qonnx.builders import build, reject_unknown
from flow.models.qonnx.file import module_of, shown
from flow.models.qonnx.operators import Convolution, Dense, Elementwise, Permuted, Reshaped
from flow.models.qonnx.quantisers import Quant
from flow.models.qonnx.streams import (
    Line,
    Step,
    Weights,
    averaged,
    grids_of,
    lines_of,
    pixels_of,
)
from flow.models.qonnx.tidy.shapes import OWN_INPUT


@dataclass(frozen=True)
class Graph:
    """A QONNX network as steps, streams and sites."""

    steps: tuple[Step, ...]
    """Steps in topological order."""
    entry: str
    """Name of the images' stream."""
    exit: str
    """Name of the scores' stream."""
    image_shape: tuple[int, int, int]
    """(H, W, C) of an image."""
    classes: int
    """Number of classes: 2 for a network of one score, which means class 1 if it is 0 or more."""
    weights: Mapping[str, Weights]
    """Weights by the layer's output; layers with unquantised weights are missing."""
    grids: Mapping[str, Grid]
    """Grid of each stream quantised with one step for all channels and no zero point."""
    lines: Mapping[str, Line] = field(default_factory=dict)
    """Line of each stream that holds whole numbers, scaled and shifted for each channel."""
    sites: Mapping[str, str] = field(default_factory=dict)
    """Stream of each site, in the order of the data flow."""
    definition: bytes = b""
    """The network as QONNX that takes images [1, C, H, W]."""
    own_input: tuple[list[dict[str, list[int]]], tuple[int, ...]] = ([], ())
    """Steps from the file's input to this network's, and the shape of an image in the file."""
    single: bool = False
    """Whether there is one score."""
    pixels: Mapping[str, int] = field(default_factory=dict)
    """Pixels of an image in each stream [N, C, H, W]."""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Shape of each step's output for one image."""

    def __deepcopy__(self, memo: dict) -> "Graph":
        """Return the graph itself, which is immutable."""
        return self

    def consumers(self, stream: str) -> list[Step]:
        """Return the steps that consume a stream."""
        return [step for step in self.steps if stream in step.inputs]

    def producer(self, stream: str) -> Step | None:
        """Return the step that produces a stream; None for the images."""
        return next((step for step in self.steps if step.output == stream), None)

    def averaged(self, step: Step) -> int:
        """Return the number of values in each average that a step takes; 0 if none is known."""
        return averaged(step, self.pixels)

    def layer_of(self, site: str) -> Step:
        """Return the layer whose accumulator is at a site."""
        found = self.producer(self.sites[site])
        assert found is not None
        return found


def open_graph(tidied: bytes, image_shape: tuple[int, int, int] | None) -> Graph:
    """Build the graph of a network.

    Args:
        tidied: the serialised network from `flow.models.qonnx.file.read`.
        image_shape: (H, W, C) of the images, for a network that takes them flat; a single row of
            values if None.

    Raises:
        UserError: an operator is not supported, no layer exists, or the images have another number
            of values than the network takes.
    """
    model = ModelWrapper(tidied)
    own_input = _own_input(model)
    _unflatten(model, image_shape)
    _, channels, height, width = model.get_tensor_shape(model.graph.input[0].name)
    constants = {tensor.name for tensor in model.graph.initializer}
    values = {name: torch.tensor(model.get_initializer(name)) for name in constants}
    steps: list[Step] = []
    quantised: dict[str, Quant] = {}
    weights: dict[str, Weights] = {}
    reject_unknown(model.graph.node)
    for node in model.graph.node:
        given = [values.get(name) for name in node.input if name]
        module = build(node, given, model.get_tensor_shape(node.output[0]))
        streams = tuple(name for name in node.input if name and name not in values)
        if not streams:
            used = isinstance(module, Quant | Reshaped | Permuted | nn.Identity)
            values[node.output[0]] = module(given[0]) if used else module()
            if isinstance(module, Quant):
                quantised[node.output[0]] = module
            continue
        layer = isinstance(module, Convolution | Dense)
        bias = given[2] if layer and len(given) > 2 else None
        output = node.output[0] if bias is None else f"{node.output[0]} without bias"
        if layer and (quant := quantised.get(node.input[1])) is not None:
            turned = isinstance(module, Dense) and module.turned
            weights[output] = _weights(node, values[node.input[1]], quant, outputs_first=not turned)
        steps.append(Step(node, module, streams, output))
        if bias is not None:
            shape = (1, -1, 1, 1) if isinstance(module, Convolution) else (1, -1)
            added = Elementwise("Add", None, bias.reshape(shape))
            steps.append(Step(node, added, (output,), node.output[0]))
    entry, exit = model.graph.input[0].name, model.graph.output[0].name
    shapes = {step.output: tuple(model.get_tensor_shape(step.node.output[0])) for step in steps}
    pixels = pixels_of(shapes)
    grids = grids_of(steps, weights, pixels)
    found = Graph(
        steps=tuple(steps),
        entry=entry,
        exit=exit,
        image_shape=(height, width, channels),
        classes=max(2, model.get_tensor_shape(exit)[1]),
        weights=weights,
        grids=grids,
        lines=lines_of(steps, grids, weights, shapes),
        definition=model.model.SerializeToString(deterministic=True),
        own_input=own_input,
        single=model.get_tensor_shape(exit)[1] == 1,
        pixels=pixels,
        shapes=shapes,
    )
    sites = _sites(found)
    if not any(site.endswith(".acc") for site in sites):
        raise UserError("the network has no convolution and no dense layer: there is no noisy site")
    return Graph(**(vars(found) | {"sites": sites}))


def _own_input(model: ModelWrapper) -> tuple[list[dict[str, list[int]]], tuple[int, ...]]:
    """Return the steps from the file's own input to the model's, and the shape before them."""
    steps = json.loads(model.get_metadata_prop(OWN_INPUT) or "[]")
    shape = list(model.get_tensor_shape(model.graph.input[0].name))
    for step in reversed(steps):
        if "perm" in step:
            shape = [shape[step["perm"].index(axis)] for axis in range(len(shape))]
        else:
            shape = step["from"]
    return steps, tuple(shape[1:])


def _unflatten(model: ModelWrapper, image_shape: tuple[int, int, int] | None) -> None:
    """Change the input of a network from [1, values] to images."""
    graph = model.graph
    flat, shape = graph.input[0].name, model.get_tensor_shape(graph.input[0].name)
    if len(shape) == 4:
        return
    height, width, channels = image_shape or (1, shape[1], 1)
    if shape[1] != height * width * channels:
        raise UserError(
            f"the network takes {shape[1]} values, and images of {height}×{width}×{channels} have "
            f"{height * width * channels}: take another data set or network"
        )
    images = model.make_new_valueinfo_name()
    value = helper.make_tensor_value_info(images, TensorProto.FLOAT, [1, channels, height, width])
    graph.value_info.append(graph.input[0])
    graph.input[0].CopyFrom(value)
    graph.node.insert(0, helper.make_node("Flatten", [images], [flat], name="Flatten_images"))


def _weights(node: NodeProto, real: Tensor, quant: Quant, *, outputs_first: bool) -> Weights:
    """Return a layer's weights as integers, outputs first."""
    steps, scale = (real / quant.scale).round(), quant.scale.expand_as(real)
    if not outputs_first:
        steps, scale = steps.T, scale.T
    by_output = scale.flatten(1)
    if not bool((by_output == by_output[:, :1]).all()):
        raise UserError(
            f"{shown(node)} has weights with several scales within one output: quantise them per "
            "tensor or per output channel"
        )
    if bool((quant.zero_point != 0).any()):
        raise UserError(
            f"{shown(node)} has weights with a zero point: quantise them symmetrically, as "
            "Brevitas' Int8WeightPerTensorFloat does"
        )
    return Weights(steps, by_output[:, 0].contiguous(), quant.bits)


def chain_before(graph: Graph, stream: str) -> list[Step]:
    """Return the steps upstream of a stream, back to a layer, a fork, a join, or the images.

    The chain includes the layer, as its last step.
    """
    found: list[Step] = []
    while (step := graph.producer(stream)) is not None:
        found.append(step)
        layer = isinstance(step.module, Convolution | Dense)
        if layer or len(step.inputs) > 1 or len(graph.consumers(step.inputs[0])) > 1:
            break
        stream = step.inputs[0]
    return found


def _sites(graph: Graph) -> dict[str, str]:
    """Name the sites, in the order of the data flow, by modules or as conv0, fc0, quant0."""
    numbers = {"conv": count(), "fc": count(), "quant": count()}
    sites: dict[str, str] = {}
    layers: dict[str, str] = {}

    def name(step: Step, kind: str) -> str:
        number = next(numbers[kind])
        wanted = module_of(step.node) or f"{kind}{number}"
        taken = {re.sub(r"\.\w+$", "", site) for site in sites}
        tries = (wanted if n == 1 else f"{wanted}_{n}" for n in count(1))
        return next(one for one in tries if one not in taken)

    for step in graph.steps:
        if isinstance(step.module, Convolution | Dense):
            layer = name(step, "conv" if isinstance(step.module, Convolution) else "fc")
            layers[step.output] = layer
            sites[f"{layer}.acc"] = step.output
        elif isinstance(step.module, Quant):
            chain = chain_before(graph, step.inputs[0])
            first = chain[-1] if chain else step
            layer = layers.get(first.output, "")
            if "input" not in sites and (first if chain else step).inputs == (graph.entry,):
                site = "input"
            elif layer and f"{layer}.act" not in sites:
                site = f"{layer}.act"
            else:
                site = f"{name(step, 'quant')}.act"
            sites[site] = _after_pooling(graph, step.output)
    return sites


def _after_pooling(graph: Graph, stream: str) -> str:
    """Return the output of a max pooling that is a stream's only consumer, or the stream."""
    consumers = graph.consumers(stream)
    pooled = len(consumers) == 1 and isinstance(consumers[0].module, nn.MaxPool2d)
    return consumers[0].output if pooled else stream
