"""QONNX nodes as modules of `flow.models.qonnx.operators`, and errors that name the node."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from onnx import NodeProto, helper
from torch import Tensor, nn, zeros

from flow.errors import UserError
from flow.models.qonnx.file import shown
from flow.models.qonnx.operators import (
    BatchNorm,
    Chosen,
    Concatenated,
    Convolution,
    Dense,
    Elementwise,
    MaxPool,
    Mean,
    Permuted,
    Reshaped,
    Upsampled,
)
from flow.models.qonnx.quantisers import Quant, Thresholds
from flow.models.qonnx.tidy.edits import FALLS, MOST_BITS
from flow.models.qonnx.tidy.roundings import ROUNDINGS

Constants = Sequence[Tensor | None]
"""Value of each constant input of a node; None for a stream."""


def reject_unknown(nodes: Sequence[NodeProto]) -> None:
    """Raise a UserError that lists all operators unknown to `build`, if there are any."""
    unlimited = [shown(node) for node in nodes if node.op_type in ROUNDINGS]
    if unlimited:
        raise UserError(
            f"{', '.join(unlimited)}: rounds values without limits, or to more than "
            f"{MOST_BITS} bits: limit what it rounds, as torch.clamp does"
        )
    unknown = [shown(node) for node in nodes if node.op_type not in _BUILDERS]
    if unknown:
        raise UserError(
            f"{', '.join(unknown)}: unknown operators; remove them from the network, or "
            f"replace them; known are {', '.join(sorted(_BUILDERS))}, and functions of one "
            "number, such as Tanh, in front of a quantiser"
        )


def build(node: NodeProto, constants: Constants, shape: Sequence[int]) -> nn.Module:
    """Return the module of a node.

    Args:
        node: a node of a QONNX graph, with a supported operator.
        constants: the node's constant inputs.
        shape: shape of the node's output for one image, [1, …].

    Raises:
        UserError: the node's attributes are not supported; the message names the node.
    """
    return _BUILDERS[node.op_type](_Node(node), constants, tuple(shape))


class _Node:
    """A node's attributes, and errors that name it."""

    def __init__(self, node: NodeProto) -> None:
        self.node = node
        self.given = {a.name: helper.get_attribute_value(a) for a in node.attribute}

    def __call__(self, name: str, default: Any = None) -> Any:
        value = self.given.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def constant(self, values: Constants, index: int) -> Tensor:
        """Return an input that must be constant."""
        found = values[index] if index < len(values) else None
        if found is None:
            raise self.refuse("takes a stream where a constant is required", "make it a constant")
        return found

    def must(self, name: str, *allowed: Any) -> None:
        """Refuse an attribute with a value other than these, of which the first is the default."""
        if (value := self(name, allowed[0])) not in allowed:
            raise self.refuse(f"has {name} = {value}", f"use {allowed[0]}")

    def refuse(self, what: str, instead: str) -> UserError:
        return UserError(f"{shown(self.node)} {what}: {instead}")


def _quant(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    if str(node("rounding_mode", "ROUND")).upper() not in ("ROUND", "HALF_EVEN"):
        raise node.refuse(f"rounds by {node('rounding_mode')}", "use Brevitas' own, ROUND")
    scale, zero, bits = (node.constant(constants, i) for i in (1, 2, 3))
    if bits.numel() != 1 or float(bits) != int(bits) or not 1 <= float(bits) <= 32:
        raise node.refuse(f"has a bit width of {bits.tolist()}", "use whole bits")
    flags = {"signed": bool(node("signed", 1)), "narrow": bool(node("narrow", 0))}
    return Quant(_positive(node, scale), zero, int(bits), **flags)


def _bipolar(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    scale = _positive(node, node.constant(constants, 1))
    return Quant(scale, zeros(()), 1, signed=True, narrow=False)


def _thresholds(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    rows = node.constant(constants, 1)
    scale = float(node("out_scale", 1.0))
    if not scale > 0:
        raise node.refuse(f"has an out_scale of {scale}", "use one above 0")
    if rows.ndim != 2 or len(rows) not in (1, shape[1]):
        raise node.refuse(f"has thresholds of shape {list(rows.shape)}", "use one row a channel")
    falls = node(FALLS, [])
    if len(falls) not in (0, rows.shape[1]):
        raise node.refuse(f"has {len(falls)} steps in {FALLS}", "give one for each threshold")
    return Thresholds(rows, scale, float(node("out_bias", 0.0)), falls)


def _positive(node: _Node, scale: Tensor) -> Tensor:
    if not bool((scale > 0).all()):
        raise node.refuse("has a scale that is not positive", "train the network again")
    return scale


def _conv(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    weight = node.constant(constants, 1)
    if weight.ndim != 4:
        raise node.refuse(f"has a kernel of {weight.ndim - 2} dimensions", "use Conv2d")
    node.must("auto_pad", "NOTSET")
    return Convolution(
        weight,
        node("pads", [0] * 4),
        stride=tuple(node("strides", [1, 1])),
        dilation=tuple(node("dilations", [1, 1])),
        groups=int(node("group", 1)),
    )


def _matmul(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    weight = node.constant(constants, 1)
    if weight.ndim != 2 or len(shape) != 2:
        raise node.refuse("multiplies other than a vector by a matrix", "flatten its input")
    return Dense(weight, turned=True)


def _gemm(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    for name, value in (("alpha", 1.0), ("beta", 1.0), ("transA", 0)):
        node.must(name, value)
    weight = node.constant(constants, 1)
    return Dense(weight, turned=not node("transB", 0))


def _batch_norm(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    node.must("training_mode", 0)
    gain, bias, mean, var = (node.constant(constants, i) for i in range(1, 5))
    return BatchNorm(gain, bias, mean, var, float(node("epsilon", 1e-5)))


def _elementwise(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    left, right = constants
    return Elementwise(node.node.op_type, left, right)


def _window(node: _Node) -> dict[str, Any]:
    """Return the window of a pooling as arguments of torch's poolings."""
    node.must("auto_pad", "NOTSET", "VALID")
    kernel = node("kernel_shape")
    if len(kernel) != 2:
        raise node.refuse("pools other than images", "use MaxPool2d or AvgPool2d")
    return {"kernel_size": tuple(kernel), "stride": tuple(node("strides", [1, 1]))}


def _max_pool(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    pads, dilation = node("pads", [0] * 4), tuple(node("dilations", [1, 1]))
    return MaxPool(pads, **_window(node), dilation=dilation)


def _average_pool(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    node.must("dilations", [1, 1])
    pads, counts = node("pads", [0] * 4), bool(node("count_include_pad", 0))
    if pads[:2] != pads[2:]:
        raise node.refuse("averages, and pads two sides unlike", "pad before a convolution instead")
    more = {"ceil_mode": bool(node("ceil_mode", 0)), "count_include_pad": counts}
    return nn.AvgPool2d(**_window(node), padding=tuple(pads[:2]), **more)


def _global_average(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    return Mean((2, 3), keep=True)


def _reduce_mean(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    given = constants[1].tolist() if len(constants) > 1 and constants[1] is not None else None
    axes = node("axes", given)
    if not axes or 0 in axes or (min(axes) < 0 and -len(shape) in axes):
        raise node.refuse("averages over the images of a batch", "average over pixels alone")
    return Mean(axes, keep=bool(node("keepdims", 1)))


def _concatenated(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    dim = int(node("axis")) % len(shape)
    if dim == 0 or any(constant is not None for constant in constants):
        raise node.refuse(
            "concatenates images of a batch, or constants", "concatenate channels of streams"
        )
    return Concatenated(dim)


def _chosen(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    places, dim = node.constant(constants, 1), int(node("axis", 0)) % len(shape)
    if places.ndim != 1 or dim == 0:
        raise node.refuse("chooses among the images of a batch", "choose channels or pixels")
    return Chosen(dim, places)


def _upsampled(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    node.must("mode", "nearest")
    if len(shape) != 4 or node("coordinate_transformation_mode", "") == "align_corners":
        raise node.refuse("enlarges other than the pixels of images", "use nn.Upsample")
    return Upsampled(shape[2:])


def _relu(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    return nn.ReLU()


def _same(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    return nn.Identity()


def _reshape(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    return Reshaped(shape[1:])


def _transpose(node: _Node, constants: Constants, shape: Sequence[int]) -> nn.Module:
    order = node("perm", list(reversed(range(len(shape)))))
    if order[0] != 0:
        raise node.refuse(f"moves the images of a batch ({order})", "leave dimension 0 in place")
    return Permuted(order)


_BUILDERS: Mapping[str, Callable[[_Node, Constants, Sequence[int]], nn.Module]] = {
    "Add": _elementwise,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "BipolarQuant": _bipolar,
    "Concat": _concatenated,
    "Conv": _conv,
    "Div": _elementwise,
    "Dropout": _same,
    "Flatten": _reshape,
    "Gather": _chosen,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average,
    "Identity": _same,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Mul": _elementwise,
    "MultiThreshold": _thresholds,
    "Quant": _quant,
    "ReduceMean": _reduce_mean,
    "Relu": _relu,
    "Reshape": _reshape,
    "Resize": _upsampled,
    "Squeeze": _reshape,
    "Sub": _elementwise,
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
    "Upsample": _upsampled,
}
