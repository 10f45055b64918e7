"""Graph passes about forks and joins, and the scales that move past them."""

from collections.abc import Iterable, Sequence

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
from flow.compiler.graph.windows import AveragesToPools
from flow.errors import UserError
from flow.models.qonnx.streams import MOST_GAINS
from flow.models.qonnx.tidy.edits import attribute, drop_dead, set_attribute
from flow.models.steps import Floats, common_multiples, common_steps


class MovePastAverages(Transformation):
    """Move factors and shifts, of one number or one a channel, past averages and enlargements."""

    def apply(self, model: ModelWrapper):
        """Swap each with the node behind it; FINN repeats this until nothing changes."""
        changed = False
        for node in list(model.graph.node):
            before = model.find_producer(node.input[0])
            if node.op_type not in _OF_PIXELS or before is None or model.is_fork_node(before):
                continue
            constant = model.get_initializer(before.input[1]) if len(before.input) > 1 else None
            shape = model.get_tensor_shape(node.input[0])
            if before.op_type not in ("Add", "Mul") or not _by_channel(constant, shape):
                continue
            behind, between = node.output[0], before.output[0]
            model.set_tensor_shape(between, model.get_tensor_shape(behind))
            node.input[0], node.output[0] = before.input[0], between
            before.input[0], before.output[0] = between, behind
            model.graph.node.remove(before)
            model.graph.node.insert(list(model.graph.node).index(node) + 1, before)
            changed = True
        return model.transform(InferDataTypes()) if changed else model, changed


_OF_PIXELS = ("AveragePool", "GlobalAveragePool", "Resize", "Upsample")
"""Averages and enlargements of images, which factors and shifts of channels may pass."""


def _by_channel(constant: npt.NDArray | None, shape: Sequence[int]) -> bool:
    """Whether a constant for a stream of this shape, [N, C, …], is one number, or one a channel."""
    if constant is None or constant.size == 1:
        return constant is not None
    rank = len(shape)
    whole = (*[1] * (rank - constant.ndim), *constant.shape)
    return whole == (1, shape[1], *[1] * (rank - 2))


def joins(model: ModelWrapper, node) -> bool:
    """Whether a node adds or multiplies two streams, of which either may be the images."""
    streams = [name for name in node.input if model.get_initializer(name) is None]
    return node.op_type in ("Add", "Mul") and len(streams) == 2


class SeparateOperands(Transformation):
    """Give a join that reads one stream twice a scale, shift or transposition for each operand.

    FINN moves nothing past a fork whose branches all end in one node.
    """

    def apply(self, model: ModelWrapper):
        """Copy each such node; FINN repeats this until nothing changes."""
        changed = False
        for join in list(model.graph.node):
            for index, name in enumerate(join.input):
                before = model.find_producer(name) if name in join.input[:index] else None
                if before is None or before.op_type not in ("Add", "Mul", "Transpose"):
                    continue
                copy = type(before)()
                copy.CopyFrom(before)
                copy.output[0] = join.input[index] = model.make_new_valueinfo_name()
                model.set_tensor_shape(copy.output[0], model.get_tensor_shape(name))
                model.set_tensor_datatype(copy.output[0], model.get_tensor_datatype(name))
                model.graph.node.insert(list(model.graph.node).index(before), copy)
                changed = True
        return model, changed


class MovePastJoins(Transformation):
    """Move factors and shifts of the operands past an addition or a concatenation.

    Past a concatenation go those that all operands share; past an addition also a shift of one of
    them. An addition of integers in unlike steps, of one number or one a channel, gets gains, in an
    attribute, and the step in which they are whole moves. What something else reads too is left:
    `MoveLinearPastFork` makes one for each reader.
    """

    def apply(self, model: ModelWrapper):
        """Apply the transformation to the whole graph; FINN repeats it until nothing changes."""
        for node in model.graph.node:
            if node.op_type == "Add" and (self._shift(model, node) or self._weigh(model, node)):
                return model, True
            if node.op_type == "Mul" and self._factor_out(model, node):
                return model, True
            if node.op_type == "Concat" and self._align(model, node):
                return model, True
            operands = [model.find_producer(name) for name in node.input]
            if node.op_type not in ("Add", "Concat") or None in operands:
                continue
            kinds = {one.op_type for one in operands}
            found = [_constant(model, one) for one in operands]
            constants = [one for one in found if one is not None]
            behind = [one for op in operands for one in model.find_consumers(op.output[0])]
            if len(kinds) > 1 or len(constants) < len(found) or any(one != node for one in behind):
                continue
            alike = all(np.array_equal(one, constants[0]) for one in constants)
            whole = node.op_type == "Add" or constants[0].size == 1
            if alike and whole and kinds <= {"Add", "Mul"}:
                _move_behind(model, node, operands[0].op_type, constants[0])
                for index, one in enumerate(operands):
                    node.input[index] = one.input[0]
                drop_dead(model)
                return model, True
        return model.transform(InferDataTypes()), False

    @staticmethod
    def _factor_out(model: ModelWrapper, node) -> bool:
        """Move a factor of one operand past a product; return whether it changed."""
        if not joins(model, node):
            return False
        for index, name in enumerate(node.input):
            before = model.find_producer(name)
            constant = None if before is None else _constant(model, before)
            if constant is None or before.op_type != "Mul" or constant.size != 1:
                continue
            if model.is_fork_node(before):
                continue
            _move_behind(model, node, "Mul", constant)
            node.input[index] = before.input[0]
            drop_dead(model)
            return True
        return False

    @staticmethod
    def _shift(model: ModelWrapper, node) -> bool:
        """Move a shift of one operand past an addition; return whether it changed."""
        if not joins(model, node):
            return False
        rank = len(model.get_tensor_shape(node.output[0]))
        for index, (name, gain) in enumerate(zip(node.input, _gains(node), strict=True)):
            before = model.find_producer(name)
            constant = None if before is None else _constant(model, before)
            if constant is None or before.op_type != "Add" or model.is_fork_node(before):
                continue
            _move_behind(model, node, "Add", _for_channels(gain, rank) * constant)
            node.input[index] = before.input[0]
            drop_dead(model)
            return True
        return False

    @staticmethod
    def _weigh(model: ModelWrapper, node) -> bool:
        """Add integers in unlike steps as multiples of a common one; return whether it changed."""
        if not joins(model, node):
            return False
        shape = model.get_tensor_shape(node.output[0])
        streams, steps = _in_steps(model, node)
        left, right = steps
        if not streams or np.array_equal(left, right) or not (left.all() and right.all()):
            return False
        old = _gains(node)
        gains, unit = common_steps(old[0] * left, old[1] * right)
        _set_gains(node, gains)
        _move_behind(model, node, "Mul", _for_channels(unit, len(shape)).astype(np.float32))
        node.input[:] = streams
        drop_dead(model)
        return True

    @staticmethod
    def _align(model: ModelWrapper, node) -> bool:
        """Concatenate integers in unlike steps as multiples of a common one, if these are known."""
        streams, found = _in_steps(model, node)
        if any(one.size > 1 for one in found):
            return False
        steps = [float(one.item()) for one in found]
        if not streams or len(set(steps)) < 2 or min(steps) <= 0:
            return False
        gains, unit = common_multiples(steps, attribute(node, MOST_GAINS, None))
        _set_gains(node, _gains(node) * np.array(gains)[:, None])
        _move_behind(model, node, "Mul", np.array(unit))
        node.input[:] = streams
        drop_dead(model)
        return True


def _in_steps(model: ModelWrapper, node) -> tuple[list[str], list[Floats]]:
    """Return the integers that a join reads, each with its step, [1] or [C]; none if it has others.

    What something else reads too is not divided.
    """
    streams, steps = list(node.input), [np.ones(1) for _ in node.input]
    for index, name in enumerate(node.input):
        before = model.find_producer(name)
        constant = None if before is None else _constant(model, before)
        if constant is None or before.op_type != "Mul" or model.is_fork_node(before):
            continue
        if _by_channel(constant, model.get_tensor_shape(name)):
            streams[index], steps[index] = before.input[0], constant.ravel().astype(np.float64)
    whole = all(model.get_tensor_datatype(name).is_integer() for name in streams)
    return (streams if whole else []), steps


def _constant(model: ModelWrapper, node) -> npt.NDArray | None:
    """Return the constant that a node adds or multiplies by; None if there is none."""
    return model.get_initializer(node.input[1]) if len(node.input) > 1 else None


def _move_behind(model: ModelWrapper, node, operator: str, constant: npt.NDArray) -> None:
    """Add a constant behind a join, or multiply by one."""
    between, name = (model.make_new_valueinfo_name() for _ in range(2))
    model.set_initializer(name, np.asarray(constant, np.float32))
    output = node.output[0]
    model.set_tensor_shape(between, model.get_tensor_shape(output))
    node.output[0] = between
    moved = helper.make_node(operator, [between, name], [output])
    model.graph.node.insert(list(model.graph.node).index(node) + 1, moved)


def _for_channels(values: npt.NDArray, rank: int) -> npt.NDArray:
    """Return a number for each channel as a constant for streams of this rank; one as it is."""
    return values[0] if values.size == 1 else values.reshape(1, -1, *[1] * (rank - 2))


_GAINS = "Gains"


def _gains(node) -> npt.NDArray[np.int64]:
    """Return the gain of each operand of a join, [operands, C], or [operands, 1] for all."""
    found = get_by_name(node.attribute, _GAINS)
    operands = len(node.input)
    return np.array([1] * operands if found is None else found.ints).reshape(operands, -1)


def _set_gains(node, gains: npt.NDArray[np.int64]) -> None:
    set_attribute(node, _GAINS, gains.ravel().tolist())


class MoveScales(Transformation):
    """Move scales and shifts past forks, joins and averages, so that these see integers.

    Averages that do become sums and factors, which move on.
    """

    def apply(self, model: ModelWrapper):
        """Try each rule; FINN repeats this until nothing changes."""
        before = content(model.model)
        model = self._move(model)
        if content(model.model) == before:
            model = model.transform(AveragesToPools())
        return model, content(model.model) != before

    @staticmethod
    def _move(model: ModelWrapper) -> ModelWrapper:
        for step in (
            SeparateOperands(),
            # a scale upstream of a fork moves into each branch, and out of all operands of a join
            MoveLinearPastFork(),
            MovePastJoins(),
            MovePastAverages(),
            # moves on what has come to stand before a layer
            Streamline(),
        ):
            model = model.transform(step)
        return model


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
        # what was concatenated before has its gain
        done, *gains = _gains(node)[:, 0].tolist()
        for (right, shape), gain in zip(streams[1:], gains, strict=True):
            both = [*whole[:-1], whole[-1] + shape[-1]]
            types = [model.get_tensor_datatype(name).name for name in (left, right)]
            left = add(
                "StreamingConcat", [left, right], both, domain="finn.custom_op.fpgadataflow",
                backend="fpgadataflow", SIMD=1, ChannelsPerStream=[whole[-1], shape[-1]],
                inputDataTypes=types, numInputVectors=whole[:-1], inFIFODepths=[2, 2],
                Gains=[done, gain],
            )  # fmt: skip
            getCustomOp(model.find_producer(left)).infer_node_datatype(model)
            whole, done = both, 1
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
            own = gains[node.output[0]]
            if (own != 1).any():
                getCustomOp(node).set_nodeattr(_GAINS, own.ravel().tolist())
        for node in model.get_nodes_by_op_type("ElementwiseMul"):
            node.op_type = "MultiplyStreams"
        return model.transform(InferDataTypes()), False
