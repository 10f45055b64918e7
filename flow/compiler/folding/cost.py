"""How long a folded graph takes to simulate, modelled: nanoseconds of a clock and of an image.

A clock costs something for each node, at work or not; a node at work costs more by what it works
on. ``python -m flow.experiments.benchmarks.node_costs`` measures the nodes of a compiled
accelerator, each alone, and fits ``COSTS`` anew; the ones here are of CNV-w2a2. A whole network
takes longer, as its nodes share the caches, but alike at every folding: a CNV of width 16 took 2.9,
2.4 and 2.4 times the model's time at 8,192, 14,400 and 28,800 cycles an image.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

Entry = Mapping[str, Any]
"""A node as the manifest describes it."""

CLOCK_NS = 35.0
"""Of a model without nodes."""
IDLE_NS = 6.7
"""Of a node that does nothing, a clock."""
DSP_NS = 6.4
"""Of a multiplier of FINN's DSP unit, in every clock, used or not."""
COSTS: dict[str, tuple[float, float]] = {
    "MVAU": (4.6, 0.62),
    "ConvolutionInputGenerator": (2.6, 5.6),
    "NoiseTap": (15.0, 2.5),
    "Thresholding": (10.0, 1.6),
    "Pool": (3.6, 3.4),
    "StreamingDataWidthConverter": (0.0, 0.66),
}
"""Nanoseconds of a node at work, a clock, above an idle one: fixed, and by ``work``."""
OTHERS = (5.0, 2.0)
"""The same for every other node."""


def describe(operator) -> dict[str, Any]:
    """Describe a node of FINN's graph: name, operator, folding, streams and cycles of an image.

    The names of inputs and outputs are those of the top's streams, or of weights and thresholds.
    """
    node = operator.onnx_node
    folding = {
        name: operator.get_nodeattr(name)
        for name in ("PE", "SIMD", "resType", "depth")
        if name in operator.get_nodeattr_types()
    }
    if node.op_type.startswith("MVAU"):
        folding["weight_type"] = operator.get_input_datatype(1).name
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
    """Return what a node works on in a clock, in the unit of its ``COSTS``.

    A LUT unit counts words of 64 bits, or picks sums from a table, and reads its weights; a
    generator and a converter move words of 64 bits; the others work on elements.
    """
    lanes = max(entry["folded_input"][-1], entry["folded_output"][-1])
    bits = max(_bits(entry["input_type"]), _bits(entry["output_type"]))
    match kind(entry):
        case "MVAU":
            pe, simd = entry["PE"], entry["SIMD"]
            weight, activation = _bits(entry["weight_type"]), _bits(entry["input_type"])
            each = min(-(-simd // 64) * activation, -(-simd // 4))
            return pe * (1 + weight * each) + pe * simd * weight / 64
        case "ConvolutionInputGenerator" | "StreamingDataWidthConverter":
            return lanes * bits / 64
        case "Thresholding":
            return lanes * (2 ** _bits(entry["output_type"]) - 1)
    return lanes


def clocks_at_work(entry: Entry) -> int:
    """Return in how many clocks of an image a node does something."""
    beats = [1, 1]
    for place, shape in enumerate(("folded_input", "folded_output")):
        for side in entry[shape][:-1]:
            beats[place] *= side
    return max(entry["cycles"], *beats)


def nanoseconds(entries: Iterable[Entry]) -> float:
    """Return the modelled nanoseconds of one image, the pipeline full."""
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
