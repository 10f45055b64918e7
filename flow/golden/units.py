"""Units: the nodes of FINN's graph that multiply a stream by weights."""

import math

import numpy.typing as npt

from flow.models.planes import WHOLE, Planes

UNITS = ("MVAU", "VVAU")
"""FINN's matrix-vector unit, and its vector-vector unit for depth-wise convolutions."""


def operator_kind(node) -> str:
    """Return a node's operator without its variant."""
    return node.op_type.removesuffix("_rtl")


def is_unit(node) -> bool:
    """Whether a node multiplies a stream by weights."""
    return operator_kind(node) in UNITS


def matrix(weights: npt.NDArray) -> npt.NDArray:
    """Return a unit's weights, [MW, MH] or [C, 1, K_H, K_W], as a matrix [MW, MH].

    For a depth-wise convolution, MW counts the places of a window, and MH the channels.
    """
    return weights if weights.ndim == 2 else weights.reshape(len(weights), -1).T


def matrix_size(operator) -> tuple[int, int]:
    """Return MW and MH of a unit: weights of an output, and outputs."""
    if operator_kind(operator.onnx_node) == "MVAU":
        return operator.get_nodeattr("MW"), operator.get_nodeattr("MH")
    height, width = operator.get_nodeattr("Kernel")
    return height * width, operator.get_nodeattr("Channels")


def tile_lengths(operator) -> list[int]:
    """Return how many of a unit's MW rows each tile covers: all of them without tiles."""
    width, _ = matrix_size(operator)
    rows = operator.get_nodeattr("Rows") if "Rows" in operator.get_nodeattr_types() else 0
    return [min(rows, width - first) for first in range(0, width, rows)] if rows else [width]


def planes(operator) -> Planes:
    """Return the planes of a unit's activations, each with a pass; one by default."""
    names = ("PlaneBits", "Planes")
    if not set(names) <= operator.get_nodeattr_types().keys():
        return WHOLE
    return Planes(*(operator.get_nodeattr(name) for name in names))


def partial_sums(operator) -> int:
    """Return how many sums a unit gives for each of its outputs: one a plane and tile."""
    return planes(operator).count * len(tile_lengths(operator))


def common_simd(operator) -> int:
    """Return the row counts that a unit's SIMD must divide: of its tiles, or all rows."""
    return math.gcd(*tile_lengths(operator))
