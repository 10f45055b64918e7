"""Domains of operators, old and new."""

from pathlib import Path

import onnx
from onnx import helper

from flow.errors import UserError
from flow.models.qonnx.tidy.edits import CUSTOM, QUANTISERS, attribute

CHANNELS_LAST = "qonnx.custom_op.channels_last"
_ONNX = ("", "ai.onnx")
_OLD = (CUSTOM, "finn.custom_op.general", "onnx.brevitas", "finn", *_ONNX)
"""Domains that the quantisers have had."""
_LAST = ("Conv", "MaxPool", "BatchNormalization")
_SUBGRAPHS = ("If", "Loop", "Scan")


def unify(proto: onnx.ModelProto, path: Path) -> None:
    """Give every operator the domain that it has today, in place.

    qonnx imports the module that a domain names, so no other domain is let through.

    Raises:
        UserError: an operator is of another domain.
    """
    for node in proto.graph.node:
        kind = "Quant" if node.op_type == "IntQuant" else node.op_type
        if kind in (*QUANTISERS, "Trunc") and node.domain in _OLD:
            node.op_type, node.domain = kind, CUSTOM
        elif node.domain == CHANNELS_LAST and kind in _LAST:
            continue
        elif node.domain in _ONNX and kind not in _SUBGRAPHS:
            node.domain = ""
        else:
            said = f"node {node.name or kind} ({kind})"
            raise UserError(
                f"{path}: {said} is of the domain '{node.domain}', which is not supported: use "
                "operators of ONNX, and QONNX's quantisers"
            )
    _put_channels_first(proto)
    _declare(proto)


def _put_channels_first(proto: onnx.ModelProto) -> None:
    """Write operators on [N, H, W, C] as the usual ones between transpositions."""
    nodes = []
    for node in proto.graph.node:
        if node.domain != CHANNELS_LAST:
            nodes.append(node)
            continue
        rank = 2 + len(attribute(node, "kernel_shape", [1, 1]))
        first, last = [0, rank - 1, *range(1, rank - 1)], [0, *range(2, rank), 1]
        node.domain = ""
        output = node.output[0]
        turned = [0, 1] if node.op_type == "Conv" else [0]
        for index in turned:
            name = f"{output} {index} channels first"
            nodes.append(helper.make_node("Transpose", [node.input[index]], [name], perm=first))
            node.input[index] = name
        node.output[0] = f"{output} channels first"
        nodes.append(node)
        nodes.append(helper.make_node("Transpose", [node.output[0]], [output], perm=last))
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def _declare(proto: onnx.ModelProto) -> None:
    """Declare the versions of the operators of each domain, where the file does not."""
    found = {entry.domain: entry.version for entry in proto.opset_import}
    version = found.get("", found.get("ai.onnx"))
    if version is None:
        # until 12 the axes were attributes
        moved = ("Squeeze", "Unsqueeze", "ReduceMean")
        old = any(
            node.op_type in moved and attribute(node, "axes") is not None
            for node in proto.graph.node
        )
        version = 11 if old else 13
    del proto.opset_import[:]
    proto.opset_import.append(helper.make_opsetid("", version))
    proto.opset_import.append(helper.make_opsetid(CUSTOM, 1))
