"""Application of a user's folding file to a folded graph."""

import json
from collections.abc import Iterator
from typing import Any

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from flow.compiler.folding.target import DEFAULTS, Nodes, wanted
from flow.compiler.folding.windows import GENERATOR, follow, input_lanes
from flow.errors import UserError, unknown
from flow.golden.units import (
    common_simd,
    is_unit,
    matrix_size,
    operator_kind,
    tile_lengths,
)

_CHOICES = {
    "resType": ("auto", "lut", "dsp"),
    "ram_style": ("auto", "block", "distributed", "ultra"),
}


def apply(model: ModelWrapper, nodes: Nodes) -> None:
    """Apply the values of a folding file to a folded graph.

    A generator that the file does not name follows the unit that it feeds.

    Raises:
        UserError: an unknown node or attribute, or a value that does not fit; the message names the
            node, the value and the legal ones.
    """
    names = [node.name for node in model.graph.node]
    for name in nodes:
        if name != DEFAULTS and name not in names:
            raise unknown("node in the folding", name, names)
    for node in model.graph.node:
        operator = getCustomOp(node)
        entry = wanted(nodes, node.name, node.op_type.removesuffix("_rtl"))
        legal = _attributes(operator)
        named = nodes.get(node.name, {})
        for attribute, value in entry.items():
            if attribute not in legal:
                if attribute in named:
                    raise unknown(f"attribute of node {node.name} in the folding", attribute, legal)
                # a default for all nodes applies to those with this attribute
                continue
            _check(node.name, operator, attribute, value)
            if attribute != "resType":
                operator.set_nodeattr(attribute, value)
    for generator, consumer in _generators(model):
        unit = getCustomOp(consumer)
        name, lanes = input_lanes(unit)
        said = generator.get_nodeattr("SIMD")
        follow(generator, unit)
        if "SIMD" in wanted(nodes, generator.onnx_node.name, GENERATOR):
            generator.set_nodeattr("SIMD", said)
        if generator.get_nodeattr("depthwise") and generator.get_nodeattr("SIMD") != lanes:
            raise UserError(
                f"node {generator.onnx_node.name}: SIMD is {generator.get_nodeattr('SIMD')}, but "
                f"{consumer.name}, which it feeds, has {name} {lanes}: give both the same"
            )


def _attributes(operator) -> list[str]:
    """Return the attributes of a node that a folding may set."""
    have = operator.get_nodeattr_types()
    names = ["PE", "SIMD", *_CHOICES]
    if operator.onnx_node.op_type.startswith(GENERATOR):
        # its other attributes determine the order of its streams
        names = ["SIMD", "ram_style"]
    return [name for name in names if name in have]


def _check(name: str, operator, attribute: str, value: Any) -> None:
    """Raise a UserError if a value is not legal."""
    choices = _CHOICES.get(attribute)
    if choices is not None:
        if value not in choices:
            raise UserError(f"node {name}: {attribute} is {value!r}: give {' or '.join(choices)}")
        return
    size, what = _whole(operator, attribute)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1 or size % value:
        divisors = ", ".join(str(d) for d in range(1, size + 1) if size % d == 0)
        raise UserError(
            f"node {name}: {attribute} is {json.dumps(value)}, which does not divide its {size} "
            f"{what}: give one of {divisors}"
        )
    lengths = tile_lengths(operator) if is_unit(operator.onnx_node) else [value]
    if attribute == "SIMD" and any(length % value for length in lengths):
        each = common_simd(operator)
        fits = max(d for d in range(1, value) if each % d == 0)
        rows = max(1, round(lengths[0] / value)) * value
        raise UserError(
            f"node {name}: SIMD is {value}, which does not divide its tiles of "
            f"{' and '.join(map(str, sorted(set(lengths), reverse=True)))} rows: give SIMD {fits}, "
            f"or ROWS={rows}"
        )


def _whole(operator, attribute: str) -> tuple[int, str]:
    """Return the number that an attribute must divide, and what it counts."""
    if is_unit(operator.onnx_node):
        width, height = matrix_size(operator)
        depth_wise = operator_kind(operator.onnx_node) == "VVAU"
        if attribute == "PE":
            return height, "channels" if depth_wise else "rows"
        return width, "places of a window" if depth_wise else "elements of a row"
    if operator.onnx_node.op_type.startswith(GENERATOR):
        return operator.get_nodeattr("IFMChannels"), "channels"
    return int(operator.get_normal_input_shape()[-1]), "channels"


def _generators(model: ModelWrapper) -> Iterator[tuple[Any, Any]]:
    """Yield each sliding-window generator and its consumer."""
    for node in model.graph.node:
        if node.op_type.startswith(GENERATOR):
            yield getCustomOp(node), model.find_consumer(node.output[0])
