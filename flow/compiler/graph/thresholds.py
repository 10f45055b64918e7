"""Graph passes that bring quantisers to FINN's thresholds, used before its own."""

import numpy as np
import numpy.typing as npt
from finn.transformation.fpgadataflow.convert_to_hw.thresholding import InferThresholdingLayer
from onnx import helper
from qonnx.core.datatype import BaseDataType, DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation
from qonnx.transformation.infer_datatypes import InferDataTypes

from flow.models.qonnx.quantisers import ROUNDED as RATIO_ROUNDED
from flow.models.qonnx.tidy.edits import FALLS, attribute, drop_dead, set_attribute
from flow.models.qonnx.tidy.steps import reach, steps_of

_ROUNDED = 2.0**-23
"""Error of a threshold, relative to the largest of its channel, by the scales and shifts that are
moved into it in float32."""
_MOST_ROUNDED = 2.0**-9
"""Largest distance of a threshold from a whole number that is taken for such an error."""
_HALF_EVEN = "HalfEvenFrom"
"""Attribute of thresholds that round halves to even: the lowest value, in steps."""
FALLING = "Falling"
"""Attribute of thresholds of which some channels fall: a 1 for each of these, and 0 for others."""


class QuantToThresholds(Transformation):
    """Make quantisers of streams thresholds that round halves to even, as QONNX does.

    A threshold t is x ≥ t, so FINN's own conversion rounds halves up. Where scales are powers of
    two, and behind averages and sums, values often are halves, so `InferThresholds` excludes those
    that round down, once all scales are moved. A quantiser of several scales is left as it is.
    """

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""
        for node in model.get_nodes_by_op_type("Quant"):
            scale, zero, bits = (model.get_initializer(name) for name in node.input[1:4])
            is_stream = model.get_initializer(node.input[0]) is None
            if not is_stream or scale.size != 1 or (zero != 0).any():
                continue
            operator = getCustomOp(node)
            signed, narrow = (operator.get_nodeattr(name) for name in ("signed", "narrow"))
            count = int(bits.item())
            high = 2 ** (count - 1) - 1 if signed else 2**count - 1 - narrow
            low = -high - 1 + narrow if signed else 0
            rows = ((np.arange(low, high) + 0.5) * float(scale.item()))[None].astype("f4")
            halves = True
            if node.input[0] == model.graph.input[0].name:
                # images are any numbers, of which some lie next to a threshold
                rows, halves = exact_thresholds(low, high, float(scale.item())), False
            thresholds = model.make_new_valueinfo_name()
            model.set_initializer(thresholds, rows)
            new = helper.make_node(
                "MultiThreshold",
                [_before_relu(model, node.input[0], rows), thresholds],
                list(node.output),
                domain="qonnx.custom_op.general",
                out_dtype="FLOAT32",
                out_scale=float(scale.item()),
                out_bias=float(low * scale.item()),
            )
            if halves:
                new.attribute.append(helper.make_attribute(_HALF_EVEN, low))
            index = list(model.graph.node).index(node)
            model.graph.node.remove(node)
            model.graph.node.insert(index, new)
        drop_dead(model)
        _name_layouts(model)
        return model, False


def _name_layouts(model: ModelWrapper) -> None:
    """Say of every image of thresholds that it is NCHW, which FINN would take for NHWC."""
    for node in model.get_nodes_by_op_type("MultiThreshold"):
        if len(model.get_tensor_shape(node.input[0])) == 4:
            getCustomOp(node).set_nodeattr("data_layout", "NCHW")


def exact_thresholds(low: int, high: int, scale: float) -> npt.NDArray[np.float32]:
    """Return the least float32 that a quantiser rounds to each value above the lowest.

    Args:
        low: smallest value, in steps.
        high: largest value, in steps.
        scale: size of a step.

    Returns:
        The thresholds, [1, high − low].
    """
    step = np.float32(scale)
    with np.errstate(over="ignore"):
        found = steps_of(lambda x: np.clip(np.rint(x / step), low, high))
    assert found is not None
    return found.numbers[None]


def _before_relu(model: ModelWrapper, stream: str, thresholds: npt.NDArray) -> str:
    """Return the stream before a ReLU if thresholds, all above 0, need none; else the stream."""
    relu = model.find_producer(stream)
    needless = relu is not None and relu.op_type == "Relu" and (thresholds > 0).all()
    return relu.input[0] if needless else stream


class ScaleThresholdsOutside(Transformation):
    """Make thresholds count in whole numbers, followed by their scale, as FINN requires.

    Two values of opposite sign become −1 and 1.
    """

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""
        for node in model.get_nodes_by_op_type("MultiThreshold"):
            operator = getCustomOp(node)
            scale, bias = (operator.get_nodeattr(name) for name in ("out_scale", "out_bias"))
            rows = model.get_initializer(node.input[1])
            bipolar = rows.shape[1] == 1 and np.isclose(scale, -2 * bias)
            step = scale / 2 if bipolar else scale
            low = round(bias / step)
            least, most = reach(rows, attribute(node, FALLS, []))
            datatype = "BIPOLAR" if bipolar else smallest_type(low + least, low + most).name
            operator.set_nodeattr("out_scale", 2.0 if bipolar else 1.0)
            operator.set_nodeattr("out_bias", float(low))
            operator.set_nodeattr("out_dtype", datatype)
            if step == 1:
                continue
            counts, factor = (model.make_new_valueinfo_name() for _ in range(2))
            shape = model.get_tensor_shape(node.output[0])
            multiply = helper.make_node("Mul", [counts, factor], [node.output[0]])
            model.graph.node.insert(list(model.graph.node).index(node) + 1, multiply)
            node.output[0] = counts
            model.set_tensor_shape(counts, shape)
            model.set_initializer(factor, np.float32(step))
        return model.transform(InferDataTypes()), False


class AbsorbNegativeGains(Transformation):
    """Absorb factors, of which some are negative, into thresholds, whose channels then fall.

    Where a layer comes before a factor and nothing else reads it, FINN has put the signs into its
    weights; this is for all others. Channel c of x · a reaches t where x is at most t / a, so it
    falls through the quotients. An attribute of the node, ``Falling``, has the channels. The steps
    keep their order.
    """

    def apply(self, model: ModelWrapper):
        """Apply the transformation; FINN repeats it until nothing changes."""
        for node in model.get_nodes_by_op_type("MultiThreshold"):
            factor = model.find_producer(node.input[0])
            if factor is None or factor.op_type != "Mul" or model.is_fork_node(factor):
                continue
            constant = model.get_initializer(factor.input[1])
            if constant is None or not (constant < 0).any():
                continue
            shape = model.get_tensor_shape(node.input[0])
            if constant.size > 1 and constant.size != shape[1]:
                continue
            gains = np.broadcast_to(constant.reshape(-1, 1), (shape[1], 1))
            rows = model.get_initializer(node.input[1]) / gains
            model.set_initializer(node.input[1], rows.astype(np.float32))
            signs = gains[:, 0] < 0
            falling = _falling(node)
            falling = signs if falling is None else signs ^ falling
            set_attribute(node, FALLING, falling.astype(int).tolist())
            node.input[0] = factor.input[0]
            model.graph.node.remove(factor)
            return model, True
        return model, False


def _falling(node) -> npt.NDArray[np.bool_] | None:
    """Return which channels of thresholds fall, [C]; None if no channel does."""
    found = attribute(node, FALLING, [])
    return np.array(found, bool) if any(found) else None


class InferThresholds(Transformation):
    """Convert thresholds of integers to FINN's hardware layers, with the steps that fall.

    An integer that equals a threshold reaches it, or does not if it is a half that rounds to the
    even value below; the threshold is then the next number. In a channel that falls it is the other
    way round.
    """

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""
        kept = {}
        for node in model.get_nodes_by_op_type("MultiThreshold"):
            channels, first = _falling(node), attribute(node, _HALF_EVEN)
            steps = {FALLING: [] if channels is None else channels.astype(int).tolist()}
            kept[node.input[1]] = steps | {FALLS: attribute(node, FALLS, [])}
            if channels is None and first is None:
                continue
            rows = model.get_initializer(node.input[1])
            falls = np.zeros((len(rows), 1), bool) if channels is None else channels[:, None]
            reached = np.ones_like(rows, bool)
            if first is not None:
                below = first + np.arange(rows.shape[1])
                whole = np.rint(rows)
                near = np.abs(rows - whole) <= np.minimum(_errors(rows, below), _MOST_ROUNDED)
                rows = np.where(near, whole, rows)
                reached = below % 2 == 1
            above = np.nextafter(rows, np.float32(np.inf))
            later = (reached == falls) & np.isfinite(rows)
            rows = np.where(later, above, rows).astype(np.float32)
            model.set_initializer(node.input[1], rows)
        model, _ = InferThresholdingLayer().apply(model)
        for node in model.get_nodes_by_op_type("Thresholding"):
            for name, falling in kept.get(node.input[1], {}).items():
                if falling:
                    getCustomOp(node).set_nodeattr(name, falling)
        return model, False


def _errors(rows: npt.NDArray, below: npt.NDArray) -> npt.NDArray:
    """Return the error of each threshold [C, steps] between the steps below and the next ones.

    It is relative to the threshold itself if nothing but scales was moved into its channel.
    """
    units = rows / (below + 0.5)
    scaled = np.ptp(units, 1) <= np.abs(units).max(1) * RATIO_ROUNDED
    sizes = np.abs(rows)
    shifted = sizes.max(1, keepdims=True) * _ROUNDED
    return np.where(scaled[:, None], sizes * RATIO_ROUNDED, shifted)


def smallest_type(low: int, high: int) -> BaseDataType:
    """Return the narrowest integer type that holds all numbers from low to high."""
    bits = range(1, 65)
    kinds = (DataType[f"{'INT' if low < 0 else 'UINT'}{n}"] for n in bits if low >= 0 or n > 1)
    return next(kind for kind in kinds if kind.allowed(low) and kind.allowed(high))
