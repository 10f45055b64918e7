"""Rules that choose and reorder channels, as a channel shuffle does.

All are written as Gather, which moves down until the weights of a convolution or of a dense layer
take it. Channels that are left out get weights of 0.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.tidy.edits import (
    attribute,
    constant,
    insert,
    insert_behind,
    is_output,
    reader,
    readers,
    remove,
    set_attribute,
    shape_of,
    stream_input,
)
from flow.models.qonnx.tidy.joins import CHANNELWISE, POINTWISE, joins
from flow.models.qonnx.tidy.shapes import order_of, reshaping

_POOLS = ("MaxPool", "AveragePool", "GlobalAveragePool")
Places = npt.NDArray[np.int64]
"""For each value of a stream, its place in another."""


def choices_to_gather(model: ModelWrapper) -> bool:
    """Write Split and Slice, and a Gather of one index, as Gather of a list."""
    for node in model.graph.node:
        if node.op_type == "Split" and _split(model, node):
            return True
        if node.op_type == "Slice" and (found := _slice(model, node)) is not None:
            (axis, indices), *others = found.items()
            smaller = list(shape_of(model, node.input[0]))
            for more, places in others:
                smaller[more] = len(places)
                given = [node.input[0], constant(model, places, np.int64)]
                node.input[0] = insert(model, node, "Gather", given, smaller, axis=more)
            node.op_type = "Gather"
            del node.input[1:], node.attribute[:]
            node.input.append(constant(model, indices, np.int64))
            set_attribute(node, "axis", axis)
            return True
        if node.op_type == "Gather" and (chosen := chosen_places(model, node)) is not None:
            axis, indices = chosen
            shape, after = shape_of(model, node.input[0]), shape_of(model, node.output[0])
            whole = [*shape[:axis], len(indices), *shape[axis + 1 :]]
            negative = model.get_initializer(node.input[1]).min() < 0
            if list(after) == whole and not negative and attribute(node, "axis", 0) == axis:
                continue
            node.input[1] = constant(model, indices, np.int64)
            set_attribute(node, "axis", axis)
            if list(after) != whole:
                wanted = constant(model, after, np.int64)
                insert_behind(model, node, "Reshape", whole, constants=[wanted])
            return True
    return False


def _split(model: ModelWrapper, node: NodeProto) -> bool:
    """Write a Split as one Gather for each output; return whether that could be done."""
    if stream_input(model, node) != 0:
        return False
    axis = attribute(node, "axis", 0) % len(shape_of(model, node.input[0]))
    first, place = 0, list(model.graph.node).index(node)
    for output in node.output:
        size = shape_of(model, output)[axis]
        indices = constant(model, range(first, first + size), np.int64)
        one = helper.make_node("Gather", [node.input[0], indices], [output], axis=axis)
        one.name = f"{node.name}_{first}"
        model.graph.node.insert(place, one)
        first += size
    model.graph.node.remove(node)
    return True


def _slice(model: ModelWrapper, node: NodeProto) -> dict[int, list[int]] | None:
    """Return the indices of a Slice by the axis; None if they are not known."""
    shape = shape_of(model, node.input[0])
    given = [model.get_initializer(name) if name else None for name in node.input[1:]]
    names = ("starts", "ends", "axes", "steps")
    values = [
        attribute(node, name) if index >= len(given) else given[index]
        for index, name in enumerate(names)
    ]
    starts, ends, axes, steps = (None if one is None else list(one) for one in values)
    if starts is None or ends is None or stream_input(model, node) != 0:
        return None
    axes = [int(axis) % len(shape) for axis in axes or range(len(starts))]
    found = {
        axis: list(range(shape[axis])[int(start) : int(end) : int(step)])
        for axis, start, end, step in zip(axes, starts, ends, steps or [1] * len(axes), strict=True)
    }
    chosen = {axis: one for axis, one in found.items() if one != list(range(shape[axis]))}
    return chosen or {axes[0]: found[axes[0]]}


def chosen_places(model: ModelWrapper, node: NodeProto) -> tuple[int, list[int]] | None:
    """Return the axis and the indices of a Gather of a stream; None for others."""
    if node.op_type != "Gather" or stream_input(model, node) != 0:
        return None
    shape = shape_of(model, node.input[0])
    axis = attribute(node, "axis", 0) % len(shape)
    indices = model.get_initializer(node.input[1])
    if indices is None or indices.ndim > 1 or axis == 0:
        return None
    return axis, [int(n) % shape[axis] for n in indices.ravel()]


def shuffle_to_gather(model: ModelWrapper) -> bool:
    """Write reshapes and transpositions that reorder the channels of images as Gather."""
    for node in model.graph.node:
        shape = shape_of(model, node.input[0]) if reshaping(model, node) else ()
        if len(shape) < 3:
            continue
        chain, behind = [node], reader(model, node.output[0])
        while behind is not None and reshaping(model, behind):
            chain.append(behind)
            if shape_of(model, behind.output[0]) == shape:
                break
            behind = reader(model, behind.output[0])
        if len(chain) < 2 or shape_of(model, chain[-1].output[0]) != shape:
            continue
        places = np.arange(np.prod(shape)).reshape(shape)
        moved = places
        for one in chain:
            found = moved_by(model, one, moved)
            assert found is not None
            moved = found
        firsts = moved[0].reshape(shape[1], -1)[:, 0]
        order = firsts // np.prod(shape[2:], dtype=int)
        if (order == np.arange(shape[1])).all() or (moved != places[:, order]).any():
            continue
        last = chain[-1]
        output, source = last.output[0], node.input[0]
        gather = helper.make_node(
            "Gather", [source, constant(model, order, np.int64)], [output], axis=1, name=last.name
        )
        model.graph.node.insert(list(model.graph.node).index(node), gather)
        for one in chain:
            model.graph.node.remove(one)
        return True
    return False


def moved_by(model: ModelWrapper, node: NodeProto, values: Places) -> Places | None:
    """Return what a node that only moves values makes of these; None for other nodes."""
    if reshaping(model, node):
        if node.op_type == "Transpose":
            return values.transpose(order_of(model, node))
        return values.reshape(shape_of(model, node.output[0]))
    chosen = chosen_places(model, node)
    return None if chosen is None else values.take(chosen[1], axis=chosen[0])


def sink_choices(model: ModelWrapper) -> bool:
    """Move a Gather of channels down past one operator, or let the weights of one take it."""
    for node in model.graph.node:
        chosen = chosen_places(model, node)
        if chosen is None or is_output(model, node.output[0]):
            continue
        axis, order = chosen
        if order == list(range(shape_of(model, node.input[0])[axis])):
            remove(model, node)
            return True
        below = readers(model, node.output[0])
        if axis == 1 and len(below) > 1:
            for one in below[1:]:
                again = insert(
                    model, one, "Gather", node.input, shape_of(model, node.output[0]), axis=1
                )
                for index, name in enumerate(one.input):
                    one.input[index] = again if name == node.output[0] else name
            return True
        if len(below) != 1:
            continue
        past = (_past_choice, _past_values, _past_join, _into_convolution)
        if axis == 1 and any(rule(model, node, below[0], order) for rule in past):
            return True
    return False


def _past_choice(model: ModelWrapper, node: NodeProto, below: NodeProto, order: list[int]) -> bool:
    chosen = chosen_places(model, below)
    if chosen is None or chosen[0] != 1:
        return False
    below.input[0] = node.input[0]
    below.input[1] = constant(model, [order[n] for n in chosen[1]], np.int64)
    model.graph.node.remove(node)
    return True


def _past_values(model: ModelWrapper, node: NodeProto, below: NodeProto, order: list[int]) -> bool:
    """Move past an operator on single values or windows, or a depth-wise convolution."""
    index, channels = stream_input(model, below), shape_of(model, node.input[0])[1]
    if index is None or below.input[index] != node.output[0]:
        return False
    rank = len(shape_of(model, node.output[0]))
    if below.op_type in (*POINTWISE, *CHANNELWISE):
        first = below.op_type in CHANNELWISE
        for place, name in enumerate(below.input):
            values = model.get_initializer(name) if name else None
            if place == index or values is None:
                continue
            axis = 0 if first else values.ndim - rank + 1
            if 0 <= axis < values.ndim and values.shape[axis] > 1:
                below.input[place] = constant(model, _spread(values, order, channels, axis))
    elif below.op_type == "Conv":
        depth_wise = (
            attribute(below, "group", 1) == len(order) == shape_of(model, below.output[0])[1]
        )
        if not depth_wise or sorted(order) != list(range(channels)):
            return False
        if not _change_weights(model, below, lambda v: v.take(np.argsort(order), axis=0)):
            return False
        for place in range(2, len(below.input)):
            bias = model.get_initializer(below.input[place])
            below.input[place] = constant(model, bias.take(np.argsort(order)))
    elif below.op_type not in _POOLS:
        return False
    after = list(shape_of(model, below.output[0]))
    below.input[index] = node.input[0]
    after[1] = channels
    insert_behind(model, below, "Gather", after, axis=1, constants=[node.input[1]])
    model.graph.node.remove(node)
    return True


def _past_join(model: ModelWrapper, node: NodeProto, below: NodeProto, order: list[int]) -> bool:
    """Move past a concatenation of channels, of which the others keep their order."""
    if below.op_type != "Concat" or not joins(model, below):
        return False
    rank = len(shape_of(model, below.output[0]))
    if attribute(below, "axis") % rank != 1:
        return False
    index = list(below.input).index(node.output[0])
    sizes = [shape_of(model, name)[1] for name in below.input]
    before = sum(sizes[:index])
    channels = shape_of(model, node.input[0])[1]
    rest = range(before + channels, before + channels + sum(sizes[index + 1 :]))
    every = [*range(before), *(before + n for n in order), *rest]
    below.input[index] = node.input[0]
    whole = list(shape_of(model, below.output[0]))
    whole[1] += channels - sizes[index]
    insert_behind(
        model, below, "Gather", whole, axis=1, constants=[constant(model, every, np.int64)]
    )
    if not readers(model, node.output[0]):
        model.graph.node.remove(node)
    return True


def _into_convolution(
    model: ModelWrapper, node: NodeProto, below: NodeProto, order: list[int]
) -> bool:
    """Let the weights of a convolution take a choice of channels, those of all groups in one."""
    if below.op_type != "Conv" or below.input[0] != node.output[0]:
        return False
    groups, channels = attribute(below, "group", 1), shape_of(model, node.input[0])[1]

    def spread(values: npt.NDArray) -> npt.NDArray:
        outputs, inputs = len(values) // groups, values.shape[1]
        whole = np.zeros((len(values), inputs * groups, *values.shape[2:]), values.dtype)
        for g in range(groups):
            rows = slice(g * outputs, (g + 1) * outputs)
            whole[rows, g * inputs : (g + 1) * inputs] = values[rows]
        result = np.zeros((len(values), channels, *values.shape[2:]), values.dtype)
        result[:, order] = whole
        return result

    zeros = groups > 1 or set(order) != set(range(channels))
    if len(set(order)) < len(order) or not _change_weights(model, below, spread, zeros=zeros):
        return False
    set_attribute(below, "group", 1)
    below.input[0] = node.input[0]
    model.graph.node.remove(node)
    return True


def absorb_choice_into_dense(model: ModelWrapper) -> bool:
    """Let the weights of a dense layer take a choice of the values that are flattened before it."""
    for node in model.graph.node:
        if chosen_places(model, node) is None:
            continue
        shape = shape_of(model, node.input[0])
        moved: Places | None = np.arange(np.prod(shape)).reshape(shape)
        one: NodeProto | None = node
        chain = []
        while one is not None and moved is not None:
            found = moved_by(model, one, moved)
            if found is None:
                break
            moved = found
            chain.append(one)
            one = reader(model, one.output[0])
        if one is None or moved is None or one.op_type not in ("MatMul", "Gemm") or moved.ndim != 2:
            continue
        size, places = int(np.prod(shape)), moved.ravel()
        axis = 1 if one.op_type == "Gemm" and attribute(one, "transB", 0) else 0
        if one.input[0] != chain[-1].output[0] or len(set(places)) < len(places):
            continue
        scatter = partial(_scatter, places=places, size=size, axis=axis)
        if not _change_weights(model, one, scatter, zeros=len(places) < size):
            continue
        wanted = constant(model, [1, size], np.int64)
        one.input[0] = insert(model, one, "Reshape", [node.input[0], wanted], [1, size])
        for gone in chain:
            model.graph.node.remove(gone)
        return True
    return False


def _spread(values: npt.NDArray, order: Sequence[int], channels: int, axis: int) -> npt.NDArray:
    """Return constants of chosen channels for all channels; any values where none is chosen."""
    chosen = np.zeros(channels, int)
    chosen[list(order)] = np.arange(len(order))
    return values.take(chosen, axis=axis)


def _scatter(values: npt.NDArray, places: Places, size: int, axis: int) -> npt.NDArray:
    """Return values along an axis at their places among more of them, and 0 elsewhere."""
    shape = list(values.shape)
    shape[axis] = size
    whole = np.zeros(shape, values.dtype)
    whole[(slice(None),) * axis + (places,)] = values
    return whole


def _change_weights(
    model: ModelWrapper,
    layer: NodeProto,
    change: Callable[[npt.NDArray], npt.NDArray],
    *,
    zeros: bool = False,
) -> bool:
    """Change the weights of a layer before they are quantised; return whether that could be done.

    Args:
        model: the graph.
        layer: a convolution or a dense layer.
        change: what makes the new weights of the old ones.
        zeros: whether the new ones hold more zeros.
    """
    source = layer.input[1]
    quantiser = next((one for one in model.graph.node if source in one.output), None)
    if quantiser is None:
        values = model.get_initializer(source)
        if values is None:
            return False
        layer.input[1] = constant(model, change(values))
        return True
    given = [model.get_initializer(name) for name in quantiser.input]
    if len(readers(model, source)) > 1 or any(one is None for one in given):
        return False
    if zeros and (quantiser.op_type != "Quant" or given[2].any() or (given[3] == 1).any()):
        return False
    values = given[0]
    quantiser.input[0] = constant(model, change(values))
    if layer.op_type == "Conv" and attribute(layer, "group", 1) == len(values):
        # scales go with the channels of a depth-wise convolution
        for index, one in enumerate(given[1:], 1):
            if not zeros and one.ndim == values.ndim and one.shape[0] == len(values) > 1:
                quantiser.input[index] = constant(model, change(one))
    model.set_tensor_shape(source, change(values).shape)
    return True
