"""Layers of the golden model.

A stream holds whole numbers in float32, which is exact up to 2^24 (checked), or in int64 if a tap's
format is wider. A stream of pixels is [N, H, W, C].

On any device but the processor, sums are taken by matrix products and additions alone: libraries of
convolutions may transform their operands (Winograd, Fourier), which rounds.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from flow.noise.hardware import fixed_point
from flow.noise.hardware.fixed_point import TapFormat, TapSettings

EXACT_IN_FLOAT32 = 1 << 24


@dataclass(frozen=True)
class Layer:
    """A layer from input streams to one output stream; called with its inputs in order."""

    __call__: ClassVar[Callable[..., Tensor]]

    name: str
    """Name of FINN's node."""
    inputs: tuple[str, ...]
    """Input streams, named by FINN's tensors."""
    output: str
    """Output stream, named by FINN's tensor."""

    def to(self, device: torch.device) -> "Layer":
        """Return the layer with its tensors on a device."""
        moved: dict[str, Any] = {
            name: value.to(device)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class Window:
    """Windows of an image from a sliding-window generator; all sizes are (H, W), pixels."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]

    def places(self, v: Tensor) -> Iterator[Tensor]:
        """Yield the values at each place of all windows, [N, OH, OW, C], row by row.

        Args:
            v: an image, [N, H, W, C].
        """
        rows, columns = (
            [
                slice(n * dilation, n * dilation + size - dilation * (kernel - 1), stride)
                for n in range(kernel)
            ]
            for size, kernel, stride, dilation in zip(
                v.shape[1:3], self.kernel, self.stride, self.dilation, strict=True
            )
        )
        for row in rows:
            for column in columns:
                yield v[:, row, column]


@dataclass(frozen=True)
class MatrixVector(Layer):
    """Matrix product acc = a · W, at every pixel if there are pixels."""

    weights: Tensor
    """float32 [MW, MH], whole numbers."""
    pixels: tuple[int, ...]
    """(H, W) of the input, or () without pixels."""

    @property
    def matrix(self) -> Tensor:
        """Weights as in FINN's node, float32 [MW, MH]."""
        return self.weights

    def with_matrix(self, matrix: Tensor) -> "MatrixVector":
        """Return the layer with other weights."""
        return replace(self, weights=matrix)

    def __call__(self, a: Tensor) -> Tensor:
        """Return the accumulators, [N, …, MH], of activations, MW per pixel."""
        return a.reshape(len(a), *self.pixels, -1) @ self.weights


@dataclass(frozen=True)
class Convolution(Layer):
    """Matrix product acc = window · W for each window of an image, or of each of its channels."""

    weights: Tensor
    """float32 [MH, C, K_H, K_W], whole numbers; [MH, 1, K_H, K_W] if depth-wise."""
    window: Window
    depth_wise: bool = False
    """Whether each output is that of one channel."""

    @property
    def matrix(self) -> Tensor:
        """Weights as in FINN's node, float32 [MW, MH]."""
        filters = self.weights.permute(0, 2, 3, 1)
        return filters.reshape(len(filters), -1).T

    def with_matrix(self, matrix: Tensor) -> "Convolution":
        """Return the layer with other weights."""
        return replace(self, weights=filters_of(matrix, self.window))

    def __call__(self, a: Tensor) -> Tensor:
        """Return the accumulators, [N, OH, OW, MH], of activations, [N, H, W, C]."""
        if not a.is_cpu:
            return self._by_products(a)
        image = a.permute(0, 3, 1, 2)
        acc = functional.conv2d(
            image,
            self.weights,
            stride=self.window.stride,
            dilation=self.window.dilation,
            groups=len(self.weights) if self.depth_wise else 1,
        )
        return acc.permute(0, 2, 3, 1)

    def _by_products(self, a: Tensor) -> Tensor:
        """Return the accumulators as a sum of products, one for each place in a window."""
        filters = self.weights.permute(2, 3, 1, 0).flatten(0, 1)
        places = self.window.places(a)
        product = torch.mul if self.depth_wise else torch.matmul
        acc = product(next(places), filters[0])
        for values, matrix in zip(places, filters[1:], strict=True):
            acc += product(values, matrix)
        return acc


def filters_of(matrix: Tensor, window: Window) -> Tensor:
    """Return a matrix [MW, MH] as the filters of a convolution, [MH, C, K_H, K_W].

    A window is ordered row by row, channels fastest. C is 1 if the convolution is depth-wise.
    """
    filters = matrix.T.reshape(matrix.shape[1], *window.kernel, -1).permute(0, 3, 1, 2)
    return filters.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class ByteConvolution(Layer):
    """A convolution on bytes in the processor's integer units, exact and several times as fast."""

    floats: Convolution
    """The convolution in float32."""
    packed: Tensor
    """Weights in oneDNN's internal format."""
    filters: int
    window: Window
    low: int
    """Smallest activation."""
    high: int
    """Largest activation."""
    zero: int
    """Offset that turns an activation into an unsigned byte."""

    @classmethod
    def of(cls, floats: Convolution, low: int, high: int) -> "ByteConvolution | Convolution":
        """Return a convolution on bytes, or ``floats`` itself if bytes cannot hold it.

        A depth-wise one stays in float32, which takes half the time.

        Args:
            floats: the convolution in float32.
            low: smallest activation.
            high: largest activation.
        """
        largest = int(floats.weights.abs().max())
        # some processors add products in pairs: two must fit 16 bits
        fits = high - low < 256 and largest < 128 and 2 * 255 * largest < 1 << 15
        if not fits or floats.depth_wise or "x86" not in torch.backends.quantized.supported_engines:
            return floats
        window, count = floats.window, len(floats.weights)
        packed = torch.ops.onednn.qconv_prepack(
            floats.weights.to(torch.int8), torch.ones(count), 1.0, -low,
            window.stride, (0, 0), window.dilation, 1, None,
        )  # fmt: skip
        place = (floats.name, floats.inputs, floats.output)
        return cls(*place, floats, packed, count, window, low, high, -low)

    def to(self, device: torch.device) -> Layer:
        """Return the layer itself on the processor, and the convolution in float32 elsewhere."""
        if device.type == "cpu":
            return self
        return replace(self.floats, inputs=self.inputs, output=self.output).to(device)

    @property
    def matrix(self) -> Tensor:
        """Weights as in FINN's node, float32 [MW, MH]."""
        return self.floats.matrix

    def with_matrix(self, matrix: Tensor) -> "ByteConvolution | Convolution":
        """Return the layer with other weights."""
        floats = replace(self.floats.with_matrix(matrix), inputs=self.inputs, output=self.output)
        return ByteConvolution.of(floats, self.low, self.high)

    def __call__(self, a: Tensor) -> Tensor:
        """Return the accumulators, [N, OH, OW, MH], of activations, [N, H, W, C]."""
        image = (a + self.zero).to(torch.uint8).permute(0, 3, 1, 2)
        acc = torch.ops.onednn.qconv2d_pointwise(
            image, 1.0, self.zero,
            self.packed, torch.ones(self.filters), torch.zeros(self.filters, dtype=torch.int32),
            None, self.window.stride, (0, 0), self.window.dilation, 1,
            1.0, 0, torch.float32, "none", (), "",
        )  # fmt: skip
        return acc.permute(0, 2, 3, 1)


@dataclass(frozen=True)
class Padding(Layer):
    """Zero padding around an image."""

    widths: tuple[int, ...]
    """Top, left, bottom, right, pixels."""

    def __call__(self, v: Tensor) -> Tensor:
        """Return [N, top + H + bottom, left + W + right, C] of [N, H, W, C]."""
        top, left, bottom, right = self.widths
        return functional.pad(v, (0, 0, left, right, top, bottom))


@dataclass(frozen=True)
class Upsampling(Layer):
    """Each row and each pixel of an image, several times."""

    factors: tuple[int, int]
    """Times of each row and of each pixel."""

    def __call__(self, v: Tensor) -> Tensor:
        """Return [N, H · rows, W · columns, C] of [N, H, W, C]."""
        rows, columns = self.factors
        return v.repeat_interleave(rows, 1).repeat_interleave(columns, 2)


@dataclass(frozen=True)
class Pool(Layer):
    """Pooling of each window per channel: the largest value, or the sum shifted right."""

    window: Window
    shift: int | None
    """Bits by which the sum is shifted; None for the largest value."""

    def __call__(self, v: Tensor) -> Tensor:
        """Return [N, OH, OW, C] of [N, H, W, C]."""
        image, (kernel, stride) = v.permute(0, 3, 1, 2), (self.window.kernel, self.window.stride)
        if self.shift is None:
            return functional.max_pool2d(image, kernel, stride).permute(0, 2, 3, 1)
        if v.is_cpu:
            total = functional.avg_pool2d(image, kernel, stride, divisor_override=1)
            total = total.permute(0, 2, 3, 1)
        else:
            total = sum(self.window.places(v), torch.zeros((), dtype=v.dtype, device=v.device))
        if self.shift == 0:
            # sums with float noise are no whole numbers
            return total
        return (total / (1 << self.shift)).floor_()


@dataclass(frozen=True)
class Thresholds(Layer):
    """Thresholding: scale · (number of thresholds not above the value) + bias.

    Steps that fall count the thresholds above the value, and channels that fall do the opposite.
    """

    thresholds: Tensor
    """float32 [steps, C], whole numbers."""
    bias: int
    scale: int = 1
    """Step of the output per threshold."""
    falling: Tensor | None = None
    """Whether each channel falls, bool [C]; no channel if None."""
    falls: tuple[bool, ...] = ()
    """Whether each step falls; no step if empty."""

    def __call__(self, v: Tensor) -> Tensor:
        """Return activations, [N, …, C], of values, [N, …, C]."""
        count = torch.full_like(v, self.bias, dtype=torch.float32)
        passed = torch.empty_like(count)
        # float32 would round wide sums, which int64 holds
        steps = self.thresholds if v.is_floating_point() else self.thresholds.long()
        for step, falls in zip(steps, self.falls or repeat(False), strict=False):
            compare = torch.lt if falls else torch.ge
            count.add_(compare(v, step, out=passed), alpha=self.scale)
        if self.falling is not None:
            ends = 2 * self.bias + self.scale * len(self.thresholds)
            count = torch.where(self.falling, ends - count, count)
        return count

    def without(self, tap: "Tap") -> "Thresholds | None":
        """Return equivalent thresholds upstream of a tap without noise, or None if there are none.

        acc · 2^F ≥ t is equivalent to acc ≥ ceil(t / 2^F), unless the tap saturates in between.
        """
        low, high = self.thresholds.min(), self.thresholds.max()
        if tap.format.rounds or low <= tap.format.out_min or high > tap.format.out_max:
            return None
        thresholds = (self.thresholds / (1 << tap.format.frac)).ceil()
        return replace(self, inputs=tap.inputs, thresholds=thresholds)


@dataclass(frozen=True)
class LabelSelect(Layer):
    """Index of the largest value · gain · 2^shift + offset, the lowest index among equals.

    Of a single value it is whether that is 0 or more.
    """

    shift: int = 0
    offsets: Tensor | None = None
    """Offset of each class, int64 [C]; 0 if None."""
    gains: Tensor | None = None
    """Gain of each class, int64 [C]; 1 if None."""

    def __call__(self, v: Tensor) -> Tensor:
        """Return labels on the processor, int64 [N, 1], of values [N, …, C] of one pixel."""
        compared = self.compared(v.flatten(1))
        if compared.shape[1] == 1:
            return (compared >= 0).cpu().long()
        # not every device takes the lowest index
        return compared.cpu().argmax(1, keepdim=True)

    def compared(self, v: Tensor) -> Tensor:
        """Return the compared numbers, [N, C], for values [N, C]."""
        scaled = v if self.gains is None else v.long() * self.gains
        return scaled if self.offsets is None else (scaled.long() << self.shift) + self.offsets


@dataclass(frozen=True)
class Tap(Layer):
    """A noise tap on a stream."""

    site: str
    number: int
    """The site's number in the noise counter."""
    format: TapFormat
    offsets: Tensor
    """o · 2^F, int64 [C]."""

    def __call__(
        self, v: Tensor, settings: TapSettings, drawn: Mapping[int, Tensor] | None = None
    ) -> Tensor:
        """Return the stream downstream of the tap, [N, …, C], of values, [N, …, C]."""
        flat = v.flatten(1)
        if max(-self.format.out_min, self.format.out_max) > EXACT_IN_FLOAT32:
            flat = flat.long()
        out = fixed_point.apply_tap(flat, self.offsets, self.format, settings, self.number, drawn)
        return out.view(v.shape)


def pool_shift(function: str, places: int, in_bits: int, out_bits: int) -> int:
    """Return the bits by which a pool shifts its sum, which only FINN's QuantAvgPool does.

    Args:
        function: FINN's name of the pooling function.
        places: number of pooled values.
        in_bits: bits of an input value.
        out_bits: bits of an output value.
    """
    if function != "QuantAvgPool":
        return 0
    return max(0, ((2**in_bits - 1) * places).bit_length() - out_bits)
