"""The golden model: what the compiled graph computes, bit for bit, in integers, on many images.

It reads weights, thresholds and taps from FINN's nodes, not from the Brevitas network. Values are
integers; those in a matrix product lie in float32, which is exact below 2^24 (checked). A stream
of pixels is [N, H, W, C].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

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
BATCH = 50
"""Images worked on at a time: few enough for the processor's caches."""


@dataclass(frozen=True)
class Window:
    """The windows of an image that a sliding-window generator gives; all sizes (H, W), pixels."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]


@dataclass(frozen=True)
class MatrixVector:
    """acc = a · W."""

    name: str
    weights: Tensor
    """float32 [MW, MH], whole numbers."""

    def __call__(self, a: Tensor) -> Tensor:
        """Return the accumulators, int32 [N, MH], of activations, integers [N, …] of MW each."""
        return (a.flatten(1).to(torch.float32) @ self.weights).to(torch.int32)


@dataclass(frozen=True)
class Convolution:
    """acc = window · W for each window of an image."""

    name: str
    weights: Tensor
    """float32 [MH, C, K_H, K_W], whole numbers."""
    window: Window

    def __call__(self, a: Tensor) -> Tensor:
        """Return the accumulators, int32 [N, OH, OW, MH], of activations, integers [N, H, W, C]."""
        image = a.to(torch.float32).permute(0, 3, 1, 2)
        acc = functional.conv2d(
            image, self.weights, stride=self.window.stride, dilation=self.window.dilation
        )
        return acc.permute(0, 2, 3, 1).to(torch.int32)


@dataclass(frozen=True)
class Pool:
    """The largest value of each window, channel by channel, or the sum, shifted right."""

    name: str
    window: Window
    shift: int | None
    """Bits by which a sum is shifted; None for the largest value."""

    def __call__(self, v: Tensor) -> Tensor:
        """Return integers [N, OH, OW, C] of integers [N, H, W, C]."""
        (height, width), (down, right) = self.window.kernel, self.window.stride
        windows = v.unfold(1, height, down).unfold(2, width, right)
        if self.shift is None:
            return windows.amax((-2, -1))
        return windows.sum((-2, -1)).to(v.dtype) >> self.shift


@dataclass(frozen=True)
class Thresholds:
    """Count the thresholds that are not above the value, from a bias."""

    name: str
    thresholds: Tensor
    """int32 [C, steps], ascending."""
    bias: int
    scale: int
    """Step of the output per threshold."""

    def __call__(self, v: Tensor) -> Tensor:
        """Return activations, int32 [N, …, C], of values, int32 or int64 [N, …, C]."""
        count = torch.full(v.shape, self.bias, dtype=torch.int32)
        for step in self.thresholds.T:
            count.add_(v >= step, alpha=self.scale)
        return count


@dataclass(frozen=True)
class LabelSelect:
    """The index of the largest value, the lowest among equals."""

    name: str

    def __call__(self, v: Tensor) -> Tensor:
        """Return labels, int64 [N, 1], of values [N, C]."""
        return v.argmax(1, keepdim=True)


@dataclass(frozen=True)
class Tap:
    """A noise tap."""

    name: str
    site: str
    number: int
    """The site's number in the noise counter."""
    format: TapFormat
    offsets: Tensor
    """o · 2^F, int64 [C]."""

    def __call__(self, v: Tensor, settings: TapSettings, **draws: Tensor) -> Tensor:
        """Return the stream behind the tap, int64 [N, …, C], of values, integers [N, …, C]."""
        flat = v.to(torch.int64).flatten(1)
        out = fixed_point.apply_tap(flat, self.offsets, self.format, settings, self.number, **draws)
        return out.view(v.shape)


Layer = MatrixVector | Convolution | Pool | Thresholds | LabelSelect | Tap


@dataclass
class Record:
    """What went by while images ran; fill only what was asked for."""

    streams: dict[str, Tensor] = field(default_factory=dict)
    """Output of each layer by FINN's node name, integers [N, C] or [N, H, W, C]."""
    digests: dict[str, Tensor] = field(default_factory=dict)
    """Digest of each tap's output stream by site, int64 [N] in 0..2^32 − 1."""


class GoldenModel:
    """Runs images through the layers of a compiled graph, or through a part of them.

    Args:
        model: FINN's graph of hardware layers, with taps; specialised or not.

    Raises:
        OverflowError: a matrix product could leave the range in which float32 is exact.
    """

    def __init__(self, model: ModelWrapper) -> None:
        self.input_shape = tuple(model.get_tensor_shape(model.graph.input[0].name)[1:])
        self.layers: list[Layer] = []
        window = None
        for node in model.graph.node:
            kind = node.op_type.removesuffix("_rtl")
            if kind == "ConvolutionInputGenerator":
                # the layer behind it slides
                window = _window(getCustomOp(node))
            elif kind not in ("StreamingFIFO", "StreamingDataWidthConverter"):
                self.layers.append(_layer(model, node, window))
                window = None

    @property
    def taps(self) -> dict[str, Tap]:
        """The taps by site, in the order of the data."""
        return {layer.site: layer for layer in self.layers if isinstance(layer, Tap)}

    def index(self, site: str) -> int:
        """Return the place of a site's tap among the layers."""
        return self.layers.index(self.taps[site])

    def run(
        self,
        values: Tensor,
        noise: Mapping[str, TapSettings] | None = None,
        *,
        start: int = 0,
        stop: int | None = None,
        draws: Mapping[str, Mapping[str, Tensor]] | None = None,
        record: Record | None = None,
    ) -> Tensor:
        """Run layers ``start`` up to ``stop``.

        Args:
            values: integers [N, …], the stream into layer ``start``.
            noise: settings by site; a site that is not named is clean.
            start: first layer to run.
            stop: the layer before which to end; the end of the network when None.
            draws: samples already drawn, by site: keyword arguments of ``apply_tap``.
            record: takes every stream and digest on the way.

        Returns:
            the stream out of the last layer run: labels, int64 [N, 1], at the end of the network.
        """
        layers = self.layers[start:stop]
        outputs, records = [], []
        for first in range(0, len(values), BATCH):
            part = slice(first, first + BATCH)
            settings = {
                site: replace(point, image_base=point.image_base + first)
                for site, point in (noise or {}).items()
            }
            drawn = {
                site: {name: z[part].to(torch.int64) for name, z in samples.items()}
                for site, samples in (draws or {}).items()
            }
            batch = values[part]
            if start == 0:
                batch = batch.view(-1, *self.input_shape)
            records.append(None if record is None else Record())
            outputs.append(_run_batch(layers, batch, settings, drawn, records[-1]))
        if record is not None:
            for kind in ("streams", "digests"):
                parts = [getattr(one, kind) for one in records]
                joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
                getattr(record, kind).update(joined)
        return torch.cat(outputs)


def _run_batch(
    layers: Sequence[Layer],
    values: Tensor,
    noise: Mapping[str, TapSettings],
    draws: Mapping[str, Mapping[str, Tensor]],
    record: Record | None,
) -> Tensor:
    for layer in layers:
        if isinstance(layer, Tap):
            site = layer.site
            values = layer(values, noise.get(site, TapSettings()), **draws.get(site, {}))
            if record is not None:
                record.digests[site] = fixed_point.digest(values.flatten(1))
        else:
            values = layer(values)
        if record is not None:
            record.streams[layer.name] = values
    return values


def _window(generator) -> Window:
    sizes = (generator.get_nodeattr(name) for name in ("ConvKernelDim", "Stride", "Dilation"))
    return Window(*(tuple(int(side) for side in size) for size in sizes))


def _layer(model: ModelWrapper, node, window: Window | None) -> Layer:
    """Return what a node computes; of one behind a sliding-window generator, on its windows."""
    operator = getCustomOp(node)
    kind = node.op_type.removesuffix("_rtl")
    if kind == "MVAU":
        weights = model.get_initializer(node.input[1])
        datatype = operator.get_input_datatype(0)
        largest = max(abs(datatype.min()), abs(datatype.max()))
        bound = float(np.abs(weights.astype(np.float64)).sum(axis=0).max()) * float(largest)
        if bound >= EXACT_IN_FLOAT32:
            raise OverflowError(
                f"node {node.name}: accumulators reach {bound:.0f}, beyond float32's exact 2^24"
            )
        matrix = torch.from_numpy(weights.astype(np.float32))
        if window is None:
            return MatrixVector(node.name, matrix)
        # a window comes row by row, channels fastest
        filters = matrix.T.reshape(matrix.shape[1], *window.kernel, -1).permute(0, 3, 1, 2)
        return Convolution(node.name, filters.contiguous(memory_format=torch.channels_last), window)
    if kind == "Pool" and window is not None:
        function = operator.get_nodeattr("Function")
        if function == "AvgPool":
            raise NotImplementedError(f"node {node.name}: no golden model of a mean")
        shift = None if function == "MaxPool" else pool_shift(operator)
        return Pool(node.name, window, shift)
    if kind == "Thresholding":
        thresholds = model.get_initializer(node.input[1]).astype(np.int32)
        # FINN carries a bipolar output as the count
        bias, scale = operator.get_nodeattr("ActVal"), 1
        if operator.get_output_datatype() == DataType["BIPOLAR"]:
            bias, scale = -1, 2
        return Thresholds(node.name, torch.from_numpy(thresholds), bias, scale)
    if kind == "LabelSelect":
        return LabelSelect(node.name)
    if kind == "NoiseTap":
        channels = operator.get_nodeattr("NumChannels")
        return Tap(
            name=node.name,
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
