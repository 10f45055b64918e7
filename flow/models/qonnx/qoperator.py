"""Networks of onnxruntime's quantised operators (QOperator), such as QLinearConv.

Each is written as what it means: the usual operator on real values, and a pair of QuantizeLinear
and DequantizeLinear behind it. Operators that pass quantised values on pass real ones.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from flow.models.qonnx.tidy.edits import attribute

_PREFIX = "QLinear"
_PLAIN = {"QGemm": "Gemm"}
"""Operator on real values of those that are not named after it."""
_LAYERS = ("Conv", "MatMul", "Gemm")
_OPERANDS = {"Conv": 2, "MatMul": 2, "Gemm": 2, "Add": 2, "Mul": 2}
"""Operands of an operator that has more than one."""
_PASSING = (
    "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Slice", "Split", "Squeeze",
    "Transpose", "Unsqueeze",
)  # fmt: skip


def to_pairs(proto: onnx.ModelProto) -> None:
    """Replace quantised operators by usual ones and pairs that quantise, in place."""
    if not any(_plain(node) for node in proto.graph.node):
        return
    rewriter = _Rewriter(proto.graph)
    for node in proto.graph.node:
        rewriter.add(node)
    del proto.graph.node[:], proto.graph.value_info[:]
    proto.graph.node.extend(rewriter.nodes)


def _plain(node: NodeProto) -> str:
    """Return the operator on real values of a quantised one; nothing for others."""
    if node.op_type.startswith(_PREFIX):
        return node.op_type.removeprefix(_PREFIX)
    return _PLAIN.get(node.op_type, "")


class _Rewriter:
    """Nodes in the making, in the order of the data flow."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.constants = {one.name: one for one in graph.initializer}
        self.graph = graph
        self.nodes: list[NodeProto] = []
        self.real: dict[str, str] = {}
        """Stream of the real values of each stream of quantised ones."""

    def add(self, node: NodeProto) -> None:
        """Append what a node becomes."""
        if node.op_type == "Constant" and (value := attribute(node, "value")) is not None:
            self.constants[node.output[0]] = value
        operator = _plain(node)
        if operator == "Concat":
            scale, zero, *given = node.input
            streams = [self._real(*given[n : n + 3]) for n in range(0, len(given), 3)]
            self._append(node, operator, streams, scale, zero)
        elif operator:
            self._arithmetic(node, operator)
        elif node.op_type == "QuantizeLinear":
            self._quantise(*node.input, output=node.output[0])
        elif node.op_type == "DequantizeLinear" and node.input[0] in self.real:
            self.nodes.append(helper.make_node("Identity", [self.real[node.input[0]]], node.output))
        elif node.op_type in _PASSING and node.input[0] in self.real:
            node.input[0] = self.real[node.input[0]]
            for index, name in enumerate(node.output):
                node.output[index] = self.real[name] = f"{name} in reals"
            self.nodes.append(node)
        else:
            self.nodes.append(node)

    def _arithmetic(self, node: NodeProto, operator: str) -> None:
        """Append an operator on triples of values, their scale and their zero point."""
        given = [*node.input]
        count = _OPERANDS.get(operator, 1)
        axis = 0 if operator == "Conv" or attribute(node, "transB", 0) else 1
        triples = [given[3 * n : 3 * n + 3] for n in range(count)]
        streams = [self._real(name, *how, axis=axis) for name, *how in triples]
        rest = given[3 * count :]
        # a convolution has its bias at the end, a Gemm before the scale of its output
        bias = ""
        if operator == "Conv" and len(rest) > 2:
            bias = rest.pop()
        elif operator == "Gemm" and rest:
            bias = rest.pop(0)
        if operator in _LAYERS and bias:
            streams.append(self._bias(bias, given[1], given[4]))
        self._append(node, operator, streams, *rest[:2])

    def _append(self, node: NodeProto, operator: str, streams: Sequence[str], *how: str) -> None:
        """Append an operator, and its quantiser if it has a scale, and a zero point."""
        output = node.output[0]
        plain = helper.make_node(operator, streams, [f"{output} before"], name=node.name)
        plain.attribute.extend(one for one in node.attribute if one.name != "channels_last")
        self.nodes.append(plain)
        if how and how[0]:
            self._quantise(plain.output[0], *how, output=output)
        else:
            plain.output[0] = output

    def _quantise(self, stream: str, scale: str, zero: str = "", *, output: str) -> None:
        """Append a quantiser of a stream, and the way back to real values."""
        how = [scale, zero] if zero else [scale]
        self.real[output] = f"{output} in reals"
        self.nodes += [
            helper.make_node("QuantizeLinear", [stream, *how], [output]),
            helper.make_node("DequantizeLinear", [output, *how], [self.real[output]]),
        ]

    def _real(self, name: str, *how: str, axis: int = 1) -> str:
        """Return the real values of a quantised stream, or of a constant."""
        if name in self.real:
            return self.real[name]
        output = f"{name} of {len(self.nodes)}"
        self.nodes.append(helper.make_node("DequantizeLinear", [name, *how], [output], axis=axis))
        return output

    def _bias(self, name: str, *scales: str) -> str:
        """Return the real values of a bias, whose scale is the product of a layer's operands'."""
        values, left, right = (
            numpy_helper.to_array(self.constants[one]) for one in (name, *scales)
        )
        output = f"{name} of {len(self.nodes)}"
        real = (values * (left * right).ravel()).astype(np.float32)
        self.graph.initializer.append(numpy_helper.from_array(real, output))
        return output
