"""Rule that lets a convolution with weights of 0 and 1 choose values for one operand of a sum.

A shortcut without weights takes every second pixel and adds channels of zeros, as in the first
residual networks for CIFAR-10 ("option A"), or reorders channels. No weights of others can take
that.
"""

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper

from flow.models.qonnx.tidy.channels import Places, moved_by
from flow.models.qonnx.tidy.edits import constant, insert, reader, shape_of, stream_input
from flow.models.qonnx.tidy.notation import zeros_around

_ZERO = -1
"""Place of a zero that was padded."""


def pick_for_sum(model: ModelWrapper) -> bool:
    """Write choices of channels and pixels, and zeros, as a convolution in front of a sum."""
    for node in model.graph.node:
        below = reader(model, node.output[0]) if node.op_type in ("Gather", "Pad") else None
        if below is None or below.op_type not in ("Add", "Sub"):
            continue
        chain = [node]
        while (above := model.find_producer(chain[0].input[0])) is not None:
            if above.op_type not in ("Gather", "Pad") or reader(model, above.output[0]) is None:
                break
            chain.insert(0, above)
        source = chain[0].input[0]
        shape = shape_of(model, source)
        if stream_input(model, below) is not None or len(shape) != 4:
            continue
        places: Places | None = np.arange(np.prod(shape)).reshape(shape)
        for one in chain:
            places = None if places is None else _moved(model, one, places)
        picked = None if places is None else _kernel(shape, places)
        if picked is None:
            continue
        kernel, strides = picked
        whole = [constant(model, value) for value in (kernel, 1.0, 0.0, 2.0)]
        kinds = {"signed": 1, "narrow": 1, "rounding_mode": "ROUND"}
        weights = insert(model, chain[0], "Quant", whole, kernel.shape, **kinds)
        convolution = helper.make_node(
            "Conv", [source, weights], list(node.output), name=node.name, strides=strides,
            kernel_shape=kernel.shape[2:], pads=[0] * 4, dilations=[1, 1], group=1,
        )  # fmt: skip
        convolution.metadata_props.extend(node.metadata_props)
        model.graph.node.insert(list(model.graph.node).index(node), convolution)
        for one in chain:
            model.graph.node.remove(one)
        return True
    return False


def _moved(model: ModelWrapper, node: NodeProto, places: Places) -> Places | None:
    """Return what a choice or a padding with zeros makes of places; None for others."""
    if node.op_type != "Pad":
        return moved_by(model, node, places)
    pads = zeros_around(model, node)
    if pads is None:
        return None
    sides = list(zip(pads[: places.ndim], pads[places.ndim :], strict=True))
    return np.pad(places, sides, constant_values=_ZERO)


def _kernel(
    shape: tuple[int, ...], places: Places
) -> tuple[npt.NDArray[np.float32], list[int]] | None:
    """Return the weights [O, I, K_H, K_W] and strides that put values at places; None if none do.

    Args:
        shape: of the images that are read, [1, I, H, W].
        places: of each value among these, [1, O, H', W'].
    """
    (_, inputs, *sides), (outputs, *counts) = shape, places.shape[1:]
    real = [n for n, one in enumerate(places[0]) if (one != _ZERO).any()]
    if not real:
        return None
    channels, rest = np.divmod(places[0, real].reshape(len(real), -1), np.prod(sides))
    pixels = rest[0].reshape(counts)
    first, size, strides = [], [], []
    for side, count, line in zip(
        sides, counts, (pixels[:, 0] // sides[1], pixels[0] % sides[1]), strict=True
    ):
        stride = int(line[1] - line[0]) if count > 1 else 1
        if stride < 1 or (np.diff(line) != stride).any():
            return None
        first.append(int(line[0]))
        strides.append(stride)
        size.append(max(first[-1] + 1, side - stride * count + 1))
    rows, columns = (
        start + stride * np.arange(n)
        for start, stride, n in zip(first, strides, counts, strict=True)
    )
    regular = rows[:, None] * sides[1] + columns
    alike = (rest == regular.ravel()).all() and (channels == channels[:, :1]).all()
    if not alike or (places[0, real] == _ZERO).any():
        return None
    kernel = np.zeros((outputs, inputs, *size), np.float32)
    kernel[real, channels[:, 0], first[0], first[1]] = 1
    return kernel, strides
