"""Tiles of a network's layers, as an analog array has them: partial sums, each with its noise.

A layer of MW rows has ceil(MW / R) tiles. Tile t covers rows t·R … of the weight matrix as FINN has
it: for a convolution, kernel row, kernel column, channel; for a dense layer behind convolutions,
row, column, channel of its input image.
"""

import copy
import math
from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from flow.errors import UserError
from flow.models.network import Network
from flow.noise import NoiseTap, Site

ImageShape = tuple[int, int, int]
"""C, H and W of an image."""
_FLATTENING = ("flatten", "reshape", "view")


class TiledLayer(nn.Module):
    """A convolution or dense layer with a tap on the partial sums of its tiles.

    Args:
        layer: the layer, which may compute its weights from others.
        rows: rows of a tile.
        tile: the tap, of float [N, T · C, …], the first tile's channels first.
        image: shape of the image whose values a dense layer reads; None if they are in order.
        scale: [C], unit of what the layer adds up, for the tap; 1 if None.
    """

    def __init__(
        self,
        layer: nn.Module,
        rows: int,
        tile: NoiseTap,
        image: ImageShape | None = None,
        scale: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.tile = tile
        self.rows = rows
        self.image = image
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
        """Return noisy accumulators, [N, C, …], of clean partial sums, [N, T · C, …]."""
        unit = torch.ones((), device=sums.device)
        if self.scale is not None:
            times = sums.shape[1] // channels
            unit = self.scale.repeat(times).view(-1, *[1] * (sums.ndim - 2))
        noisy = self.tile(sums * unit) / unit
        return noisy.unflatten(1, (-1, channels)).sum(1)


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
        sums = partial_sums(x, weight, tiled.rows, *options, **named)
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


def tile(network: Network, rows: int) -> Network:
    """Return a copy of a network whose layers of more than so many rows have tiles.

    The tap of such a layer is on the partial sums, at the site ``<layer>.tile`` in place of
    ``<layer>.acc``. A depth-wise convolution has a column for each channel, and one tile.

    Args:
        network: the network.
        rows: rows of a tile.

    Raises:
        UserError: no layer has so many rows, or a window of a depth-wise convolution has more.
    """
    if rows < 1:
        raise UserError(f"a tile has {rows} rows: give 1 or more")
    own = copy.deepcopy(network)
    layers = {site: own.layer_at(site) for site in own.accumulator_sites}
    sizes = {site: _matrix_rows(site, layer, rows) for site, layer in layers.items()}
    if max(sizes.values()) <= rows:
        raise UserError(
            f"a tile has {rows} rows, but no layer of {own.name} has more than "
            f"{max(sizes.values())}: each is one tile, as without ROWS; give fewer"
        )
    images = _flattened_images(own, layers.values())
    for site, layer in layers.items():
        if (tiles := -(-sizes[site] // rows)) > 1:
            tap = cast(NoiseTap, own.tap(site)).of_tiles(tiles)
            own.put_tiles(
                site, TiledLayer(layer, rows, tap, images.get(layer), getattr(layer, "scale", None))
            )
    own.rows = rows
    return own


def _weight(layer: nn.Module) -> tuple[torch.Size, int]:
    """Return the shape of a layer's weights, and its groups."""
    inner = getattr(layer, "layer", layer)
    options = getattr(inner, "options", {})
    return cast(Tensor, inner.weight).shape, getattr(inner, "groups", options.get("groups", 1))


def _matrix_rows(site: Site, layer: nn.Module, rows: int) -> int:
    """Return the rows of a layer's weight matrix."""
    (outputs, inputs, *kernel), groups = _weight(layer)
    if groups > 1 and (outputs, inputs) == (groups, 1):
        if math.prod(kernel) > rows:
            raise UserError(
                f"a tile has {rows} rows, but a window of the depth-wise convolution {site.layer} "
                f"has {math.prod(kernel)}, which are one tile: give {math.prod(kernel)} or more"
            )
        return math.prod(kernel)
    return groups * inputs * math.prod(kernel)


class _Flattening(TorchFunctionMode):
    """Remembers the shape of the last image behind a convolution that was flattened."""

    def __init__(self) -> None:
        super().__init__()
        self.image: ImageShape | None = None
        self._convolved = False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self._convolved |= func is functional.conv2d
        if self._convolved and getattr(func, "__name__", "") in _FLATTENING:
            before, after = (getattr(value, "value", value) for value in (args[0], out))
            if before.ndim == 4 and after.ndim == 2:
                self.image = tuple(before.shape[1:])
        return out


def _flattened_images(network: Network, layers: Iterable[nn.Module]) -> dict[nn.Module, ImageShape]:
    """Return the shape of the image that each dense layer behind convolutions reads flattened."""
    found, seen = {}, _Flattening()

    def look(layer: nn.Module, arguments: object) -> None:
        shape, _ = _weight(layer)
        if seen.image is not None and shape[1:].numel() == math.prod(seen.image):
            found[layer] = seen.image
        seen.image = None

    hooks = [layer.register_forward_pre_hook(look) for layer in layers]
    height, width, channels = network.image_shape
    mode = network.training
    with torch.no_grad(), seen:
        network.eval()(torch.zeros(1, channels, height, width, device=network.device))
    network.train(mode)
    for hook in hooks:
        hook.remove()
    return found
