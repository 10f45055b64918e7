"""Rules about the shape and the order of streams.

Operators of other layouts are put between transpositions and reshapes, which `tidy.moves` moves
until they cancel. A rule changes one place of a graph and returns whether it did.
"""

import json
from collections.abc import Sequence

import numpy as np
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.tidy.edits import (
    attribute,
    begin_at,
    constant,
    insert,
    insert_behind,
    is_output,
    reader,
    remove,
    set_attribute,
    shape_of,
    stream_input,
)

OWN_INPUT = "noisewalk.input"
"""Key of the steps from the file's own input to that of the tidied network, in its metadata."""
FIRST = "NCHW"
"""Layout of thresholds whose channels are dimension 1, whatever their rank."""
SHAPING = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


def reshaping(model: ModelWrapper, node: NodeProto) -> bool:
    """Whether a node moves the values of one stream, and does nothing else."""
    return node.op_type in ("Transpose", *SHAPING) and stream_input(model, node) == 0


def order_of(model: ModelWrapper, node: NodeProto) -> list[int]:
    rank = len(shape_of(model, node.input[0]))
    return list(attribute(node, "perm", list(reversed(range(rank)))))


def write_as_reshape(model: ModelWrapper) -> bool:
    """Write operators that only change the shape as Reshape to a constant shape."""
    for node in model.graph.node:
        if not reshaping(model, node):
            continue
        before, after = shape_of(model, node.input[0]), shape_of(model, node.output[0])
        if node.op_type == "Transpose":
            long = [axis for axis in order_of(model, node) if before[axis] > 1]
            if long != sorted(long):
                if attribute(node, "perm") is None:
                    set_attribute(node, "perm", order_of(model, node))
                continue
        elif node.op_type == "Reshape":
            wanted = model.get_initializer(node.input[1])
            if wanted is not None and tuple(wanted) == after:
                continue
        node.op_type = "Reshape"
        del node.attribute[:], node.input[1:]
        node.input.append(constant(model, after, np.int64))
        return True
    return False


def merge_shapes(model: ModelWrapper) -> bool:
    """Remove what restores the shape and order it began with, and merge two that follow."""
    for node in model.graph.node:
        if not reshaping(model, node):
            continue
        before, after = shape_of(model, node.input[0]), shape_of(model, node.output[0])
        if node.op_type == "Reshape" and before == after:
            count = len(model.graph.node)
            remove(model, node)
            if len(model.graph.node) < count:
                return True
        behind = reader(model, node.output[0])
        if behind is None or behind.op_type != node.op_type or not reshaping(model, behind):
            continue
        if node.op_type == "Transpose":
            order = [order_of(model, node)[axis] for axis in order_of(model, behind)]
            set_attribute(behind, "perm", order)
        behind.input[0] = node.input[0]
        model.graph.node.remove(node)
        if node.op_type == "Transpose" and order == sorted(order):
            remove(model, behind)
        return True
    return False


def turn_thresholds(model: ModelWrapper) -> bool:
    """Write thresholds of channels that come last as those of dimension 1."""
    for node in model.graph.node:
        if node.op_type != "MultiThreshold" or attribute(node, "data_layout", "") == FIRST:
            continue
        shape = shape_of(model, node.input[0])
        rank = len(shape)
        # what qonnx takes for granted
        usual = {3: "NWC"}.get(rank, "NCHW")
        layout = attribute(node, "data_layout", "") or usual
        set_attribute(node, "data_layout", FIRST)
        if rank > 2 and layout.endswith("C"):
            first, last = [0, rank - 1, *range(1, rank - 1)], [0, *range(2, rank), 1]
            inner = [shape[axis] for axis in first]
            node.input[0] = insert(model, node, "Transpose", [node.input[0]], inner, perm=first)
            insert_behind(model, node, "Transpose", inner, perm=last)
        return True
    return False


def wrap_one_dimensional(model: ModelWrapper) -> bool:
    """Write a convolution or pooling of [N, C, L] as one of images with a single row."""
    for node in model.graph.node:
        if node.op_type not in ("Conv", "MaxPool", "AveragePool", "GlobalAveragePool"):
            continue
        if len(shape_of(model, node.input[0])) != 3:
            continue
        for name, one in (("kernel_shape", 1), ("strides", 1), ("dilations", 1)):
            if (given := attribute(node, name)) is not None:
                set_attribute(node, name, [one, *given])
        if (pads := attribute(node, "pads")) is not None:
            set_attribute(node, "pads", [0, pads[0], 0, pads[1]])
        if node.op_type == "Conv":
            _add_row(model, node)
        _wrap_reshape(model, node, lambda shape: [*shape[:2], 1, *shape[2:]])
        return True
    return False


def _add_row(model: ModelWrapper, node: NodeProto) -> None:
    """Give the kernel of a convolution, and the constants of its quantiser, a dimension of rows."""
    source = node.input[1]
    quantiser = next((one for one in model.graph.node if source in one.output), None)

    def rows(name: str) -> str:
        values = model.get_initializer(name)
        return constant(model, values[:, :, np.newaxis] if values.ndim == 3 else values)

    if quantiser is None:
        node.input[1] = rows(source)
        return
    outputs, inputs, length = shape_of(model, source)
    given = {one.name: attribute(quantiser, one.name) for one in quantiser.attribute}
    node.input[1] = insert(
        model,
        node,
        quantiser.op_type,
        [rows(name) for name in quantiser.input],
        [outputs, inputs, 1, length],
        **given,
    )


def _wrap_reshape(model: ModelWrapper, node: NodeProto, inner) -> None:
    """Put a node between two reshapes; ``inner`` tells the shapes between them."""
    before, after = shape_of(model, node.input[0]), shape_of(model, node.output[0])
    shape = inner(before)
    entry = constant(model, shape, np.int64)
    node.input[0] = insert(model, node, "Reshape", [node.input[0], entry], shape)
    behind = constant(model, after, np.int64)
    insert_behind(model, node, "Reshape", inner(after), constants=[behind])


def flatten_dense(model: ModelWrapper) -> bool:
    """Write a dense layer on [1, …, 1, values] as one on [1, values]."""
    for node in model.graph.node:
        if node.op_type != "MatMul" or len(shape_of(model, node.input[0])) < 3:
            continue
        shape = shape_of(model, node.input[0])
        if max(shape[:-1]) > 1 or len(shape_of(model, node.input[1])) != 2:
            continue
        _wrap_reshape(model, node, lambda shape: [1, shape[-1]])
        return True
    return False


def dense_to_convolution(model: ModelWrapper) -> bool:
    """Write a dense layer on each of several vectors as a convolution of single pixels.

    The vectors [1, …, C], such as particles or tokens, become pixels [1, C, …].
    """
    for node in model.graph.node:
        shape = shape_of(model, node.input[0])
        if node.op_type != "MatMul" or len(shape) not in (3, 4):
            continue
        weights = shape_of(model, node.input[1])
        if max(shape[:-1]) == 1 or len(weights) != 2 or not _turn_weights(model, node, len(shape)):
            continue
        rank = len(shape)
        first, last = [0, rank - 1, *range(1, rank - 1)], [0, *range(2, rank), 1]
        inner = [shape[axis] for axis in first]
        node.op_type = "Conv"
        for name in ("kernel_shape", "strides", "dilations"):
            set_attribute(node, name, [1] * (rank - 2))
        set_attribute(node, "pads", [0] * 2 * (rank - 2))
        set_attribute(node, "group", 1)
        node.input[0] = insert(model, node, "Transpose", [node.input[0]], inner, perm=first)
        inner[1] = weights[1]
        insert_behind(model, node, "Transpose", inner, perm=last)
        return True
    return False


def _turn_weights(model: ModelWrapper, node: NodeProto, rank: int) -> bool:
    """Write the weights of a dense layer, [I, O], as those of a convolution, [O, I, 1, …].

    Returns whether that could be done.
    """
    source = node.input[1]
    quantiser = next((one for one in model.graph.node if source in one.output), None)

    def turned(name: str) -> str:
        values = model.get_initializer(name)
        if values.size == 1:
            return name
        # constants of a quantiser are broadcast
        values = values.reshape([1] * (2 - values.ndim) + list(values.shape)).T
        return constant(model, values.reshape(*values.shape, *[1] * (rank - 2)))

    names = [source] if quantiser is None else list(quantiser.input)
    given = [model.get_initializer(name) for name in names]
    if any(one is None or one.ndim > 2 for one in given):
        return False
    if quantiser is None:
        node.input[1] = turned(source)
        return True
    inputs, outputs = shape_of(model, source)
    more = {one.name: attribute(quantiser, one.name) for one in quantiser.attribute}
    shape = [outputs, inputs, *[1] * (rank - 2)]
    node.input[1] = insert(
        model, node, quantiser.op_type, [turned(name) for name in names], shape, **more
    )
    return True


def merge_reductions(model: ModelWrapper) -> bool:
    """Write a mean of means, such as along rows and then along columns, as one; so with others."""
    for node in model.graph.node:
        behind = reader(model, node.output[0])
        if node.op_type not in _REDUCTIONS or behind is None or behind.op_type != node.op_type:
            continue
        kept, first, then = attribute(node, "keepdims", 1), _axes(model, node), _axes(model, behind)
        if attribute(behind, "keepdims", 1) != kept or not first or not then:
            continue
        rank = len(shape_of(model, node.input[0]))
        left = [axis for axis in range(rank) if kept or axis not in first]
        axes = sorted(first | {left[axis] for axis in then})
        if len(node.input) > 1:
            node.input[1] = constant(model, axes, np.int64)
        else:
            set_attribute(node, "axes", axes)
        node.output[0] = behind.output[0]
        model.graph.node.remove(behind)
        return True
    return False


_REDUCTIONS = ("ReduceMean", "ReduceSum", "ReduceMax")


def _axes(model: ModelWrapper, node: NodeProto) -> set[int]:
    """Return the dimensions over which a node reduces; none if it has no list of them."""
    given = model.get_initializer(node.input[1]) if len(node.input) > 1 else None
    axes = attribute(node, "axes", []) if given is None else given.tolist()
    rank = len(shape_of(model, node.input[0]))
    return {axis % rank for axis in axes}


def reduced_to_pool(model: ModelWrapper) -> bool:
    """Write a mean, sum or maximum over all pixels as a pooling, of channels first or last."""
    for node in model.graph.node:
        if node.op_type == "GlobalMaxPool":
            _pool_whole_image(model, node)
            return True
        if node.op_type not in _REDUCTIONS or len(shape_of(model, node.input[0])) not in (3, 4):
            continue
        shape, after = shape_of(model, node.input[0]), shape_of(model, node.output[0])
        rank, found = len(shape), _axes(model, node)
        if found not in (set(range(2, rank)), set(range(1, rank - 1))):
            continue
        if found != set(range(2, rank)):
            first = [0, rank - 1, *range(1, rank - 1)]
            inner = [shape[axis] for axis in first]
            node.input[0] = insert(model, node, "Transpose", [node.input[0]], inner, perm=first)
            shape = tuple(inner)
        summed, largest = (node.op_type == kind for kind in ("ReduceSum", "ReduceMax"))
        node.op_type = "GlobalAveragePool"
        del node.input[1:], node.attribute[:]
        if largest:
            _pool_whole_image(model, node)
        small = [1, shape[1], *[1] * (rank - 2)]
        if summed:
            pixels = constant(model, np.prod(shape[2:]))
            insert_behind(model, node, "Mul", after, constants=[pixels])
        insert_behind(model, node, "Reshape", small, constants=[constant(model, after, np.int64)])
        return True
    return False


def _pool_whole_image(model: ModelWrapper, node: NodeProto) -> None:
    node.op_type = "MaxPool"
    sides = list(shape_of(model, node.input[0])[2:])
    sizes = {"kernel_shape": sides, "strides": [1] * len(sides), "pads": [0] * 2 * len(sides)}
    for name, size in sizes.items():
        set_attribute(node, name, size)


def drop_ceil_mode(model: ModelWrapper) -> bool:
    """Remove the ceil_mode of a pooling whose last window ends with the image, or before.

    Where a maximum's last window ends behind the image, it is padded as far.
    """
    for node in model.graph.node:
        if node.op_type not in ("MaxPool", "AveragePool") or not attribute(node, "ceil_mode", 0):
            continue
        kernel = attribute(node, "kernel_shape")
        sides, found = (shape_of(model, name)[2:] for name in (node.input[0], node.output[0]))
        rank = len(kernel)
        strides, dilations = (attribute(node, n, [1] * rank) for n in ("strides", "dilations"))
        pads = list(attribute(node, "pads", [0] * (2 * rank)))
        # pixels that the windows reach beyond those of the image and its padding
        beyond = [
            (found[axis] - 1) * strides[axis] + dilations[axis] * (kernel[axis] - 1) + 1
            - (side + pads[axis] + pads[rank + axis])
            for axis, side in enumerate(sides)
        ]  # fmt: skip
        if node.op_type == "MaxPool":
            more = [max(pixels, 0) for pixels in beyond]
            pads[rank:] = [a + b for a, b in zip(pads[rank:], more, strict=True)]
            set_attribute(node, "pads", pads)
        elif max(beyond) > 0:
            continue
        set_attribute(node, "ceil_mode", 0)
        return True
    return False


def average_any_shape(model: ModelWrapper) -> bool:
    """Remove what gives an image's pixels another shape before their mean."""
    for node in model.graph.node:
        before = model.find_producer(node.input[0]) if node.op_type == "GlobalAveragePool" else None
        if before is None or before.op_type != "Reshape" or not reshaping(model, before):
            continue
        shapes = [shape_of(model, name) for name in (before.input[0], node.input[0])]
        if len(shapes[0]) == len(shapes[1]) == 4 and shapes[0][:2] == shapes[1][:2]:
            node.input[0] = before.input[0]
            return True
    return False


def begin_behind_shapes(model: ModelWrapper) -> bool:
    """Let the network take images as its first Transpose or Reshape gives them.

    Several of them are taken together, if only the last one gives images.
    """
    entry = model.graph.input[0].name
    shapes: list[tuple[int, ...]] = [shape_of(model, entry)]
    steps: list[dict[str, Sequence[int]]] = []
    chain: list[NodeProto] = []
    while len(shapes) == 1 or not (
        len(shapes[-1]) == 4 or (len(shapes) == 2 and len(shapes[1]) == 2 and len(shapes[0]) == 3)
    ):
        node = reader(model, chain[-1].output[0] if chain else entry)
        if node is None or not reshaping(model, node) or is_output(model, node.output[0]):
            return False
        chain.append(node)
        shapes.append(shape_of(model, node.output[0]))
        if node.op_type == "Transpose":
            steps.append({"perm": order_of(model, node)})
        else:
            steps.append({"from": shapes[-2], "shape": shapes[-1]})
    given = json.loads(model.get_metadata_prop(OWN_INPUT) or "[]")
    model.set_metadata_prop(OWN_INPUT, json.dumps([*given, *steps]))
    begin_at(model, chain[-1].output[0], shapes[-1])
    for node in chain:
        model.graph.node.remove(node)
    return True


def flatten_by_name(model: ModelWrapper) -> bool:
    """Write a Reshape to [1, values] as Flatten, which FINN looks for."""
    for node in model.graph.node:
        flat = node.op_type == "Reshape" and len(shape_of(model, node.output[0])) == 2
        if flat and stream_input(model, node) == 0:
            node.op_type = "Flatten"
            del node.input[1:]
            set_attribute(node, "axis", 1)
            return True
    return False
