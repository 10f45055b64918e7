"""Layers as an analog array computes them: in partial sums, each with its noise.

A layer of MW rows has ceil(MW / R) tiles. Tile t covers rows t·R … of the weight matrix as FINN has
it: for a convolution, kernel row, kernel column, channel; for a dense layer behind convolutions,
row, column, channel of its input image. If the array takes its inputs in planes of a few bits
(`flow.models.planes`), each tile has a partial sum for each plane, in units of the plane's lowest
bit.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from flow.errors import OptionError
from flow.models.layer_inputs import ImageShape, layer_inputs, weight_shape
from flow.models.network import Network
from flow.models.planes import WHOLE, Array, Grid, Planes
from flow.noise import NoiseTap, Site


class TiledLayer(nn.Module):
    """A convolution or dense layer with a tap on the partial sums of its tiles.

    Args:
        layer: the layer, which may compute its weights from others.
        rows: rows of a tile.
        tile: the tap, of float [N, P · T · C, …], the first plane's tiles first, of which the first
            tile's channels.
        image: shape of the image whose values a dense layer reads; None if they are in order.
        scale: [C], unit of what the layer adds up, for the tap; 1 if None.
        planes: planes of the layer's input.
        step: step of the values that the layer multiplies.
    """

    def __init__(
        self,
        layer: nn.Module,
        rows: int,
        tile: NoiseTap,
        image: ImageShape | None = None,
        scale: Tensor | None = None,
        planes: Planes = WHOLE,
        step: float = 1.0,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.tile = tile
        self.rows = rows
        self.image = image
        self.planes = planes
        self.step = step
        self.register_buffer("scale", scale, persistent=False)
        self.scale: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        """Return the accumulators, float [N, C, …]; without noise they are the layer's own."""
        if self.tile.idle:
            out: Tensor = self.layer(x)
            return out
        with _Products(self):
            noisy: Tensor = self.layer(x)
        return noisy

    def sum_of_tiles(self, sums: Tensor, channels: int) -> Tensor:
        """Return noisy accumulators, [N, C, …], of clean partial sums, [N, P · T · C, …]."""
        unit = torch.ones((), device=sums.device)
        if self.scale is not None:
            times = sums.shape[1] // channels
            unit = self.scale.repeat(times).view(-1, *[1] * (sums.ndim - 2))
        noisy = self.tile(sums * unit) / unit
        planes = noisy.chunk(self.planes.count, 1)
        terms = zip(self.planes.weights, planes, strict=True)
        return sum_of(weight * plane.unflatten(1, (-1, channels)).sum(1) for weight, plane in terms)

    def cut(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the planes of the layer's input."""
        if self.planes.count == 1:
            yield x
            return
        for plane in self.planes.cut((x / self.step).round()):
            yield plane * self.step


class _Products(TorchFunctionMode):
    """Lets the products of a layer be computed tile by tile."""

    def __init__(self, tiled: TiledLayer) -> None:
        super().__init__()
        self.tiled = tiled

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func not in (functional.linear, functional.conv2d):
            return func(*args, **(kwargs or {}))
        plain = [getattr(value, "value", value) for value in args]
        return self._product(*plain, **(kwargs or {}))

    def _product(
        self, x: Tensor, weight: Tensor, bias: Tensor | None = None, *options: Any, **named: Any
    ) -> Tensor:
        tiled, dense = self.tiled, weight.ndim == 2
        if dense:
            shape = tiled.image or (weight.shape[1], 1, 1)
            x, weight = x.reshape(-1, *shape), weight.reshape(-1, *shape)
        sums = torch.cat(
            [partial_sums(one, weight, tiled.rows, *options, **named) for one in tiled.cut(x)], 1
        )
        acc = tiled.sum_of_tiles(sums.flatten(1) if dense else sums, len(weight))
        return acc if bias is None else acc + bias.view(-1, *[1] * (acc.ndim - 2))


def partial_sums(
    x: Tensor,
    weight: Tensor,
    rows: int,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Return the partial sums of a convolution, float [N, T · O, H', W'].

    Args:
        x: images, float [N, C, H, W].
        weight: filters, float [O, C / groups, K_H, K_W].
        rows: rows of a tile.
        stride: as of torch's ``conv2d``, as are the next three.
        padding: zeros around the image, pixels.
        dilation: pixels between the places of a window.
        groups: groups of channels; a row of the matrix is zero where they do not meet.
    """
    if rows >= groups * weight[0].numel():
        # one tile
        return functional.conv2d(x, weight, None, stride, padding, dilation, groups)
    if groups > 1:
        weight = _whole(weight, groups)
    stride, padding, dilation = (_pair(n) for n in (stride, padding, dilation))
    kernel = weight.shape[2:]
    windows = functional.unfold(x, kernel, dilation, padding, stride)
    # channels fastest
    windows = windows.unflatten(1, (x.shape[1], -1)).transpose(1, 2).flatten(1, 2)
    matrix = weight.flatten(2).transpose(1, 2).flatten(1)
    pairs = zip(matrix.split(rows, 1), windows.split(rows, 1), strict=True)
    sums = torch.cat([filters @ values for filters, values in pairs], 1)
    sides = zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    return sums.unflatten(2, [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sides])


def _whole(weight: Tensor, groups: int) -> Tensor:
    """Return the filters of a grouped convolution as those of all channels, [O, C, K_H, K_W]."""
    outputs, inputs, *kernel = weight.shape
    whole = weight.new_zeros(groups, outputs // groups, groups, inputs, *kernel)
    every = torch.arange(groups)
    whole[every, :, every] = weight.unflatten(0, (groups, -1))
    return whole.reshape(outputs, groups * inputs, *kernel)


def _pair(value: int | Sequence[int]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)


def sum_of(terms: Iterator[Tensor]) -> Tensor:
    """Return the sum of one tensor or more, in their order."""
    total = next(terms)
    for term in terms:
        total = total + term
    return total


def tile(network: Network, array: Array) -> Network:
    """Return a copy of a network whose layers are computed on an array.

    A layer of more rows than the array has several tiles, and one of activations of more bits than
    the array's inputs several planes. The tap of such a layer is on the partial sums, at the site
    ``<layer>.tile`` in place of ``<layer>.acc``. A depth-wise convolution has a column for each
    channel, and one tile.

    Args:
        network: the network.
        array: the array's size.

    Raises:
        OptionError: no layer has so many rows, a window of a depth-wise convolution has more, or
            the activations that a layer reads have no bits.
    """
    if array.rows is not None and array.rows < 1:
        raise OptionError("rows", f": a tile has {array.rows} rows: give 1 or more")
    if array.input_bits is not None and array.input_bits < 1:
        raise OptionError("input_bits", f"is {array.input_bits}: give 1 or more")
    own = copy.deepcopy(network)
    layers = {site: own.layer_at(site) for site in own.accumulator_sites}
    sizes = {site: _matrix_rows(site, layer, array.rows) for site, layer in layers.items()}
    rows = array.rows or max(sizes.values())
    if array.rows is not None and max(sizes.values()) <= rows:
        raise OptionError(
            "rows",
            f": a tile has {rows} rows, but no layer of {own.name} has more than "
            f"{max(sizes.values())}: each is one tile, as without ROWS; give fewer",
        )
    inputs = layer_inputs(own, layers.values())
    for site, layer in layers.items():
        grid = own.input_grid(site) or inputs[layer].grid
        planes = WHOLE if array.input_bits is None else _planes(site, grid, array.input_bits)
        if (parts := planes.count * -(-sizes[site] // rows)) > 1:
            tap = cast(NoiseTap, own.tap(site)).of_sums(parts)
            scale = getattr(layer, "scale", None)
            # an exact layer multiplies whole numbers
            step = 1.0 if scale is not None or grid is None else grid.step
            tiled = TiledLayer(layer, rows, tap, inputs[layer].image, scale, planes, step)
            own.put_tiles(site, tiled)
    own.array = array
    return own


def _planes(site: Site, grid: Grid | None, bits: int) -> Planes:
    """Return the planes of what a layer reads."""
    if grid is None:
        raise OptionError(
            "input_bits",
            f"is {bits}, but the values that {site.layer} reads are not quantised with one step "
            "and no zero point: leave it out, or quantise them so",
        )
    return Planes.of(grid, bits)


def _matrix_rows(site: Site, layer: nn.Module, rows: int | None) -> int:
    """Return the number of rows of a layer's weight matrix, the most that a tile can have."""
    (outputs, inputs, *kernel), groups = weight_shape(layer)
    if groups > 1 and (outputs, inputs) == (groups, 1):
        if rows is not None and math.prod(kernel) > rows:
            raise OptionError(
                "rows",
                f": a tile has {rows} rows, but a window of the depth-wise convolution "
                f"{site.layer} has {math.prod(kernel)}, which are one tile: give "
                f"{math.prod(kernel)} or more",
            )
        return math.prod(kernel)
    return groups * inputs * math.prod(kernel)
