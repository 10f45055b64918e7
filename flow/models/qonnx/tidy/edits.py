"""Small edits of a QONNX graph, which keep the shapes of all tensors known."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper

CUSTOM = "qonnx.custom_op.general"
"""Domain of QONNX's own operators."""
OLD_MODES = {"ROUND_TO_ZERO": "DOWN"}
"""Modes of rounding that Brevitas writes, by QONNX's names."""
QUANTISERS = ("Quant", "BipolarQuant", "MultiThreshold")
FALLS = "Falls"
"""Attribute of a MultiThreshold that has steps which fall: a 1 for each of these, and 0 for others.

Its count is of the others that are not above a value, and of these that are.
"""
LAYERS = ("Conv", "Gemm", "MatMul")
MOST_BITS = 10
"""Bits of the widest quantised values and weights that are read."""


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """Return the value of a node's attribute; text as str, a list as list."""
    for one in node.attribute:
        if one.name == name:
            value = helper.get_attribute_value(one)
            return value.decode() if isinstance(value, bytes) else value
    return default


def set_attribute(node: NodeProto, name: str, value: Any) -> None:
    """Set a node's attribute."""
    for one in [one for one in node.attribute if one.name == name]:
        node.attribute.remove(one)
    node.attribute.append(helper.make_attribute(name, value))


def rounding_of(node: NodeProto) -> Callable[[npt.NDArray], npt.NDArray] | None:
    """Return how a Quant or Trunc rounds; None if its mode is not known."""
    from qonnx.custom_op.general.quant import resolve_rounding_mode

    usual = "FLOOR" if node.op_type == "Trunc" else "ROUND"
    mode = str(attribute(node, "rounding_mode", usual)).upper()
    try:
        return resolve_rounding_mode(OLD_MODES.get(mode, mode))
    except ValueError:
        return None


def rounds_half_even(node: NodeProto) -> bool:
    """Whether a Quant rounds to the nearest whole number, and halves to the even one."""
    return str(attribute(node, "rounding_mode", "ROUND")).upper() in ("ROUND", "HALF_EVEN")


def constant(model: ModelWrapper, values: npt.ArrayLike, kind: Any = np.float32) -> str:
    """Add a constant and return its name."""
    name = model.make_new_valueinfo_name()
    model.set_initializer(name, np.asarray(values, dtype=kind))
    return name


def insert(
    model: ModelWrapper,
    before: NodeProto,
    operator: str,
    inputs: Sequence[str],
    shape: Sequence[int],
    **attributes: Any,
) -> str:
    """Insert a node before another, and return the name of its output, which has this shape."""
    output = model.make_new_valueinfo_name()
    model.graph.value_info.append(
        helper.make_tensor_value_info(output, TensorProto.FLOAT, list(shape))
    )
    node = _node(operator, inputs, output, attributes)
    model.graph.node.insert(list(model.graph.node).index(before), node)
    return output


def insert_behind(
    model: ModelWrapper, node: NodeProto, operator: str, shape: Sequence[int], **attributes: Any
) -> None:
    """Insert a node that reads a node's output, of this shape from now on, and gives the old one.

    Its further inputs are ``constants``, which are no attributes.
    """
    more = attributes.pop("constants", ())
    old, plain = node.output[0], model.make_new_valueinfo_name()
    model.graph.value_info.append(
        helper.make_tensor_value_info(plain, TensorProto.FLOAT, list(shape))
    )
    node.output[0] = plain
    behind = _node(operator, [plain, *more], old, attributes)
    model.graph.node.insert(list(model.graph.node).index(node) + 1, behind)


def _node(operator: str, inputs: Sequence[str], output: str, attributes: Any) -> NodeProto:
    domain = {"domain": CUSTOM} if operator in QUANTISERS else {}
    name = name_of(operator, output)
    return helper.make_node(operator, list(inputs), [output], name=name, **domain, **attributes)


def name_of(operator: str, output: str) -> str:
    """Return a name for a node, in the module of its output if torch's older exporter named it."""
    module, slash, own = output.rpartition("/")
    return f"{module}{slash}{operator}_{own}"


def shape_of(model: ModelWrapper, tensor: str) -> tuple[int, ...]:
    """Return the shape of a tensor."""
    return tuple(model.get_tensor_shape(tensor))


def readers(model: ModelWrapper, tensor: str) -> list[NodeProto]:
    """Return the nodes that read a tensor."""
    return [node for node in model.graph.node if tensor in node.input]


def is_output(model: ModelWrapper, tensor: str) -> bool:
    """Whether a tensor is an output of the graph."""
    return any(value.name == tensor for value in model.graph.output)


def reader(model: ModelWrapper, tensor: str) -> NodeProto | None:
    """Return the only reader of a tensor; None if it has several, or is the graph's output."""
    found = readers(model, tensor)
    return found[0] if len(found) == 1 and not is_output(model, tensor) else None


def read_instead(model: ModelWrapper, old: str, new: str) -> None:
    """Let every reader of one tensor read another, which becomes the graph's output if that was."""
    for node in readers(model, old):
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new
    if is_output(model, old):
        end_at(model, new)


def end_at(model: ModelWrapper, tensor: str) -> None:
    """Make a tensor the graph's output."""
    shape = shape_of(model, tensor)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, shape))
    _forget(model, tensor)


def begin_at(model: ModelWrapper, tensor: str, shape: Sequence[int]) -> None:
    """Make a tensor of this shape the graph's input, and forget the old one."""
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, shape))
    _forget(model, tensor)


def _forget(model: ModelWrapper, tensor: str) -> None:
    for value in [value for value in model.graph.value_info if value.name == tensor]:
        model.graph.value_info.remove(value)


def remove(model: ModelWrapper, node: NodeProto) -> None:
    """Remove a node, whose readers read its first input instead."""
    source = node.input[0]
    if source == model.graph.input[0].name and is_output(model, node.output[0]):
        return
    read_instead(model, node.output[0], source)
    model.graph.node.remove(node)


def drop_dead(model: ModelWrapper) -> None:
    """Remove nodes whose outputs nothing reads."""
    while True:
        read = {name for node in model.graph.node for name in node.input}
        read |= {value.name for value in model.graph.output}
        dead = [node for node in model.graph.node if not read & set(node.output)]
        if not dead:
            return
        for node in dead:
            model.graph.node.remove(node)


def stream_input(model: ModelWrapper, node: NodeProto) -> int | None:
    """Return the index of a node's only input that is no constant; None if there are others."""
    constants = {tensor.name for tensor in model.graph.initializer}
    streams = [n for n, name in enumerate(node.input) if name and name not in constants]
    return streams[0] if len(streams) == 1 else None


def number_of(model: ModelWrapper, node: NodeProto) -> float | None:
    """Return the number that is a node's second input; None if it is another."""
    if stream_input(model, node) != 0:
        return None
    values: npt.NDArray | None = model.get_initializer(node.input[1])
    return None if values is None or values.size != 1 else float(values.item())


def shift_of(model: ModelWrapper, node: NodeProto) -> float | None:
    """Return the number that a node adds to each value of its stream; None for other nodes."""
    number = number_of(model, node) if node.op_type in ("Add", "Sub") else None
    return -number if number is not None and node.op_type == "Sub" else number
