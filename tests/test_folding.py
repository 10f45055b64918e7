"""Folding: the target is reached with the fewest multipliers, and the default fits a network."""

import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from flow.compile.folding import MULTIPLIERS, FoldChain, default_cycles


@pytest.fixture
def graph(accelerator) -> ModelWrapper:
    assert accelerator.golden_model()
    return ModelWrapper(str(accelerator.hardware_graph))


def units(model):
    return [getCustomOp(node) for node in model.get_nodes_by_op_type("MVAU")]


@pytest.mark.parametrize("cycles", [1, 16, 100, 4096])
def test_every_unit_reaches_the_target_and_no_seam_breaks(graph, cycles):
    folded = graph.transform(FoldChain(cycles))
    for unit in units(folded):
        assert unit.get_exp_cycles() <= cycles
    widths = [
        (getCustomOp(a).get_folded_output_shape()[-1], getCustomOp(b).get_folded_input_shape()[-1])
        for a, b in zip(folded.graph.node, list(folded.graph.node)[1:], strict=False)
        if "WidthConverter" not in a.op_type + b.op_type
    ]
    assert widths and all(before == after for before, after in widths)


def test_fewer_cycles_need_more_multipliers(graph):
    spent = []
    for cycles in (16, 64, 256):
        chosen = units(graph.transform(FoldChain(cycles)))
        spent.append(sum(u.get_nodeattr("PE") * u.get_nodeattr("SIMD") for u in chosen))
    assert spent[0] > spent[1] > spent[2]


def test_default_stays_within_its_multipliers_for_a_large_network(graph):
    for unit in units(graph):
        unit.set_nodeattr("MW", 1024)
        unit.set_nodeattr("MH", 1024)
    assert default_cycles(graph) == 4 * 1024 * 1024 // MULTIPLIERS["dsp"]
    for unit in units(graph):
        unit.set_nodeattr("resType", "lut")
    assert default_cycles(graph) == 4 * 1024 * 1024 // MULTIPLIERS["lut"]
