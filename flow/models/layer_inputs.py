"""Inputs of each layer of a network: the grid of its values, and the flattened image."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from brevitas.nn.quant_layer import QuantNonLinearActLayer
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from flow.models.network import Network
from flow.models.planes import Grid

ImageShape = tuple[int, int, int]
"""C, H and W of an image."""
_FLATTENING = ("flatten", "reshape", "view")
_PASSING = (
    *_FLATTENING, "dropout", "max_pool2d", "max_pool2d_with_indices", "pad", "permute", "transpose",
)  # fmt: skip
"""Functions whose output holds values of their input, or 0."""


@dataclass(frozen=True)
class LayerInput:
    """Inputs of a layer."""

    image: ImageShape | None = None
    """Shape of the image behind a convolution that was flattened; None if none was."""
    grid: Grid | None = None
    """Grid of its values; None if they are not quantised with one step and no zero point."""


def weight_shape(layer: nn.Module) -> tuple[torch.Size, int]:
    """Return the shape of a layer's weights, and its groups."""
    inner = getattr(layer, "layer", layer)
    options = getattr(inner, "options", {})
    return cast(Tensor, inner.weight).shape, getattr(inner, "groups", options.get("groups", 1))


class _Following(TorchFunctionMode):
    """Follows flattened images and quantised values through a network's functions."""

    def __init__(self) -> None:
        super().__init__()
        self.image: ImageShape | None = None
        """Shape of the last image behind a convolution before it was flattened."""
        self.grids: dict[int, tuple[Tensor, Grid]] = {}
        """Tensors, which are kept, by identity, with their grids."""
        self._convolved = False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self._convolved |= func is functional.conv2d
        name = getattr(func, "__name__", "")
        if self._convolved and name in _FLATTENING:
            before, after = (getattr(value, "value", value) for value in (args[0], out))
            if before.ndim == 4 and after.ndim == 2:
                self.image = tuple(before.shape[1:])
        if name in _PASSING and args and (grid := self.grid_of(args[0])):
            self.put(out[0] if isinstance(out, tuple) else out, grid)
        return out

    def put(self, values: Any, grid: Grid) -> None:
        """Note the grid of values."""
        self.grids[id(values)] = (values, grid)

    def grid_of(self, values: Any) -> Grid | None:
        """Return the grid of values; None if it is not known."""
        return self.grids[id(values)][1] if id(values) in self.grids else None


def layer_inputs(network: Network, layers: Iterable[nn.Module]) -> Mapping[nn.Module, LayerInput]:
    """Return what layers of a network read, by running it on an image of zeros."""
    found: dict[nn.Module, LayerInput] = {}
    seen = _Following()

    def read(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        shape, _ = weight_shape(layer)
        flattened = seen.image is not None and shape[1:].numel() == math.prod(seen.image)
        grid = seen.grid_of(arguments[0])
        found[layer] = LayerInput(seen.image if flattened else None, grid)
        seen.image = None

    def quantised(layer: QuantNonLinearActLayer, arguments: object, out: Any) -> None:
        if (grid := _grid(layer)) is not None:
            seen.put(out, grid)

    hooks = [layer.register_forward_pre_hook(read) for layer in layers]
    hooks += [
        module.register_forward_hook(quantised)
        for module in network.modules()
        if isinstance(module, QuantNonLinearActLayer)
    ]
    height, width, channels = network.image_shape
    mode = network.training
    with torch.no_grad(), seen:
        network.eval()(torch.zeros(1, channels, height, width, device=network.device))
    network.train(mode)
    for hook in hooks:
        hook.remove()
    return found


def _grid(layer: QuantNonLinearActLayer) -> Grid | None:
    """Return the grid of a quantiser; None without one step for all values, or a zero point."""
    quant = layer.act_quant
    if not quant.is_quant_enabled:
        return None
    scale, zero, bits = quant.scale(), quant.zero_point(), int(quant.bit_width())
    if scale.numel() != 1 or bool((zero != 0).any()):
        return None
    if bits == 1 and quant.is_signed:
        return Grid(float(scale), -1, 1, bipolar=True)
    high = 2 ** (bits - bool(quant.is_signed)) - 1
    narrow = bool(quant.is_narrow_range)
    if quant.is_signed:
        return Grid(float(scale), -high - (not narrow), high)
    return Grid(float(scale), 0, high - narrow)
