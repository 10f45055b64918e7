"""Folding: the target is reached with the fewest multipliers, or the user's own is taken."""

import json
import re

import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from flow.compiler.accelerator import FPGA_PART
from flow.compiler.folding import cost
from flow.compiler.folding.fold import (
    MULTIPLIERS,
    FoldChain,
    check_reached,
    default_cycles,
    fewest_cycles,
)
from flow.compiler.folding.matrix_units import ChooseUnits
from flow.compiler.folding.target import Target, read
from flow.compiler.pipeline import _to_hardware_layers
from flow.errors import UserError
from flow.models.quantised import LeNet5


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
    assert fewest_cycles(graph) == 4 * 1024 * 1024 // MULTIPLIERS["dsp"]
    for unit in units(graph):
        unit.set_nodeattr("resType", "lut")
    assert fewest_cycles(graph) == 4 * 1024 * 1024 // MULTIPLIERS["lut"]


@pytest.fixture(scope="module")
def convolutions(tmp_path_factory) -> ModelWrapper:
    """A convolutional graph of RTL nodes, as folding meets it."""
    network = LeNet5("lenet5-w4a4", (16, 16, 1), 10, weight_bits=4, act_bits=4)
    model, _ = _to_hardware_layers(network, tmp_path_factory.mktemp("lenet5"))
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers

    for node in model.graph.node:
        getCustomOp(node).set_nodeattr("preferred_impl_style", "rtl")
    return model.transform(ChooseUnits("lut")).transform(SpecializeLayers(FPGA_PART))


def node(model: ModelWrapper, name: str):
    return getCustomOp(next(n for n in model.graph.node if n.name == name))


@pytest.mark.slow
def test_a_folding_file_goes_before_the_default(convolutions):
    defaults = convolutions.transform(FoldChain())
    asked = {
        "Defaults": {"PE": [2, ["Thresholding", "LabelSelect_rtl"]]},
        "MVAU_rtl_1": {"PE": 8, "SIMD": 50, "resType": "lut", "ram_style": "block"},
        "MVAU_rtl_2": {"SIMD": 4},
        "LabelSelect_rtl_0": {"PE": 5},
    }
    folded = convolutions.transform(FoldChain(None, asked))
    unit = node(folded, "MVAU_rtl_1")
    assert [unit.get_nodeattr(a) for a in ("PE", "SIMD", "ram_style")] == [8, 50, "block"]
    assert node(folded, "MVAU_rtl_2").get_nodeattr("SIMD") == 4
    assert node(folded, "MVAU_rtl_2").get_nodeattr("PE") == node(
        defaults, "MVAU_rtl_2"
    ).get_nodeattr("PE")
    assert node(folded, "Thresholding_rtl_0").get_nodeattr("PE") == 2
    assert node(folded, "LabelSelect_rtl_0").get_nodeattr("PE") == 5
    # six channels in front of a unit that takes 50 elements: the widest beat that fits both
    feeding = folded.find_producer(unit.onnx_node.input[0])
    while "ConvolutionInputGenerator" not in feeding.op_type:
        feeding = folded.find_producer(feeding.input[0])
    assert getCustomOp(feeding).get_nodeattr("SIMD") == 2


REFUSED = {
    "rows": ({"MVAU_rtl_1": {"PE": 3}}, "MVAU_rtl_1: PE is 3.* its 16 rows: give one of 1, 2, 4"),
    "elements": ({"MVAU_rtl_0": {"SIMD": 4}}, "MVAU_rtl_0: SIMD is 4.* its 25 elements .* 1, 5"),
    "lanes": ({"LabelSelect_rtl_0": {"PE": 4}}, "LabelSelect_rtl_0: PE is 4.* 10 channels.* 1, 2"),
    "nothing": ({"MVAU_rtl_1": {"PE": 0}}, "MVAU_rtl_1: PE is 0"),
    "text": ({"MVAU_rtl_1": {"PE": "4"}}, 'MVAU_rtl_1: PE is "4"'),
    "truth": ({"MVAU_rtl_1": {"PE": True}}, "MVAU_rtl_1: PE is true"),
    "generator": (
        {"ConvolutionInputGenerator_rtl_2": {"SIMD": 4}},
        "ConvolutionInputGenerator_rtl_2: SIMD is 4.* 6 channels: give one of 1, 2, 3, 6",
    ),
    "pooling": (
        {"ConvolutionInputGenerator_rtl_1": {"SIMD": 3}, "Pool_rtl_0": {"PE": 2}},
        "ConvolutionInputGenerator_rtl_1: SIMD is 3, but Pool_rtl_0, .* has PE 2: give both",
    ),
    "default": ({"Defaults": {"PE": [7, ["MVAU"]]}}, "MVAU_rtl_0: PE is 7"),
    "form of a default": ({"Defaults": {"PE": 7}}, "default of PE is 7: it must look like"),
    "attribute": ({"MVAU_rtl_0": {"SIMT": 5}}, "attribute of node MVAU_rtl_0 .* 'SIMT': .* SIMD"),
    "an attribute that is the layer's": ({"MVAU_rtl_0": {"MW": 5}}, "attribute of node MVAU_rtl_0"),
    "a generator's": (
        {"ConvolutionInputGenerator_rtl_0": {"PE": 1}},
        "attribute of node ConvolutionInputGenerator_rtl_0 .* 'PE'",
    ),
    "node": ({"MVAU_rtl_9": {"PE": 1}}, "unknown node in the folding 'MVAU_rtl_9': .* MVAU_rtl_"),
    "unit": (
        {"MVAU_rtl_0": {"resType": "bram"}},
        "MVAU_rtl_0: resType is 'bram': give auto",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("nodes", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_folding_that_does_not_fit_names_node_value_and_legal_values(
    convolutions, nodes, message
):
    with pytest.raises(UserError) as refused:
        convolutions.transform(FoldChain(None, nodes))
    assert re.search(message, str(refused.value)), refused.value


def test_units_are_chosen_by_width_and_by_the_file(graph):
    first = getCustomOp(graph.get_nodes_by_op_type("MVAU")[0])
    chosen = graph.transform(ChooseUnits("lut", {"MVAU_rtl_1": {"resType": "dsp"}}))
    types = [getCustomOp(n).get_nodeattr("resType") for n in chosen.graph.node if "MVAU" in n.name]
    assert types == ["lut", "dsp", "lut", "lut"]
    first.set_nodeattr("inputDataType", "INT17")
    chosen = graph.transform(ChooseUnits("lut"))
    assert getCustomOp(chosen.get_nodes_by_op_type("MVAU")[0]).get_nodeattr("resType") == "dsp"
    with pytest.raises(UserError, match=r"MVAU_rtl_0: .* is lut, .* 17 and 2 bits: .* up to 16"):
        graph.transform(ChooseUnits("lut", {"MVAU_rtl_0": {"resType": "lut"}}))
    first.set_nodeattr("inputDataType", "BIPOLAR")
    with pytest.raises(UserError, match="MVAU_rtl_0: activations of 1 and weights of 2 bits"):
        graph.transform(ChooseUnits("dsp"))


def test_a_frame_rate_is_cycles_of_the_clock(convolutions):
    target = Target(fps=20_000)
    assert target.most_cycles == 10_000
    check_reached(convolutions.transform(FoldChain(target.most_cycles)), target)
    fast = Target(fps=10_000_000)
    # windows come pixel by pixel, however many multipliers there are
    with pytest.raises(UserError, match=r"cannot be reached: node Conv\w+_rtl_\d takes \d+ cycles"):
        check_reached(convolutions.transform(FoldChain(fast.most_cycles)), fast)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"cycles": 5, "fps": 3.0}, "cycles and fps are given"),
        ({"cycles": 5, "nodes": {}}, "cycles and folding are given"),
        ({"cycles": 0}, "cycles is 0"),
        ({"fps": 0.0}, "fps is 0"),
        ({"fps": float("nan")}, "fps is nan"),
        ({"fps": 1e9}, "at most"),
    ],
)
def test_targets_that_cannot_be(target, message):
    with pytest.raises(UserError, match=message):
        Target(**target)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not JSON"), ("[1]", "holds no object"), ('{"MVAU_rtl_0": 4}', "node MVAU_rtl_0: 4")],
)
def test_files_that_cannot_be_read(text, message, tmp_path):
    path = tmp_path / "folding.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read(path)
    with pytest.raises(UserError, match=r"cannot read .*: No such file"):
        read(tmp_path / "nowhere.json")


def test_a_file_is_read_as_finn_reads_it(tmp_path):
    content = {"Defaults": {}, "MVAU_rtl_0": {"PE": 2, "SIMD": 4}}
    path = tmp_path / "folding.json"
    path.write_text(json.dumps(content))
    assert read(path) == content


def modelled(model: ModelWrapper) -> float:
    return cost.nanoseconds(cost.describe(getCustomOp(n)) for n in model.graph.node)


def test_the_default_is_the_cheapest_of_many_targets(convolutions):
    """With the converters that FINN puts in, which the search only foresees."""
    best = modelled(convolutions.transform(FoldChain()))
    others = [modelled(convolutions.transform(FoldChain(c))) for c in (700, 3000, 9000, 30000)]
    assert best <= min(others)


@pytest.mark.parametrize(("clock", "cheapest"), [(0.0, max), (1e6, min)])
def test_the_search_weighs_clocks_against_work(convolutions, monkeypatch, clock, cheapest):
    """Where a clock costs nothing, narrow nodes win; where it costs much, few clocks do."""
    monkeypatch.setattr(cost, "CLOCK_NS", clock)
    monkeypatch.setattr(cost, "IDLE_NS", 0.0)
    # of a beat's width, more than in proportion
    monkeypatch.setattr(cost, "work", lambda entry: entry["folded_output"][-1] ** 3)
    found = default_cycles(convolutions)
    assert cheapest(found, 5000) == found


def test_work_of_a_unit():
    unit = {
        "operator": "MVAU_rtl", "PE": 16, "SIMD": 64, "weight_type": "INT2", "input_type": "UINT2",
        "output_type": "INT11", "folded_input": [9, 64], "folded_output": [4, 16], "cycles": 36,
    }  # fmt: skip
    # 2 · 2 counts of 64 bits a row, its sum, and 2048 bits of weights
    assert cost.work(unit) == 16 * 5 + 32
    assert cost.work(unit | {"SIMD": 3, "input_type": "INT8"}) == 16 * 3 + 1.5
    assert cost.clocks_at_work(unit) == 36
    # each product takes a step for each bit of the narrower operand
    assert cost.work(unit | {"operator": "VVAU_rtl", "SIMD": 9, "input_type": "INT8"}) == 144 * 3
    # a unit of DSP slices costs something in every clock
    dsp = cost.nanoseconds([unit | {"resType": "dsp"}])
    assert dsp == 36 * (cost.CLOCK_NS + cost.IDLE_NS + cost.DSP_NS * 1024)
