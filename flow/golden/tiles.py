"""Layers of the golden model in partial sums, of tiles and planes, and what adds them up."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from flow.golden.layers import (
    EXACT_IN_FLOAT32,
    ByteConvolution,
    Convolution,
    Layer,
    MatrixVector,
    Tap,
    Thresholds,
)
from flow.models.planes import WHOLE, Planes
from flow.models.tiles import sum_of
from flow.noise.hardware.fixed_point import TapFormat

Product = MatrixVector | Convolution | ByteConvolution
"""A layer with weights."""


@dataclass(frozen=True)
class TileProducts(Layer):
    """Sums over each tile's rows of a matrix product, of each plane of its activations.

    They are [N, …, P · T · MH], the first plane's tiles first.
    """

    whole: Product
    """The product without tiles."""
    lengths: tuple[int, ...]
    """Rows of each tile, in the order of the matrix."""
    planes: Planes = WHOLE
    """Planes of the activations."""

    @property
    def matrix(self) -> Tensor:
        """Weights as in FINN's node, float32 [MW, MH]."""
        return self.whole.matrix

    def with_matrix(self, matrix: Tensor) -> "TileProducts":
        """Return the layer with other weights."""
        return replace(self, whole=self.whole.with_matrix(matrix))

    def to(self, device: torch.device) -> "TileProducts":
        """Return the layer with its tensors on a device."""
        whole = cast(Product, self.whole.to(device))
        return replace(self, whole=whole)

    def __call__(self, a: Tensor) -> Tensor:
        """Return the partial sums of activations."""
        return torch.cat([self._of_tiles(plane) for plane in self.planes.cut(a)], -1)

    def _of_tiles(self, a: Tensor) -> Tensor:
        """Return each tile's sums, by matrix products and additions alone if there are several."""
        if len(self.lengths) == 1:
            return self.whole(a)
        if isinstance(self.whole, MatrixVector):
            places = [a.reshape(len(a), *self.whole.pixels, -1)]
        else:
            places = list(self.whole.window.places(a))
        channels, matrix = places[0].shape[-1], self.matrix
        sums, first = [], 0
        for length in self.lengths:
            tile = torch.zeros((), device=a.device)
            for place in range(first // channels, -(-(first + length) // channels)):
                begin = max(first, place * channels)
                end = min(first + length, (place + 1) * channels)
                values = places[place][..., begin - place * channels : end - place * channels]
                tile = tile + values @ matrix[begin:end]
            sums.append(tile)
            first += length
        return torch.cat(sums, -1)


@dataclass(frozen=True)
class TileSum(Layer):
    """Sum of the tiles of each channel, and of the planes by their weights, saturated."""

    tiles: int
    format: TapFormat
    """Format of the sum, as of a tap on whole accumulators."""
    planes: Planes = WHOLE

    def __call__(self, v: Tensor) -> Tensor:
        """Return sums, [N, …, C], of partial sums, [N, …, P · T · C], of whole numbers or float64.

        Whole numbers are in float32 if that holds them.
        """
        # sums before saturation may be beyond what float32 holds
        whole = v.dtype != torch.float64
        planes = (v.long() if whole else v).chunk(self.planes.count, -1)
        terms = zip(self.planes.weights, planes, strict=True)
        sums = sum_of(one.unflatten(-1, (self.tiles, -1)).sum(-2) * weight for weight, one in terms)
        sums = sums.clamp(self.format.out_min, self.format.out_max)
        return sums.float() if whole and self.format.out_max <= EXACT_IN_FLOAT32 else sums


def untiled(
    products: Layer, tap: Tap, total: TileSum, behind: Sequence[Layer]
) -> dict[str, Layer | None]:
    """Return what takes the place of a tiled layer without noise: the whole product.

    Args:
        products: the layer upstream of the tap.
        tap: its tap, without noise.
        total: the sum behind the tap.
        behind: what reads the sum.

    Returns:
        The replacement of each layer by its name, None of one that is left out; nothing if the
        layers behind need the sum as it is.
    """
    if not isinstance(products, TileProducts):
        # the partial sums are given
        return {}
    whole = replace(products.whole, output=products.output)
    acc = replace(tap, output=total.output, format=total.format)
    found = [one.without(acc) if isinstance(one, Thresholds) else None for one in behind]
    if not all(found):
        return {}
    instead: dict[str, Layer | None] = {products.name: whole, tap.name: None, total.name: None}
    return instead | {one.name: one for one in found if one is not None}
