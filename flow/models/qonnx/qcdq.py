"""Networks that are quantised by ONNX's own QuantizeLinear and DequantizeLinear (QCDQ)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.qcdq_to_qonnx import QCDQToQuant

from flow.errors import UserError
from flow.hdl import signed_width
from flow.models.qonnx.tidy.edits import (
    CUSTOM,
    attribute,
    constant,
    name_of,
    read_instead,
    reader,
    remove,
)

OPERATORS = ("QuantizeLinear", "DequantizeLinear")
_MADE = "Quant_"
"""How the names of the quantisers begin that qonnx makes of pairs."""


def to_quantisers(model: ModelWrapper, path: Path) -> ModelWrapper:
    """Return a network whose pairs of QuantizeLinear and DequantizeLinear are Quant.

    Raises:
        UserError: a quantiser has no counterpart in QONNX; the message names the node.
    """
    found = [node for node in model.graph.node if node.op_type in OPERATORS]
    if not found:
        return model
    _drop_casts(model)
    for node in found:
        _complete(model, node)
        _check_clip(model, node, path)
        _centre_constant(model, node)
    _share_ways_back(model, found)
    try:
        model = model.transform(QCDQToQuant())
    except (AssertionError, IndexError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is quantised by QuantizeLinear in a way that QONNX does not know ({error}): "
            "export the network with brevitas.export.export_qonnx instead"
        ) from error
    for node in model.graph.node:
        if node.op_type in OPERATORS:
            raise UserError(
                f"{path}: node {node.name} ({node.op_type}) is no part of a pair that quantises "
                "and goes back with one and the same constant scale: export the network with "
                "brevitas.export.export_qonnx instead"
            )
        if node.op_type == "Quant" and node.name.startswith(_MADE):
            node.name = name_of("Quant", node.name.removeprefix(_MADE))
    return model


def _drop_casts(model: ModelWrapper) -> None:
    """Remove casts of quantised values to the type that they have, as torch's exporter adds."""
    for node in [node for node in model.graph.node if node.op_type == "Cast"]:
        before = model.find_producer(node.input[0])
        if before is None or before.op_type != "QuantizeLinear":
            continue
        zero = model.get_initializer(before.input[2]) if len(before.input) > 2 else None
        kind = np.dtype(np.uint8) if zero is None else zero.dtype
        if helper.tensor_dtype_to_np_dtype(attribute(node, "to")) == kind:
            remove(model, node)


def _share_ways_back(model: ModelWrapper, found: Sequence[NodeProto]) -> None:
    """Let what reads a quantised stream read one DequantizeLinear, where there are several."""
    first: dict[str, NodeProto] = {}
    for node in found:
        if node.op_type != "DequantizeLinear":
            continue
        one = first.setdefault(node.input[0], node)
        pairs = zip(one.input[1:], node.input[1:], strict=True)
        alike = all(_same(model, *names) for names in pairs)
        if one is not node and alike and model.get_initializer(node.input[0]) is None:
            read_instead(model, node.output[0], one.output[0])
            model.graph.node.remove(node)


def _same(model: ModelWrapper, one: str, other: str) -> bool:
    """Whether two tensors are one, or equal constants."""
    values = [model.get_initializer(name) for name in (one, other)]
    return one == other or (values[0] is not None and np.array_equal(*values))


def _complete(model: ModelWrapper, node: NodeProto) -> None:
    """Write out a zero point that is left out, unsigned bytes from 0, and the shape of scales."""
    if len(node.input) == 2:
        kind = np.uint8
        if node.op_type == "DequantizeLinear":
            values = model.get_initializer(node.input[0])
            kind = np.uint8 if values is None else values.dtype.type
        scale = model.get_initializer(node.input[1])
        node.input.append(constant(model, np.zeros(np.shape(scale)), kind))
    rank, axis = len(model.get_tensor_shape(node.input[0])), int(attribute(node, "axis", 1))
    for name in node.input[1:]:
        values = model.get_initializer(name)
        if values is not None and values.ndim == 1 and values.size > 1:
            # qonnx multiplies before it looks at the axis
            shape = [values.size if n == axis % rank else 1 for n in range(rank)]
            model.set_initializer(name, values.reshape(shape))
    for one in [one for one in node.attribute if one.name == "axis"]:
        node.attribute.remove(one)


def _centre_constant(model: ModelWrapper, node: NodeProto) -> None:
    """Write constants with a zero point as Quant of what lies between, of a bit more.

    Unsigned bytes minus a zero point are whole numbers of up to 9 bits.
    """
    given = [model.get_initializer(name) for name in node.input]
    if node.op_type != "DequantizeLinear" or any(one is None for one in given):
        return
    values, scale, zero = given
    if not zero.any():
        return
    whole = values.astype(np.int64) - zero.astype(np.int64)
    bits = max(2, signed_width((int(whole.min()), int(whole.max()))))
    node.op_type, node.domain = "Quant", CUSTOM
    node.input[:] = [constant(model, one) for one in (whole * scale, scale, 0, bits)]
    node.attribute.extend(
        helper.make_attribute(name, value)
        for name, value in (("signed", 1), ("narrow", 0), ("rounding_mode", "ROUND"))
    )


def _check_clip(model: ModelWrapper, node: NodeProto, path: Path) -> None:
    """Refuse a Clip between the pair to other limits than those of whole bits."""
    clip = reader(model, node.output[0]) if node.op_type == "QuantizeLinear" else None
    if clip is None or clip.op_type != "Clip":
        return
    zero = model.get_initializer(node.input[2])
    if zero is not None:
        # a limit that is left out is that of the type, as torch leaves it out
        names, ends = [*clip.input[1:3], "", ""][:2], np.iinfo(zero.dtype)
        usual = (ends.min, ends.max)
        clip.input[1:] = [
            name or constant(model, end, zero.dtype) for name, end in zip(names, usual, strict=True)
        ]
    limits = [model.get_initializer(name) for name in clip.input[1:3]]
    if len(limits) < 2 or any(one is None for one in limits):
        return
    low, high = (int(one.item()) for one in limits)
    signed = zero is None or zero.dtype.kind == "i"
    size = high + 1
    whole = size & (size - 1) == 0 and size > 1
    if not whole or low not in ((-size, -high) if signed else (0,)):
        raise UserError(
            f"{path}: node {clip.name} (Clip) limits quantised values to {low}..{high}: use the "
            "limits of whole bits, such as -8..7 or 0..15"
        )
