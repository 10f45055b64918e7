"""Modules that torch or torchao prepared for quantisation, or quantised as a graph (PT2E).

torch's exporters do not know most of their quantisers, or leave out limits of these. They know the
arithmetic of these, which `flow.models.qonnx.tidy.roundings` reads.
"""

import copy
import sys
from typing import Any

import torch
from torch import Tensor, fx, nn

from flow.errors import UserError

_FAKE = (
    "torch.ao.quantization.fake_quantize.FakeQuantize",
    "torchao.quantization.pt2e.fake_quantize.FakeQuantize",
)
_OBSERVERS = (
    "torch.ao.quantization.observer.ObserverBase",
    "torchao.quantization.pt2e.observer.ObserverBase",
)
_CONVERTED = ("torch.ao.nn.quantized.modules.utils.WeightedQuantizedModule",)
_LIBRARY = "quantized_decomposed"
"""Namespace of the operators by which a graph quantises."""


class _Arithmetic(nn.Module):
    """What a fake quantiser computes: (clip(round(x / s) + z, low, high) − z) · s.

    Args:
        scale: step s, of one number or of each channel.
        limits: low − z and high − z, shaped as the step.
        axis: the axis of the channels.
    """

    def __init__(self, scale: Tensor, limits: tuple[Tensor, Tensor], axis: int) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("low", limits[0])
        self.register_buffer("high", limits[1])
        self.scale: Tensor
        self.low: Tensor
        self.high: Tensor
        self.axis = axis
        alike = all(bool((one == one.flatten()[0]).all()) for one in limits)
        self.limits = tuple(float(one.flatten()[0]) for one in limits) if alike else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the values as they are quantised."""
        scale, low, high = (
            _along(self.axis, one, x.dim()) for one in (self.scale, self.low, self.high)
        )
        steps = torch.round(x / scale)
        if self.limits is not None:
            return steps.clamp(*self.limits) * scale
        return torch.minimum(torch.maximum(steps, low), high) * scale


def _along(axis: int, numbers: Tensor, rank: int) -> Tensor:
    """Return numbers of each channel in a shape that broadcasts to a tensor of this rank."""
    shape = [-1 if n == axis % rank else 1 for n in range(rank)]
    return numbers if numbers.numel() == 1 else numbers.reshape(shape)


def _quantise(x: Tensor, scale: Any, zero: Any, low: int, high: int, *kind: Any) -> Tensor:
    return (torch.round(x / scale) + zero).clamp(low, high)


def _dequantise(
    x: Tensor, scale: Any, zero: Any, low: int, high: int, *kind: Any, out_dtype: Any = None
) -> Tensor:
    # stored weights are bytes
    return ((x if x.is_floating_point() else x.float()) - zero) * scale


def _quantise_channels(
    x: Tensor, scale: Tensor, zero: Tensor, axis: int, low: int, high: int, *kind: Any
) -> Tensor:
    scale, zero = (_along(axis, one, x.dim()) for one in (scale, zero))
    return _quantise(x, scale, zero, low, high)


def _dequantise_channels(
    x: Tensor, scale: Tensor, zero: Tensor | None, axis: int, low: int, high: int, *kind: Any,
    out_dtype: Any = None,
) -> Tensor:  # fmt: skip
    scale = _along(axis, scale, x.dim())
    return _dequantise(x, scale, 0 if zero is None else _along(axis, zero, x.dim()), low, high)


_OPERATORS = {
    f"{_LIBRARY}::quantize_per_tensor": _quantise,
    f"{_LIBRARY}::dequantize_per_tensor": _dequantise,
    f"{_LIBRARY}::quantize_per_channel": _quantise_channels,
    f"{_LIBRARY}::dequantize_per_channel": _dequantise_channels,
}
"""What a graph's operators compute, in real numbers."""


def is_quantised_by_torch(module: nn.Module) -> bool:
    """Whether torch or torchao quantised a module, or prepared it for training with quantisers."""
    prepared = any(isinstance(one, _kinds(_FAKE)) for one in module.modules())
    return prepared or is_converted(module) or _quantises(module)


def is_converted(module: nn.Module) -> bool:
    """Whether ``convert`` of torch put layers of whole numbers into a module."""
    return any(isinstance(one, _kinds(_CONVERTED)) for one in module.modules())


def _kinds(names: tuple[str, ...]) -> tuple[type, ...]:
    """Return those of some classes that are loaded: whoever has a module has imported its class."""
    places = (name.rpartition(".") for name in names)
    loaded = [(sys.modules.get(file), kind) for file, _, kind in places]
    return tuple(getattr(file, kind) for file, kind in loaded if hasattr(file, kind))


def refuses_evaluation(module: nn.Module) -> bool:
    """Whether ``eval`` of a module is replaced by an error, as torchao does in exported graphs."""
    return "eval" in vars(module)


def evaluating(module: nn.Module) -> nn.Module:
    """Return a module in evaluation mode: itself, or a copy of a graph that refuses this."""
    torchao: Any = sys.modules.get("torchao.quantization.pt2e")
    if torchao is None or not refuses_evaluation(module) or not isinstance(module, fx.GraphModule):
        return module.eval()
    # without the methods that refuse, which torch's exporters call
    moved = torchao.move_exported_model_to_eval(copy.deepcopy(module))
    return fx.GraphModule(moved, moved.graph).eval()


def as_arithmetic(module: nn.Module) -> nn.Module:
    """Return a module whose fake quantisers and quantising operators are arithmetic; or itself.

    They have the steps that they last had, and learn nothing any more. The module is not changed.

    Raises:
        UserError: the module has observers alone, which quantise nothing yet.
    """
    every, fake = list(module.modules()), _kinds(_FAKE)
    if not _quantises(module) and not any(isinstance(one, fake) for one in every):
        if any(isinstance(one, _kinds(_OBSERVERS)) for one in every):
            raise UserError(
                "the module was prepared for quantisation after training, and only observes its "
                "values: show it images, and return what convert (convert_fx, convert_pt2e) gives"
            )
        return module
    module = copy.deepcopy(module)
    # one may be in several places, as before and behind a pooling
    places = dict(module.named_modules(remove_duplicate=False))
    for path, one in places.items():
        if isinstance(one, fake):
            parent, _, name = path.rpartition(".")
            setattr(places[parent], name, _written(one))
    for one in module.modules():
        if isinstance(one, fx.GraphModule):
            for node in one.graph.nodes:
                node.target = _OPERATORS.get(_name(node), node.target)
            one.recompile()
    return module


def _quantises(module: nn.Module) -> bool:
    """Whether a graph in a module quantises by operators."""
    graphs = (one.graph for one in module.modules() if isinstance(one, fx.GraphModule))
    return any(_name(node) in _OPERATORS for graph in graphs for node in graph.nodes)


def _name(node: fx.Node) -> str:
    """Return the name of the operator of torch that a node calls; "" for other nodes."""
    schema = getattr(node.target, "_schema", None)
    return "" if schema is None else schema.name


def _written(given: Any) -> nn.Module:
    """Return what a ``FakeQuantize`` computes."""
    if not given.fake_quant_enabled[0]:
        return nn.Identity()
    observer, zero = given.activation_post_process, given.zero_point.detach().float()
    limits = observer.quant_min - zero, observer.quant_max - zero
    return _Arithmetic(given.scale.detach().clone(), limits, given.ch_axis)
