"""Model of the simulation time of a folded graph, in nanoseconds per clock and per image.

Each clock has a cost per node, busy or idle; a busy node adds a cost that depends on its work.
``python -m flow.experiments.benchmarks.node_costs`` measures each node of a compiled accelerator
alone and fits ``COSTS``; the values here are from CNV-w2a2, and those of VVAU from units of 1 to 80
products per clock. A whole network takes longer because its nodes share the caches, but by a
similar factor at every folding: a CNV of width 16 took 2.9, 2.4 and 2.4 times the modelled time at
8,192, 14,400 and 28,800 cycles per image.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from flow.golden.units import is_unit, planes, tile_lengths

Entry = Mapping[str, Any]
"""A node's entry in the manifest."""

CLOCK_NS = 35.0
"""Nanoseconds per clock of a model without nodes."""
IDLE_NS = 6.7
"""Nanoseconds per clock of an idle node."""
DSP_NS = 6.4
"""Nanoseconds per clock of a multiplier of FINN's DSP unit, used or not."""
COSTS: dict[str, tuple[float, float]] = {
    "MVAU": (4.6, 0.62),
    "VVAU": (0.0, 0.72),
    "ConvolutionInputGenerator": (2.6, 5.6),
    "NoiseTap": (15.0, 2.5),
    "Thresholding": (10.0, 1.6),
    "Pool": (3.6, 3.4),
    "StreamingDataWidthConverter": (0.0, 0.66),
}
"""Nanoseconds per clock of a busy node beyond an idle one: a constant, and per unit of `work`."""
OTHERS = (5.0, 2.0)
"""Costs of every other kind of node, as in `COSTS`."""


def describe(operator) -> dict[str, Any]:
    """Describe a node of FINN's graph: name, operator, folding, streams and cycles per image.

    Inputs and outputs are named after the top's streams, or after weights and thresholds.
    """
    node = operator.onnx_node
    folding = {
        name: operator.get_nodeattr(name)
        for name in ("PE", "SIMD", "resType", "depth", "Cores", "Sources", "DigestLanes")
        if name in operator.get_nodeattr_types()
    }
    if is_unit(node):
        folding["weight_type"] = operator.get_input_datatype(1).name
        folding["tiles"] = len(tile_lengths(operator))
        folding["planes"] = planes(operator).count
    return {
        "name": node.name,
        "operator": node.op_type,
        **folding,
        "inputs": list(node.input),
        "outputs": list(node.output),
        "folded_input": [int(n) for n in operator.get_folded_input_shape()],
        "folded_output": [int(n) for n in operator.get_folded_output_shape()],
        "input_type": operator.get_input_datatype(0).name,
        "output_type": operator.get_output_datatype().name,
        "cycles": int(operator.get_exp_cycles()),
    }


def kind(entry: Entry) -> str:
    """Return a node's operator without its variant."""
    return entry["operator"].removesuffix("_rtl")


def work(entry: Entry) -> float:
    """Return the work of a node per clock, in the unit of its ``COSTS``.

    A LUT unit counts bits of 64-bit words, or looks up sums in a table, and reads its weights; a
    depth-wise unit takes a step for each bit of a product's narrower operand, and one more;
    generators and converters move 64-bit words; other nodes process elements.
    """
    lanes = max(entry["folded_input"][-1], entry["folded_output"][-1])
    bits = max(_bits(entry["input_type"]), _bits(entry["output_type"]))
    match kind(entry):
        case "MVAU":
            pe, simd = entry["PE"], entry["SIMD"]
            weight = _bits(entry["weight_type"])
            activation = -(-_bits(entry["input_type"]) // entry.get("planes", 1))
            each = min(-(-simd // 64) * activation, -(-simd // 4))
            return pe * (1 + weight * each) + pe * simd * weight / 64
        case "VVAU":
            bits = min(_bits(entry["weight_type"]), _bits(entry["input_type"]))
            return entry["PE"] * entry["SIMD"] * (1 + bits)
        case "ConvolutionInputGenerator" | "StreamingDataWidthConverter":
            return lanes * bits / 64
        case "Thresholding":
            return lanes * (2 ** _bits(entry["output_type"]) - 1)
    return lanes


def clocks_at_work(entry: Entry) -> int:
    """Return the number of clocks per image in which a node is busy."""
    beats = [1, 1]
    for place, shape in enumerate(("folded_input", "folded_output")):
        for side in entry[shape][:-1]:
            beats[place] *= side
    return max(entry["cycles"], *beats)


def nanoseconds(entries: Iterable[Entry]) -> float:
    """Return the modelled nanoseconds per image with a full pipeline."""
    entries = list(entries)
    idle = CLOCK_NS + IDLE_NS * len(entries)
    busy = 0.0
    for entry in entries:
        if entry.get("resType") == "dsp":
            idle += DSP_NS * entry["PE"] * entry["SIMD"]
            continue
        fixed, each = COSTS.get(kind(entry), OTHERS)
        busy += clocks_at_work(entry) * (fixed + each * work(entry))
    return max(clocks_at_work(entry) for entry in entries) * idle + busy


def _bits(datatype: str) -> int:
    named = {"BIPOLAR": 1, "BINARY": 1, "TERNARY": 2}
    return named[datatype] if datatype in named else int(re.sub(r"\D", "", datatype))
