"""The layers of the golden model, each read from FINN's node of the same name.

A stream holds whole numbers in float32, which is exact up to 2^24 (checked), or in int64 where a
tap's format is wider. A stream of pixels is [N, H, W, C].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from torch import Tensor
from torch.nn import functional

from flow import fixed_point
from flow.compile.operators import pool_shift
from flow.fixed_point import TapFormat, TapSettings

EXACT_IN_FLOAT32 = 1 << 24

WIRES = ("StreamingFIFO", "StreamingDataWidthConverter", "DuplicateStreams")
"""Nodes whose outputs are their input."""


@dataclass(frozen=True)
class Layer:
    """One step from streams to a stream; called with its inputs in their order."""

    __call__: ClassVar[Callable[..., Tensor]]

    name: str
    """FINN's node."""
    inputs: tuple[str, ...]
    """Streams it reads, by the names of FINN's tensors."""
    output: str
    """Stream it gives."""


@dataclass(frozen=True)
class Window:
    """The windows of an image that a sliding-window generator gives; all sizes (H, W), pixels."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]


@dataclass(frozen=True)
class MatrixVector(Layer):
    """acc = a · W, at every pixel where there are pixels."""

    weights: Tensor
    """float32 [MW, MH], whole numbers."""
    pixels: tuple[int, ...]
    """() or (H, W)."""

    def __call__(self, a: Tensor) -> Tensor:
        """Return the accumulators, [N, …, MH], of activations, MW a pixel."""
        return a.reshape(len(a), *self.pixels, -1) @ self.weights


@dataclass(frozen=True)
class Convolution(Layer):
    """acc = window · W for each window of an image."""

    weights: Tensor
    """float32 [MH, C, K_H, K_W], whole numbers."""
    window: Window

    def __call__(self, a: Tensor) -> Tensor:
        """Return the accumulators, [N, OH, OW, MH], of activations, [N, H, W, C]."""
        image = a.permute(0, 3, 1, 2)
        acc = functional.conv2d(
            image, self.weights, stride=self.window.stride, dilation=self.window.dilation
        )
        return acc.permute(0, 2, 3, 1)


@dataclass(frozen=True)
class Padding(Layer):
    """Zeros around an image."""

    widths: tuple[int, ...]
    """Top, left, bottom, right, pixels."""

    def __call__(self, v: Tensor) -> Tensor:
        """Return [N, top + H + bottom, left + W + right, C] of [N, H, W, C]."""
        top, left, bottom, right = self.widths
        return functional.pad(v, (0, 0, left, right, top, bottom))


@dataclass(frozen=True)
class Addition(Layer):
    """Where two branches join."""

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the sums, [N, …], of two streams of that shape."""
        return a + b


@dataclass(frozen=True)
class Pool(Layer):
    """The largest value of each window, channel by channel, or the sum, shifted right."""

    window: Window
    shift: int | None
    """Bits by which a sum is shifted; None for the largest value."""

    def __call__(self, v: Tensor) -> Tensor:
        """Return [N, OH, OW, C] of [N, H, W, C]."""
        image, (kernel, stride) = v.permute(0, 3, 1, 2), (self.window.kernel, self.window.stride)
        if self.shift is None:
            pooled = functional.max_pool2d(image, kernel, stride)
        else:
            total = functional.avg_pool2d(image, kernel, stride, divisor_override=1)
            pooled = (total / (1 << self.shift)).floor_()
        return pooled.permute(0, 2, 3, 1)


@dataclass(frozen=True)
class Thresholds(Layer):
    """Count the thresholds that are not above the value, from a bias."""

    thresholds: Tensor
    """float32 [steps, C], whole numbers, ascending."""
    bias: int
    scale: int = 1
    """Step of the output per threshold."""

    def __call__(self, v: Tensor) -> Tensor:
        """Return activations, [N, …, C], of values, [N, …, C]."""
        count = torch.full_like(v, self.bias)
        passed = torch.empty_like(v)
        for step in self.thresholds:
            count.add_(torch.ge(v, step, out=passed), alpha=self.scale)
        return count


@dataclass(frozen=True)
class LabelSelect(Layer):
    """The index of the largest value, the lowest among equals."""

    def __call__(self, v: Tensor) -> Tensor:
        """Return labels, int64 [N, 1], of values [N, C]."""
        return v.argmax(1, keepdim=True)


@dataclass(frozen=True)
class Tap(Layer):
    """A noise tap."""

    site: str
    number: int
    """The site's number in the noise counter."""
    format: TapFormat
    offsets: Tensor
    """o · 2^F, int64 [C]."""

    def __call__(self, v: Tensor, settings: TapSettings, **draws: Tensor) -> Tensor:
        """Return the stream behind the tap, [N, …, C], of values, [N, …, C]."""
        flat = v.flatten(1)
        if max(-self.format.out_min, self.format.out_max) > EXACT_IN_FLOAT32:
            flat = flat.long()
        out = fixed_point.apply_tap(flat, self.offsets, self.format, settings, self.number, **draws)
        return out.view(v.shape)


def read_layers(model: ModelWrapper) -> list[Layer]:
    """Return what the nodes of FINN's graph compute, in their order.

    Raises:
        OverflowError: a matrix product could leave the range in which float32 is exact.
        NotImplementedError: a node has no golden model.
    """
    layers: list[Layer] = []
    sources: dict[str, str] = {}
    """By a tensor that is another one passed on: that other one."""
    windows: dict[str, Window] = {}
    """By the tensor of a sliding-window generator: the layer behind it slides."""
    for node in model.graph.node:
        kind = node.op_type.removesuffix("_rtl")
        inputs = [sources.get(name, name) for name in node.input]
        if kind in WIRES:
            sources |= dict.fromkeys(node.output, inputs[0])
        elif kind == "ConvolutionInputGenerator":
            sources[node.output[0]] = inputs[0]
            windows[node.output[0]] = _window(getCustomOp(node))
        else:
            window = next((windows[name] for name in node.input if name in windows), None)
            streams = tuple(
                one
                for name, one in zip(node.input, inputs, strict=True)
                if model.get_initializer(name) is None
            )
            layers.append(_layer(model, node, streams, window))
    return layers


def _window(generator) -> Window:
    sizes = (generator.get_nodeattr(name) for name in ("ConvKernelDim", "Stride", "Dilation"))
    return Window(*(tuple(int(side) for side in size) for size in sizes))


def _layer(model: ModelWrapper, node, inputs: tuple[str, ...], window: Window | None) -> Layer:
    """Return what a node computes; of one behind a sliding-window generator, on its windows."""
    operator = getCustomOp(node)
    kind = node.op_type.removesuffix("_rtl")
    place = (node.name, inputs, node.output[0])
    if kind == "MVAU":
        matrix = torch.from_numpy(_weights(model, node, operator))
        if window is None:
            pixels = tuple(model.get_tensor_shape(node.output[0])[1:-1])
            return MatrixVector(*place, matrix, pixels)
        # a window comes row by row, channels fastest
        filters = matrix.T.reshape(matrix.shape[1], *window.kernel, -1).permute(0, 3, 1, 2)
        filters = filters.contiguous(memory_format=torch.channels_last)
        return Convolution(*place, filters, window)
    if kind == "AddStreams":
        return Addition(*place)
    if kind == "FMPadding":
        return Padding(*place, tuple(int(n) for n in operator.get_nodeattr("Padding")))
    if kind == "Pool" and window is not None:
        function = operator.get_nodeattr("Function")
        if function == "AvgPool":
            raise NotImplementedError(f"node {node.name}: no golden model of a mean")
        shift = None if function == "MaxPool" else pool_shift(operator)
        return Pool(*place, window, shift)
    if kind == "Thresholding":
        thresholds = np.array(model.get_initializer(node.input[1]).T, np.float32, order="C")
        # FINN carries a bipolar output as the count
        bias, scale = operator.get_nodeattr("ActVal"), 1
        if operator.get_output_datatype() == DataType["BIPOLAR"]:
            bias, scale = -1, 2
        return Thresholds(*place, torch.from_numpy(thresholds), bias, scale)
    if kind == "LabelSelect":
        return LabelSelect(*place)
    if kind == "NoiseTap":
        channels = operator.get_nodeattr("NumChannels")
        return Tap(
            *place,
            site=operator.get_nodeattr("SiteName"),
            number=operator.get_nodeattr("Site"),
            format=TapFormat(
                frac=operator.get_nodeattr("FracBits"),
                out_min=operator.get_nodeattr("OutMin"),
                out_max=operator.get_nodeattr("OutMax"),
                rounds=bool(operator.get_nodeattr("Rounds")),
                step=operator.get_nodeattr("Step"),
            ),
            offsets=torch.tensor(
                list(operator.get_nodeattr("Offsets")) or [0] * channels, dtype=torch.int64
            ),
        )
    raise NotImplementedError(f"node {node.name}: no golden model of {node.op_type}")


def _weights(model: ModelWrapper, node, operator) -> np.ndarray:
    """Return a matrix-vector unit's weights, float32 [MW, MH]."""
    weights = model.get_initializer(node.input[1])
    datatype = operator.get_input_datatype(0)
    largest = max(abs(datatype.min()), abs(datatype.max()))
    bound = float(np.abs(weights.astype(np.float64)).sum(axis=0).max()) * float(largest)
    if bound >= EXACT_IN_FLOAT32:
        raise OverflowError(
            f"node {node.name}: accumulators reach {bound:.0f}, beyond float32's exact 2^24"
        )
    return weights.astype(np.float32)
