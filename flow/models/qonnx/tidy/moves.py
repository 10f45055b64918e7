"""Rules that move transpositions and reshapes through a graph.

They rise to the graph's input, or sink until they cancel or meet a dense layer. A rule changes one
place of a graph and returns whether it did.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.tidy.edits import (
    attribute,
    constant,
    insert,
    insert_behind,
    is_output,
    read_instead,
    reader,
    readers,
    set_attribute,
    shape_of,
    stream_input,
)
from flow.models.qonnx.tidy.shapes import SHAPING, order_of, reshaping

_ARITHMETIC = ("Add", "Sub", "Mul", "Div")
_POINTWISE = ("Quant", "BipolarQuant", "Relu", *_ARITHMETIC)
"""Operators on single values, whose constants are broadcast."""
_CHANNELWISE = ("BatchNormalization", "MultiThreshold")
"""Operators on single values, whose constants belong to dimension 1."""


def _put(
    model: ModelWrapper, before: NodeProto, source: str, like: NodeProto, shape: Sequence[int]
) -> str:
    """Insert a node like a Transpose or a Reshape on another stream; return its output."""
    if like.op_type == "Transpose":
        return insert(model, before, "Transpose", [source], shape, perm=attribute(like, "perm"))
    return insert(model, before, "Reshape", [source, constant(model, shape, np.int64)], shape)


def _moved(
    values: npt.NDArray, node: NodeProto, before: Sequence[int], after: Sequence[int]
) -> npt.NDArray | None:
    """Return a constant for the stream behind a Transpose or a Reshape; None if there is none.

    Args:
        values: constant that is broadcast to a stream of the shape ``before``.
        node: the Transpose or Reshape.
        before: shape of its input.
        after: shape of its output.
    """
    if values.size == 1:
        return values
    if values.ndim > len(before):
        return None
    values = values.reshape([1] * (len(before) - values.ndim) + list(values.shape))
    if node.op_type == "Transpose":
        return values.transpose(list(attribute(node, "perm")))
    if [n for n in before if n > 1] != [n for n in after if n > 1]:
        return None
    sizes = iter([own for own, full in zip(values.shape, before, strict=True) if full > 1])
    return values.reshape([next(sizes) if full > 1 else 1 for full in after])


def _passes(
    model: ModelWrapper,
    node: NodeProto,
    shaping: NodeProto,
    before: Sequence[int],
    after: Sequence[int],
) -> dict[int, npt.NDArray] | None:
    """Return what an operator's constants become when it moves past a Transpose or a Reshape.

    Args:
        model: the graph.
        node: the operator, which works on a stream of the shape ``before``.
        shaping: what turns this shape into ``after``.
        before: shape of the stream that the operator works on.
        after: shape of the stream that it would work on.

    Returns:
        The constants by the index of the input; None if it cannot move.
    """
    index = stream_input(model, node)
    if index is None:
        return None
    if node.op_type in _CHANNELWISE:
        rows = model.get_initializer(node.input[1])
        if node.op_type == "MultiThreshold" and len(rows) == 1:
            return {}
        if shaping.op_type == "Transpose":
            return {} if list(attribute(shaping, "perm"))[1] == 1 else None
        same = [n for n in before if n > 1] == [n for n in after if n > 1]
        return {} if same and tuple(before[:2]) == tuple(after[:2]) else None
    if node.op_type not in _POINTWISE:
        return None
    found = {}
    for other, name in enumerate(node.input):
        if other == index or (values := model.get_initializer(name)) is None:
            continue
        moved = _moved(values, shaping, before, after)
        if moved is None:
            return None
        found[other] = moved
    return found


def _backwards(shaping: NodeProto) -> NodeProto:
    """Return what undoes a Transpose; a Reshape is undone by any."""
    undo = NodeProto()
    undo.CopyFrom(shaping)
    if shaping.op_type == "Transpose":
        set_attribute(undo, "perm", [int(n) for n in np.argsort(attribute(shaping, "perm"))])
    return undo


def _reaches_input(model: ModelWrapper, node: NodeProto) -> bool:
    """Whether nothing but movable operators without a fork lie between a node and the input."""
    name = node.input[0]
    while name != model.graph.input[0].name:
        above = next((one for one in model.graph.node if name in one.output), None)
        if above is None or len(readers(model, name)) > 1 or is_output(model, name):
            return False
        index = stream_input(model, above)
        movable = (*_POINTWISE, *_CHANNELWISE, *SHAPING, "Transpose")
        if index is None or above.op_type not in movable:
            return False
        name = above.input[index]
    return True


def raise_to_input(model: ModelWrapper) -> bool:
    """Move a Transpose or Reshape up past an operator, if only such lie before it."""
    for node in model.graph.node:
        if not reshaping(model, node) or not _reaches_input(model, node):
            continue
        above = next((one for one in model.graph.node if node.input[0] in one.output), None)
        if above is None or reshaping(model, above):
            continue
        before, after = shape_of(model, node.input[0]), shape_of(model, node.output[0])
        moved = _passes(model, above, node, before, after)
        if moved is None:
            continue
        index = stream_input(model, above)
        assert index is not None
        above.input[index] = _put(model, above, above.input[index], node, after)
        _replace_constants(model, above, moved)
        model.graph.node.remove(node)
        above.output[0] = node.output[0]
        return True
    return False


def share_at_input(model: ModelWrapper) -> bool:
    """Let all readers of a stream that make images of it alike read one Reshape.

    Only if nothing but movable operators lie before it, so that it rises to the input.
    """
    for node in model.graph.node:
        twins = readers(model, node.input[0]) if reshaping(model, node) else []
        shape = shape_of(model, node.output[0])
        if len(twins) < 2 or is_output(model, node.input[0]):
            continue
        if len(shape) != 4 or len(shape_of(model, node.input[0])) == 4:
            continue
        alike = all(
            one.op_type == node.op_type
            and shape_of(model, one.output[0]) == shape
            and not is_output(model, one.output[0])
            for one in twins
        )
        above = model.find_producer(node.input[0])
        if not alike or (above is not None and not _movable(model, above)):
            continue
        for twin in twins[1:]:
            read_instead(model, twin.output[0], twins[0].output[0])
            model.graph.node.remove(twin)
        return True
    return False


def _movable(model: ModelWrapper, node: NodeProto) -> bool:
    """Whether a reshaping rises past a node, and on to the input."""
    movable = (*_POINTWISE, *_CHANNELWISE, *SHAPING, "Transpose")
    if stream_input(model, node) is None or node.op_type not in movable:
        return False
    return _reaches_input(model, node)


def _replace_constants(model: ModelWrapper, node: NodeProto, moved: dict[int, npt.NDArray]) -> None:
    for index, values in moved.items():
        node.input[index] = constant(model, values)


def sink(model: ModelWrapper) -> bool:
    """Move a Transpose or Reshape down past an operator, a fork, or a join of such alike."""
    for node in model.graph.node:
        if not reshaping(model, node) or _reaches_input(model, node):
            continue
        if is_output(model, node.output[0]):
            continue
        below = readers(model, node.output[0])
        if len(below) > 1:
            # one for each reader, of which each goes its own way
            for one in below[1:]:
                again = _put(model, one, node.input[0], node, shape_of(model, node.output[0]))
                for index, name in enumerate(one.input):
                    if name == node.output[0]:
                        one.input[index] = again
            return True
        if below and (_sink_past(model, node, below[0]) or _sink_past_join(model, node, below[0])):
            return True
    return False


def _sink_past(model: ModelWrapper, node: NodeProto, below: NodeProto) -> bool:
    before, after = shape_of(model, node.input[0]), shape_of(model, node.output[0])
    if shape_of(model, below.output[0]) != after:
        return False
    moved = _passes(model, below, _backwards(node), after, before)
    index = stream_input(model, below)
    if moved is None or index is None or below.input[index] != node.output[0]:
        return False
    below.input[index] = node.input[0]
    _replace_constants(model, below, moved)
    _put_behind(model, below, node, before, after)
    model.graph.node.remove(node)
    return True


def _put_behind(
    model: ModelWrapper,
    below: NodeProto,
    like: NodeProto,
    before: Sequence[int],
    after: Sequence[int],
) -> None:
    if like.op_type == "Transpose":
        insert_behind(model, below, "Transpose", before, perm=list(attribute(like, "perm")))
    else:
        insert_behind(model, below, "Reshape", before, constants=[constant(model, after, np.int64)])


def _sink_past_join(model: ModelWrapper, node: NodeProto, below: NodeProto) -> bool:
    if (
        below.op_type not in ("Add", "Sub", "Mul", "Concat")
        or stream_input(model, below) is not None
    ):
        return False
    twins = [
        next((one for one in model.graph.node if name in one.output), None) for name in below.input
    ]
    before, after = [], []
    for name, twin in zip(below.input, twins, strict=True):
        if twin is None or twin.op_type != node.op_type or len(readers(model, name)) > 1:
            return False
        if is_output(model, name) or attribute(twin, "perm") != attribute(node, "perm"):
            return False
        before.append(shape_of(model, twin.input[0]))
        after.append(shape_of(model, name))
    if below.op_type == "Concat":
        whole = shape_of(model, below.output[0])
        axis = attribute(below, "axis") % len(whole)
        inner = _axis_before(node, axis, before, after)
        if inner is None:
            return False
        set_attribute(below, "axis", inner)
        shape = list(before[0])
        shape[inner] = sum(one[inner] for one in before)
    elif len(set(before)) > 1 or len(set(after)) > 1:
        return False
    else:
        shape, whole = list(before[0]), after[0]
    for index, twin in enumerate(twins):
        assert twin is not None
        below.input[index] = twin.input[0]
    _put_behind(model, below, node, shape, whole)
    for name in {twin.output[0] for twin in twins if twin is not None}:
        model.graph.node.remove(next(one for one in model.graph.node if name in one.output))
    return True


def _axis_before(
    node: NodeProto,
    axis: int,
    before: Sequence[tuple[int, ...]],
    after: Sequence[tuple[int, ...]],
) -> int | None:
    """Return along which dimension streams are concatenated before a Transpose or a Reshape.

    Args:
        node: the Transpose or Reshape, of each stream alike.
        axis: dimension along which they are concatenated behind it.
        before: shapes of the streams before it.
        after: shapes of the streams behind it.
    """
    if node.op_type == "Transpose":
        return int(attribute(node, "perm")[axis])
    # the values behind the first dimensions lie together, in either shape
    same = all(one[:axis] == other[:axis] for one, other in zip(before, after, strict=True))
    rests = {(one[:axis], one[axis + 1 :]) for one in before}
    return axis if same and len(rests) == 1 and len(before[0]) > axis else None


def absorb_into_dense(model: ModelWrapper) -> bool:
    """Move a transposition before a flattening and a dense layer into the order of its weights."""
    for node in model.graph.node:
        flat = reader(model, node.output[0]) if node.op_type == "Transpose" else None
        dense = None if flat is None else reader(model, flat.output[0])
        if flat is None or flat.op_type != "Reshape" or dense is None:
            continue
        shape, after = shape_of(model, node.input[0]), shape_of(model, flat.output[0])
        if dense.op_type not in ("MatMul", "Gemm") or len(after) != 2 or stream_input(model, node):
            continue
        order = order_of(model, node)
        places = np.arange(after[1]).reshape(shape).transpose(order).ravel()
        axis = 1 if dense.op_type == "Gemm" and attribute(dense, "transB", 0) else 0
        if not _reorder_weights(model, dense, np.argsort(places), axis):
            continue
        flat.input[0] = node.input[0]
        model.graph.node.remove(node)
        return True
    return False


def _reorder_weights(
    model: ModelWrapper, dense: NodeProto, order: npt.NDArray[np.int64], axis: int
) -> bool:
    """Reorder the inputs of a dense layer's weights; return whether that could be done."""
    source = dense.input[1]
    quantiser = next((one for one in model.graph.node if source in one.output), None)
    holder, index = (dense, 1) if quantiser is None else (quantiser, 0)
    if quantiser is not None:
        scale = model.get_initializer(quantiser.input[1])
        per_input = scale is not None and scale.ndim == 2 and scale.shape[axis] > 1
        if len(readers(model, source)) > 1 or quantiser.op_type == "Transpose" or per_input:
            return False
    values = model.get_initializer(holder.input[index])
    if values is None or values.ndim != 2:
        return False
    holder.input[index] = constant(model, values.take(order, axis=axis))
    return True
