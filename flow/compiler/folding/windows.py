"""Sliding-window generators, whose folding follows that of the node they feed."""

import math

from flow.golden.units import matrix_size, operator_kind

GENERATOR = "ConvolutionInputGenerator"
"""FINN's operator, without its variant."""


def input_lanes(operator) -> tuple[str, int]:
    """Return the attribute that sets how many channels a node takes at a time, and its value.

    A matrix-vector unit takes SIMD channels of a window; a depth-wise unit or a pool PE of them.
    """
    by_simd = (
        operator_kind(operator.onnx_node) != "VVAU" and "SIMD" in operator.get_nodeattr_types()
    )
    name = "SIMD" if by_simd else "PE"
    return name, operator.get_nodeattr(name)


def follow(generator, consumer) -> None:
    """Set a generator's lanes to those of the node it feeds, as far as its channels allow.

    If a depth-wise unit takes all places of a window at a time, the generator gives them so.
    """
    _, lanes = input_lanes(consumer)
    generator.set_nodeattr("SIMD", math.gcd(lanes, generator.get_nodeattr("IFMChannels")))
    if operator_kind(consumer.onnx_node) == "VVAU":
        places, _ = matrix_size(consumer)
        whole = consumer.get_nodeattr("SIMD") == places > 1
        generator.set_nodeattr("parallel_window", int(whole))
