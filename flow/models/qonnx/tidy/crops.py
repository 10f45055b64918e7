"""Rule that lets a convolution compute only those pixels that are read.

A temporal convolution that must not see the future is often written as one that is padded on both
sides, and whose last values are cut off.
"""

from collections.abc import Sequence

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.tidy.channels import chosen_places
from flow.models.qonnx.tidy.edits import (
    attribute,
    reader,
    remove,
    set_attribute,
    shape_of,
    stream_input,
)
from flow.models.qonnx.tidy.joins import CHANNELWISE, POINTWISE


def crop_convolution(model: ModelWrapper) -> bool:
    """Let a convolution pad less if only a part of its image goes on, and padding is what is cut.

    Between the two may be operators on single values.
    """
    for node in model.graph.node:
        chosen = chosen_places(model, node)
        if chosen is None or chosen[0] < 2:
            continue
        axis, places = chosen
        if places != list(range(places[0], places[-1] + 1)):
            continue
        between = _up_to_convolution(model, node, axis)
        if not between or not _crop(model, between[-1], axis - 2, places):
            continue
        for one in between:
            shape = list(shape_of(model, one.output[0]))
            shape[axis] = len(places)
            model.set_tensor_shape(one.output[0], shape)
        remove(model, node)
        return True
    return False


def _up_to_convolution(model: ModelWrapper, node: NodeProto, axis: int) -> list[NodeProto]:
    """Return the operators before a choice, up to a convolution; none if others are before it."""
    found: list[NodeProto] = []
    stream = node.input[0]
    while reader(model, stream) is not None:
        above = model.find_producer(stream)
        if above is None:
            return []
        found.append(above)
        if above.op_type == "Conv":
            return found
        index = stream_input(model, above)
        if index is None or above.op_type not in (*POINTWISE, *CHANNELWISE):
            return []
        if above.op_type in POINTWISE:
            # a constant for each pixel would have to be cropped too
            outer = len(shape_of(model, stream)) - axis
            constants = [model.get_initializer(name) for name in above.input]
            known = [one for one in constants if one is not None and one.ndim >= outer]
            if any(one.shape[-outer] > 1 for one in known):
                return []
        stream = above.input[index]
    return []


def _crop(model: ModelWrapper, node: NodeProto, axis: int, places: Sequence[int]) -> bool:
    """Let a convolution compute these places alone along an axis; return whether it can."""
    rank = len(shape_of(model, node.input[0])) - 2
    strides, dilations = (attribute(node, n, [1] * rank) for n in ("strides", "dilations"))
    pads = list(attribute(node, "pads", [0] * (2 * rank)))
    if attribute(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return False
    kernel, side = (shape_of(model, name)[2 + axis] for name in (node.input[1], node.input[0]))
    stride, window = strides[axis], dilations[axis] * (kernel - 1) + 1
    before = pads[axis] - places[0] * stride
    behind = max((len(places) - 1) * stride + window - before - side, 0)
    if before < 0 or (before + side + behind - window) // stride + 1 > len(places):
        return False
    pads[axis], pads[rank + axis] = before, behind
    set_attribute(node, "pads", pads)
    return True
