"""Graph passes about forks and joins, and the scales that move past them."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from finn.transformation.fpgadataflow.convert_to_hw.elementwise_binary_operation import (
    InferElementwiseBinaryOperation,
)
from finn.transformation.streamline import Streamline
from finn.transformation.streamline.reorder import MoveLinearPastFork
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation
from qonnx.transformation.infer_data_layouts import InferDataLayouts
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.util.basic import get_by_name

from flow.compiler.graph.settled import content
from flow.errors import UserError
from flow.models.qonnx.tidy.edits import drop_dead
from flow.models.steps import common_step


class MovePastAverages(Transformation):
    """Move factors and shifts, of one number or one a channel, past averages of images."""

    def apply(self, model: ModelWrapper):
        """Swap each with the average behind it; FINN repeats this until nothing changes."""
        changed = False
        for node in list(model.graph.node):
            before = model.find_producer(node.input[0])
            if node.op_type not in _AVERAGES or before is None or model.is_fork_node(before):
                continue
            constant = model.get_initializer(before.input[1]) if len(before.input) > 1 else None
            if before.op_type not in ("Add", "Mul") or not _by_channel(constant):
                continue
            behind, between = node.output[0], before.output[0]
            model.set_tensor_shape(between, model.get_tensor_shape(behind))
            node.input[0], node.output[0] = before.input[0], between
            before.input[0], before.output[0] = between, behind
            model.graph.node.remove(before)
            model.graph.node.insert(list(model.graph.node).index(node) + 1, before)
            changed = True
        return model.transform(InferDataTypes()) if changed else model, changed


_AVERAGES = ("AveragePool", "GlobalAveragePool")


def _by_channel(constant: npt.NDArray | None) -> bool:
    """Whether a constant for images [N, C, H, W] has one number, or one a channel."""
    if constant is None or constant.size == 1:
        return constant is not None
    return constant.ndim >= 3 and constant.size == constant.shape[-3]


class MovePastJoins(Transformation):
    """Move equal factors, or shifts, of all operands past an addition or a concatenation.

    Those that something else reads too are left: `MoveLinearPastFork` makes one for each reader. An
    addition of integers in unlike steps gets gains, in an attribute, and its common step moves.
    """

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph; FINN repeats it until nothing changes."""
        for node in model.graph.node:
            if node.op_type == "Add" and self._weigh(model, node):
                return model, True
            if node.op_type == "Mul" and self._factor_out(model, node):
                return model, True
            operands = [model.find_producer(name) for name in node.input]
            if node.op_type not in ("Add", "Concat") or None in operands:
                continue
            kinds = {one.op_type for one in operands}
            found = [
                model.get_initializer(one.input[1]) if len(one.input) > 1 else None
                for one in operands
            ]
            constants = [one for one in found if one is not None]
            behind = [one for op in operands for one in model.find_consumers(op.output[0])]
            if len(kinds) > 1 or len(constants) < len(found) or any(one != node for one in behind):
                continue
            alike = all(np.array_equal(one, constants[0]) for one in constants)
            moves = alike and (node.op_type == "Add" or constants[0].size == 1)
            if kinds == {"Mul"} and moves:
                self._move(model, node, operands, constants[0])
                return model, True
            if kinds == {"Add"} and (node.op_type == "Add" or moves):
                weighted = [g * one for g, one in zip(_gains(node), constants, strict=True)]
                total = np.sum(np.broadcast_arrays(*weighted), axis=0)
                self._move(model, node, operands, total if node.op_type == "Add" else constants[0])
                return model, True
        return model.transform(InferDataTypes()), False

    @staticmethod
    def _factor_out(model: ModelWrapper, node) -> bool:
        """Move a factor of one operand past a product; return whether it changed."""
        if not model.is_join_node(node):
            return False
        for index, name in enumerate(node.input):
            before = model.find_producer(name)
            constant = None if before is None else model.get_initializer(before.input[1])
            if constant is None or before.op_type != "Mul" or constant.size != 1:
                continue
            if model.is_fork_node(before):
                continue
            between, output = model.make_new_valueinfo_name(), node.output[0]
            model.set_tensor_shape(between, model.get_tensor_shape(output))
            node.input[index], node.output[0] = before.input[0], between
            before.input[0], before.output[0] = between, output
            model.graph.node.remove(before)
            model.graph.node.insert(list(model.graph.node).index(node) + 1, before)
            return True
        return False

    @staticmethod
    def _weigh(model: ModelWrapper, node) -> bool:
        """Add integers in unlike steps as multiples of a common one; return whether it changed."""
        if not model.is_join_node(node):
            return False
        streams, steps = list(node.input), [1.0, 1.0]
        for index, name in enumerate(node.input):
            before = model.find_producer(name)
            constant = model.get_initializer(before.input[1]) if before.op_type == "Mul" else None
            if constant is not None and constant.size == 1 and not model.is_fork_node(before):
                streams[index], steps[index] = before.input[0], float(constant.item())
        whole = all(model.get_tensor_datatype(name).is_integer() for name in streams)
        if not whole or steps[0] == steps[1] or min(steps) <= 0:
            return False
        own, unit = common_step(*(g * s for g, s in zip(_gains(node), steps, strict=True)))
        _set_gains(node, own)
        between, factor = (model.make_new_valueinfo_name() for _ in range(2))
        output = node.output[0]
        model.set_initializer(factor, np.float32(unit))
        model.set_tensor_shape(between, model.get_tensor_shape(output))
        node.output[0] = between
        for index, name in enumerate(streams):
            node.input[index] = name
        moved = helper.make_node("Mul", [between, factor], [output])
        model.graph.node.insert(list(model.graph.node).index(node) + 1, moved)
        drop_dead(model)
        return True

    @staticmethod
    def _move(model: ModelWrapper, node, operands: list, constant: npt.NDArray) -> None:
        between, name = (model.make_new_valueinfo_name() for _ in range(2))
        model.set_initializer(name, constant)
        output = node.output[0]
        model.set_tensor_shape(between, model.get_tensor_shape(output))
        for index, one in enumerate(operands):
            node.input[index] = one.input[0]
        node.output[0] = between
        moved = helper.make_node(operands[0].op_type, [between, name], [output])
        model.graph.node.insert(list(model.graph.node).index(node) + 1, moved)
        for one in operands:
            if one in model.graph.node:
                model.graph.node.remove(one)


_GAINS = "Gains"


def _gains(node) -> tuple[int, ...]:
    """Return the gain of each operand of a join."""
    found = get_by_name(node.attribute, _GAINS)
    return (1,) * len(node.input) if found is None else tuple(found.ints)


def _set_gains(node, gains: Iterable[int]) -> None:
    found = get_by_name(node.attribute, _GAINS)
    if found is not None:
        node.attribute.remove(found)
    node.attribute.append(helper.make_attribute(_GAINS, list(gains)))


class MoveScales(Transformation):
    """Move scales and shifts past forks, joins and averages, so that these see integers."""

    def apply(self, model: ModelWrapper):
        """Try each rule; FINN repeats this until nothing changes."""
        before = content(model.model)
        for step in (
            # a scale upstream of a fork moves into each branch, and out of all operands of a join
            MoveLinearPastFork(),
            MovePastJoins(),
            MovePastAverages(),
            # moves on what has come to stand before a layer
            Streamline(),
        ):
            model = model.transform(step)
        return model, content(model.model) != before


class ConcatsToStreams(Transformation):
    """Replace concatenations of integers along channels by FINN's StreamingConcat, of two each.

    Scales go past them first. An operand of another type or axis is left for a later pass to
    refuse.
    """

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""
        for node in model.get_nodes_by_op_type("Concat"):
            shape = model.get_tensor_shape(node.output[0])
            axis = get_by_name(node.attribute, "axis").i % len(shape)
            integer = all(model.get_tensor_datatype(name).is_integer() for name in node.input)
            if axis == 1 and integer:
                self._replace(model, node, len(shape))
        return model.transform(InferDataLayouts()).transform(InferDataTypes()), False

    @staticmethod
    def _replace(model: ModelWrapper, node, rank: int) -> None:
        index = list(model.graph.node).index(node)
        model.graph.node.remove(node)
        first, last = [0, *range(2, rank), 1], [0, rank - 1, *range(1, rank - 1)]

        def add(kind: str, inputs: list[str], shape: Iterable[int], **attributes) -> str:
            nonlocal index
            output = model.make_new_valueinfo_name()
            model.set_tensor_shape(output, list(shape))
            new = helper.make_node(kind, inputs, [output], **attributes)
            model.graph.node.insert(index, new)
            index += 1
            return output

        streams = []
        for name in node.input:
            shape = model.get_tensor_shape(name)
            turned = [shape[axis] for axis in first]
            stream = add("Transpose", [name], turned, perm=first) if rank > 2 else name
            model.set_tensor_datatype(stream, model.get_tensor_datatype(name))
            streams.append((stream, turned))
        left, whole = streams[0]
        for right, shape in streams[1:]:
            both = [*whole[:-1], whole[-1] + shape[-1]]
            types = [model.get_tensor_datatype(name).name for name in (left, right)]
            left = add(
                "StreamingConcat", [left, right], both, domain="finn.custom_op.fpgadataflow",
                backend="fpgadataflow", SIMD=1, ChannelsPerStream=[whole[-1], shape[-1]],
                inputDataTypes=types, numInputVectors=whole[:-1], inFIFODepths=[2, 2],
            )  # fmt: skip
            getCustomOp(model.find_producer(left)).infer_node_datatype(model)
            whole = both
        if rank > 2:
            add("Transpose", [left], model.get_tensor_shape(node.output[0]), perm=last)
        model.graph.node[index - 1].output[0] = node.output[0]


class InferJoins(Transformation):
    """Convert additions and products of two integer streams to hardware layers.

    The second operand of a product may be a vector of channels.

    Raises:
        UserError: the operands are not integers of one scale; the message names the node.
    """

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph."""

        def joins(model: ModelWrapper, node) -> bool:
            return node.op_type in ("Add", "Mul") and model.is_join_node(node)

        gains = {}
        for node in model.graph.node:
            if not joins(model, node):
                continue
            gains[node.output[0]] = _gains(node)
            if node.op_type == "Mul":
                larger = sorted(node.input, key=lambda n: -np.prod(model.get_tensor_shape(n)))
                node.input[:] = larger
            types = [model.get_tensor_datatype(name) for name in node.input]
            if not all(one.is_integer() for one in types):
                raise UserError(
                    f"node {node.name} joins streams that are not integers of one step each: "
                    "quantise both operands"
                )
            if DataType["BIPOLAR"] in types:
                raise UserError(
                    f"node {node.name} joins a stream of −1 and 1: quantise it in 2 bits or more"
                )
        model = model.transform(InferElementwiseBinaryOperation(joins))
        for node in model.get_nodes_by_op_type("ElementwiseAdd"):
            node.op_type = "AddStreams"
            if any(gain > 1 for gain in gains[node.output[0]]):
                getCustomOp(node).set_nodeattr(_GAINS, list(gains[node.output[0]]))
        for node in model.get_nodes_by_op_type("ElementwiseMul"):
            node.op_type = "MultiplyStreams"
        return model.transform(InferDataTypes()), False
