"""Generation of folded RTL from FINN's graph of hardware layers with taps."""

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from finn.transformation.fpgadataflow.minimize_weight_bit_width import MinimizeWeightBitWidth
from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames

from flow.compiler.accelerator import CLOCK_NS, FPGA_PART
from flow.compiler.folding.cost import describe
from flow.compiler.folding.fifos import BufferBranches
from flow.compiler.folding.fold import FoldChain, check_reached
from flow.compiler.folding.matrix_units import ChooseUnits
from flow.compiler.folding.taps import SizeGenerators
from flow.compiler.folding.target import Target
from flow.compiler.stitch import stitch
from flow.compiler.weights import SPECIALISED, StoreBits, unit_of
from flow.errors import UserError
from flow.noise.hardware.weights import WeightSite


def generate_rtl(
    model: ModelWrapper, target: Target, mvu: str, weights: Mapping[str, WeightSite], folder: Path
) -> tuple[dict[str, Any], ModelWrapper]:
    """Fold a graph and write its RTL and memories.

    Args:
        model: graph of hardware layers with taps.
        target: target of the folding.
        mvu: ``lut`` or ``dsp``.
        weights: weights in the graph that may be programmed with errors, by site.
        folder: folder for ``rtl/``, ``data/`` and, with such weights, ``specialised.onnx``.

    Returns:
        The manifest's entries, and the specialised graph.

    Raises:
        UserError: a node has no RTL, or cannot be folded as requested.
    """
    for node in model.graph.node:
        getCustomOp(node).set_nodeattr("preferred_impl_style", "rtl")
    for step in (
        ChooseUnits(mvu, target.nodes),
        StoreBits(weights),
        # FINN sets the shapes of generators' streams, and so converters, only for RTL nodes
        SpecializeLayers(FPGA_PART),
        MinimizeWeightBitWidth(),
        # a folding file uses the manifest's names
        GiveUniqueNodeNames(),
        FoldChain(target.most_cycles, target.nodes),
        BufferBranches(),
        SpecializeLayers(FPGA_PART),
        SizeGenerators(),
        GiveUniqueNodeNames(),
        GiveReadableTensorNames(),
        PrepareIP(FPGA_PART, CLOCK_NS),
    ):
        model = model.transform(step)
    check_reached(model, target)
    for node in model.graph.node:
        if not node.op_type.endswith("_rtl"):
            raise UserError(f"node {node.name} became {node.op_type}: it has no RTL variant")
    sources = stitch(model, folder)
    if weights:
        model.save(str(folder / SPECIALISED))
    operators = [getCustomOp(node) for node in model.graph.node]
    nodes = [describe(operator) | {"estimate": _estimate(operator)} for operator in operators]
    *beats, lanes = nodes[0]["folded_input"]
    return {
        "mvu": mvu,
        "input": {
            "bits": model.get_tensor_datatype(model.graph.input[0].name).bitwidth(),
            "elements_a_beat": lanes,
            "beats": math.prod(beats),
        },
        "cycles_per_image": max(node["cycles"] for node in nodes),
        "nodes": nodes,
        "sources": [path.name for path in sources],
        "weights": [
            asdict(replace(site, node=unit_of(model, name).name)) for name, site in weights.items()
        ],
    }, model


def _estimate(operator) -> dict[str, int]:
    """Return FINN's estimate of a node's resources: LUTs, DSP slices, block RAMs of 18 Kbit."""
    found = operator.node_res_estimation(FPGA_PART)
    names = {"LUT": "lut", "DSP": "dsp", "BRAM_18K": "bram"}
    return {ours: math.ceil(found[theirs]) for theirs, ours in names.items()}
