"""Graph passes that FINN lacks, used between its own."""

from collections.abc import Iterable

import numpy as np
from finn.transformation.fpgadataflow.convert_to_hw.label_select import InferLabelSelectLayer
from finn.transformation.streamline.absorb import (
    AbsorbConsecutiveTransposes,
    AbsorbTransposeIntoMultiThreshold,
)
from finn.transformation.streamline.reorder import (
    MakeMaxPoolNHWC,
    MoveTransposePastFork,
    MoveTransposePastJoinAdd,
    MoveTransposePastJoinMul,
)
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation
from qonnx.transformation.infer_data_layouts import InferDataLayouts
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.util.basic import get_by_name

from flow.compiler.graph.joins import SeparateOperands, joins
from flow.compiler.operators.label_select import whole_gains
from flow.errors import UserError
from flow.models.qonnx.tidy.edits import FALLS, attribute, set_attribute


class ScaleBipolarOutside(Transformation):
    """Make bipolar activations −1 and 1, followed by their scale, as FINN requires."""

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""
        for node in model.get_nodes_by_op_type("BipolarQuant"):
            scale = model.get_initializer(node.input[1])
            if model.get_initializer(node.input[0]) is not None or (scale == 1).all():
                continue
            bits, factor, one = (model.make_new_valueinfo_name() for _ in range(3))
            shape = model.get_tensor_shape(node.output[0])
            multiply = helper.make_node("Mul", [bits, factor], [node.output[0]])
            model.graph.node.insert(list(model.graph.node).index(node) + 1, multiply)
            node.output[0], node.input[1] = bits, one
            model.set_tensor_shape(bits, shape)
            model.set_initializer(factor, scale.astype(np.float32).reshape(scale.size))
            model.set_initializer(one, np.float32(1))
        return model, False


class UngroupConvolutions(Transformation):
    """Replace a grouped convolution by one of all channels, with zeros for other groups.

    A depth-wise convolution, one channel in and one out for each group, has a unit of LUTs.

    Args:
        depth_wise: whether to replace depth-wise convolutions too.
    """

    def __init__(self, *, depth_wise: bool) -> None:
        super().__init__()
        self.depth_wise = depth_wise

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""
        for node in model.get_nodes_by_op_type("Conv"):
            group = get_by_name(node.attribute, "group")
            if group is None or group.i == 1:
                continue
            grouped = model.get_initializer(node.input[1])
            outputs, inputs = len(grouped) // group.i, grouped.shape[1]
            if outputs == inputs == 1 and not self.depth_wise:
                continue
            whole = np.zeros((len(grouped), inputs * group.i, *grouped.shape[2:]), np.float32)
            for g in range(group.i):
                rows = slice(g * outputs, (g + 1) * outputs)
                whole[rows, g * inputs : (g + 1) * inputs] = grouped[rows]
            datatype = model.get_tensor_datatype(node.input[1])
            model.set_initializer(node.input[1], whole)
            # the weights now include 0
            holds_zero = DataType["INT2"] if datatype == DataType["BIPOLAR"] else datatype
            model.set_tensor_datatype(node.input[1], holds_zero)
            group.i = 1
        return model.transform(InferDataTypes()), False


class BipolarToInt2(Transformation):
    """Represent streams of ±1 as INT2 for FINN's DSP unit, which takes at least two bits.

    A threshold t with output −1 or +1 becomes the pair (t, t) with bias −1, since
    −1 + [x ≥ t] + [x ≥ t] is −1 or +1.
    """

    def apply(self, model):
        """Apply the transformation to the whole graph."""
        for operator in _bipolar_thresholds(model):
            thresholds = model.get_initializer(operator.onnx_node.input[1])
            model.set_initializer(operator.onnx_node.input[1], np.repeat(thresholds, 2, axis=-1))
            if falls := attribute(operator.onnx_node, FALLS):
                set_attribute(operator.onnx_node, FALLS, falls * 2)
            operator.set_nodeattr("out_dtype", "INT2")
            operator.set_nodeattr("out_scale", 1.0)
            operator.set_nodeattr("out_bias", -1.0)
        return model.transform(InferDataTypes()), False


class BipolarToBit(Transformation):
    """Make thresholds with output ±1 count 0 or 1, FINN's representation of BIPOLAR in hardware."""

    def apply(self, model):
        """Apply the transformation to the whole graph."""
        for operator in _bipolar_thresholds(model):
            operator.set_nodeattr("out_scale", 1.0)
            operator.set_nodeattr("out_bias", 0.0)
        return model, False


class BipolarWeightsToInt2(Transformation):
    """Declare weights of ±1 as INT2, so that FINN's execution multiplies.

    With both operands BIPOLAR, FINN counts matches instead. The LUT unit still stores one bit,
    since ``MVAU_rtl.minimize_weight_bit_width`` depends on the values.
    """

    def apply(self, model):
        """Apply the transformation to the whole graph."""
        for node in model.graph.node:
            layer = node.op_type in ("Conv", "MatMul")
            if layer and model.get_tensor_datatype(node.input[1]) == DataType["BIPOLAR"]:
                model.set_tensor_datatype(node.input[1], DataType["INT2"])
        return model.transform(InferDataTypes()), False


def _bipolar_thresholds(model: ModelWrapper) -> list:
    operators = [getCustomOp(node) for node in model.get_nodes_by_op_type("MultiThreshold")]
    return [o for o in operators if o.get_nodeattr("out_dtype") == "BIPOLAR"]


def begin_at(model: ModelWrapper, entry: str, nodes: Iterable) -> None:
    """Remove upstream nodes from a graph, in place, and make a tensor downstream its input."""
    shape, datatype = model.get_tensor_shape(entry), model.get_tensor_datatype(entry)
    for node in nodes:
        model.graph.node.remove(node)
    model.graph.input[0].name = entry
    for value in [v for v in model.graph.value_info if v.name == entry]:
        model.graph.value_info.remove(value)
    model.set_tensor_shape(entry, shape)
    model.set_tensor_datatype(entry, datatype)


class MeanToGlobalPool(Transformation):
    """Rename a mean over the whole image to FINN's operator for it."""

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""
        for node in model.get_nodes_by_op_type("ReduceMean"):
            axes = model.get_initializer(node.input[1])
            shape = model.get_tensor_shape(node.input[0])
            if len(shape) == 4 and {int(axis) % 4 for axis in axes} == {2, 3}:
                node.op_type = "GlobalAveragePool"
                del node.input[1:], node.attribute[:]
        return model.transform(InferDataLayouts()), False


class UpsamplingToStreams(Transformation):
    """Replace upsampling of integers by FINN's operator. Scales go past it first."""

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""
        for node in list(model.graph.node):
            stream, output = node.input[0], node.output[0]
            if node.op_type not in UPSAMPLING or not model.get_tensor_datatype(stream).is_integer():
                continue
            _, channels, height, width = model.get_tensor_shape(stream)
            _, _, rows, columns = model.get_tensor_shape(output)
            last, larger = (model.make_new_valueinfo_name() for _ in range(2))
            model.set_tensor_shape(last, [1, height, width, channels])
            model.set_tensor_shape(larger, [1, rows, columns, channels])
            datatype = model.get_tensor_datatype(stream)
            model.set_tensor_datatype(last, datatype)
            enlarged = helper.make_node(
                "UpsampleNearestNeighbour", [last], [larger],
                domain="finn.custom_op.fpgadataflow", backend="fpgadataflow", SIMD=1, HI=height,
                WI=width, HO=rows, WO=columns, NumChannels=channels, inputDataType=datatype.name,
            )  # fmt: skip
            new = (
                helper.make_node("Transpose", [stream], [last], perm=[0, 2, 3, 1]),
                enlarged,
                helper.make_node("Transpose", [larger], [output], perm=[0, 3, 1, 2]),
            )
            index = list(model.graph.node).index(node)
            model.graph.node.remove(node)
            for offset, one in enumerate(new):
                model.graph.node.insert(index + offset, one)
        return model.transform(InferDataLayouts()).transform(InferDataTypes()), False


UPSAMPLING = ("Resize", "Upsample")
"""ONNX's operators that enlarge images."""


class ImagesChannelsLast(Transformation):
    """Quantise images with channels last, if a join or another quantiser reads them too.

    Convolutions put the channels last for themselves alone.
    """

    def apply(self, model: ModelWrapper):
        """Turn the images in front of their quantiser, and back behind it."""
        (quantiser, *_) = model.find_consumers(model.graph.input[0].name)
        images, stream = quantiser.input[0], quantiser.output[0]
        shape = model.get_tensor_shape(stream)
        readers = model.find_consumers(stream)
        others = any(node.op_type == "MultiThreshold" or joins(model, node) for node in readers)
        if quantiser.op_type != "MultiThreshold" or len(shape) != 4 or not others:
            return model, False
        quantiser.input[0], quantiser.output[0] = (
            model.make_new_valueinfo_name() for _ in range(2)
        )
        for name in (quantiser.input[0], quantiser.output[0]):
            model.set_tensor_shape(name, [shape[0], *shape[2:], shape[1]])
        model.set_tensor_datatype(quantiser.output[0], model.get_tensor_datatype(stream))
        getCustomOp(quantiser).set_nodeattr("data_layout", "NHWC")
        turn, back = (
            helper.make_node("Transpose", [source], [turned], perm=order)
            for source, turned, order in (
                (images, quantiser.input[0], [0, 2, 3, 1]),
                (quantiser.output[0], stream, [0, 3, 1, 2]),
            )
        )
        model.graph.node.insert(0, turn)
        model.graph.node.insert(list(model.graph.node).index(quantiser) + 1, back)
        return model.transform(InferDataLayouts()), False


class ChannelsLast(Transformation):
    """Move the transposes left by lowering past forks and additions, until they cancel."""

    def apply(self, model: ModelWrapper):
        """Move each transpose past one addition; FINN repeats this until nothing changes."""
        before = model.model.SerializeToString(deterministic=True)
        for step in (
            MakeMaxPoolNHWC(),
            AbsorbTransposeIntoMultiThreshold(),
            # past thresholds that the previous pass left upstream of a pooling
            MakeMaxPoolNHWC(),
            SeparateOperands(),
            MoveTransposePastFork(),
            AbsorbConsecutiveTransposes(),
            MoveTransposePastJoinAdd(),
            MoveTransposePastJoinMul(),
        ):
            model = model.transform(step)
        return model, model.model.SerializeToString(deterministic=True) != before


class RejectPaddedBits(Transformation):
    """Refuse streams that FINN's padding cannot represent.

    Raises:
        UserError: a convolution pads a stream without 0; the message names the node.
    """

    def apply(self, model: ModelWrapper):
        """Check the whole graph, without changing it."""
        for node in model.get_nodes_by_op_type("Im2Col"):
            pads = any(getCustomOp(node).get_nodeattr("pad_amount"))
            if pads and not model.get_tensor_datatype(node.input[0]).allowed(0):
                raise UserError(
                    f"node {node.name} pads a stream of −1 and 1 with 0: quantise it in 2 bits or "
                    "more, or do without padding"
                )
        return model, False


class InferLabelSelect(Transformation):
    """Convert top-1 to label select, including each class's gain and offset upstream of it.

    A positive gain shared by all classes changes no label and is removed.
    """

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""
        (top,) = model.get_nodes_by_op_type("TopK")
        # invariant: scores = gain · value + offset, with the value reached so far
        gain, offset = np.ones(1), np.zeros(1)
        while (node := model.find_producer(top.input[0])) is not None:
            if _keeps_vector(model, node):
                top.input[0] = node.input[0]
                model.graph.node.remove(node)
                continue
            constant = model.get_initializer(node.input[1]) if len(node.input) > 1 else None
            if constant is None or node.op_type not in ("Add", "Mul"):
                break
            values = constant.astype(np.float64).ravel()
            if node.op_type == "Add":
                offset = offset + gain * values
            elif (values != 0).all():
                gain = gain * values
            else:
                break
            top.input[0] = node.input[0]
            model.graph.node.remove(node)
        model.set_tensor_shape(top.output[1], [*model.get_tensor_shape(top.input[0])[:-1], 1])
        model = model.transform(InferDataTypes()).transform(InferLabelSelectLayer())
        for node in model.get_nodes_by_op_type("LabelSelect"):
            select = getCustomOp(node)
            classes = select.get_nodeattr("Labels")
            whole, unit = whole_gains(gain)
            # of a single value the sign counts
            if offset.size > 1 or (classes == 1 and offset.any()):
                select.set_nodeattr("Offsets", (offset / unit).tolist())
            if (whole != 1).any():
                select.set_nodeattr("Gains", np.broadcast_to(whole, classes).tolist())
        return model, False


def _keeps_vector(model: ModelWrapper, node) -> bool:
    """Whether a node only changes the shape of the values of one pixel."""
    if node.op_type not in ("Flatten", "Reshape", "Squeeze", "Transpose"):
        return False
    sizes = [
        [size for size in model.get_tensor_shape(name) if size > 1]
        for name in (node.input[0], node.output[0])
    ]
    return sizes[0] == sizes[1] and len(sizes[0]) <= 1
