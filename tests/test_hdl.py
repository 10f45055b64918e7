"""The generated top and wrappers against texts in ``references``.

``UPDATE_REFERENCES=1 pytest tests/test_hdl.py`` writes these anew: read the difference before you
commit it.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from flow import hdl
from flow.compiler.finn import register_operators
from flow.errors import Defect, UserError
from flow.experiments.benchmarks import node_costs
from sim.runner import REPOSITORY

REFERENCES = REPOSITORY / "tests" / "references"
WRAPPERS = {
    "AddStreams_rtl_0.sv": "wrapper",
    "DuplicateStreams_rtl_0.sv": "wrapper",
    "MVAU_rtl_0_wrapper.v": "lut_wrapper",
    "NoiseTap_rtl_1.sv": "wrapper",
}
"""Wrappers by their files, and the methods that write them."""


def graph(folder: Path) -> ModelWrapper:
    """Make a graph of one node of every kind that the top treats in its own way.

    A padded stream forks: one branch has a matrix-vector unit and a tap, the other a tap alone.
    The tap that comes first in the graph has the larger number.
    """
    register_operators()

    def node(kind: str, inputs: list[str], outputs: list[str], number: int = 0, **attributes):
        name = f"{kind}_{number}"
        return helper.make_node(
            kind,
            inputs,
            outputs,
            name,
            domain="finn.custom_op.fpgadataflow.rtl",
            backend="fpgadataflow",
            gen_top_module=name,
            **attributes,
        )

    lanes = {"NumChannels": 2, "PE": 2}
    same = {"inputDataType": "INT4", "outputDataType": "INT4"}
    tap = {"FracBits": 8, "Rounds": 1, "OutMin": -8, "OutMax": 7} | lanes
    wide = {"Rounds": 0, "OutMin": -(1 << 15), "OutMax": (1 << 15) - 1, "Offsets": [-3, 2]}
    wide |= {"inputDataType": "INT8", "outputDataType": "INT16"}
    nodes = [
        node(
            "FMPadding_rtl",
            ["images"],
            ["padded"],
            ImgDim=[2, 2],
            Padding=[1, 1, 1, 1],
            NumChannels=2,
            SIMD=2,
            inputDataType="INT4",
        ),
        node(
            "DuplicateStreams_rtl",
            ["padded"],
            ["long", "short"],
            NumOutputStreams=2,
            inputDataType="INT4",
            **lanes,
        ),
        node("NoiseTap_rtl", ["short"], ["term"], 0, SiteName="conv.act", Site=7, **tap, **same),
        node(
            "MVAU_rtl",
            ["long", "weights"],
            ["product"],
            MW=4,
            MH=2,
            PE=2,
            SIMD=2,
            inputDataType="INT4",
            weightDataType="INT2",
            outputDataType="INT8",
            resType="lut",
            noActivation=1,
        ),
        node("NoiseTap_rtl", ["product"], ["noisy"], 1, SiteName="fc.acc", Site=2, **tap | wide),
        node(
            "AddStreams_rtl",
            ["noisy", "term"],
            ["sum"],
            PE=2,
            lhs_shape=[1, 2],
            rhs_shape=[1, 2],
            out_shape=[1, 2],
            lhs_dtype="INT16",
            rhs_dtype="INT4",
            out_dtype="INT17",
        ),
        node(
            "LabelSelect_rtl",
            ["sum"],
            ["labels"],
            Labels=2,
            K=1,
            PE=2,
            inputDataType="INT17",
            outputDataType="UINT8",
        ),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("images", "labels")]
    weights = numpy_helper.from_array(np.ones((4, 2), np.float32), "weights")
    made = helper.make_graph(nodes, "accelerator", ends[:1], ends[1:], [weights])
    return ModelWrapper(helper.make_model(made))


def check(name: str, text: str) -> None:
    path = REFERENCES / name
    if os.environ.get("UPDATE_REFERENCES") == "1":
        path.write_text(text)
    assert text == path.read_text(), "if this is meant, UPDATE_REFERENCES=1 writes the references"


def test_top(tmp_path):
    model = graph(tmp_path)
    from flow.compiler.stitch import top_text

    check("accelerator.sv", top_text(model))


@pytest.mark.parametrize("file", WRAPPERS)
def test_wrapper(file, tmp_path):
    nodes = {node.name: node for node in graph(tmp_path).graph.node}
    operator = getCustomOp(nodes[file.partition(".")[0].removesuffix("_wrapper")])
    check(file, getattr(operator, WRAPPERS[file])())


@pytest.mark.parametrize(
    ("node", "attribute", "value", "error", "message"),
    [
        ("NoiseTap_rtl_0", "Site", 255, UserError, "a tap at site 255.*with fewer layers"),
        (
            "NoiseTap_rtl_1",
            "PE",
            1,
            Defect,
            "product has 16 bits per beat at its producer, 8 at its consumer",
        ),
    ],
)
def test_what_cannot_be_wired(node, attribute, value, error, message, tmp_path):
    model = graph(tmp_path)
    from flow.compiler.stitch import top_text

    nodes = {node.name: node for node in model.graph.node}
    getCustomOp(nodes[node]).set_nodeattr(attribute, value)
    with pytest.raises(error, match=message):
        top_text(model)


def test_nodes_that_stand_alone_have_the_streams_of_the_top(accelerator):
    top = accelerator.sources[-1].read_text()
    entries = node_costs.chosen(accelerator.manifest, [])
    assert entries == accelerator.manifest["nodes"]
    text = node_costs.top_text(entries)
    for number, entry in enumerate(entries):
        ends = {f"source{number}": entry["inputs"][0], f"sink{number}": entry["outputs"][0]}
        for alone, stream in ends.items():
            (width,) = re.findall(rf"logic (\S+) {stream}_data;", top)
            assert f"logic {width} {alone}_data;" in text
    weights = re.findall(r"logic \S+ \w+_weights_data;", top)
    assert weights and weights == re.findall(r"logic \S+ \w+_weights_data;", text)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Pool_rtl_1", "unknown node 'Pool_rtl_1': did you mean Pool_rtl_0"),
        ("Fork_0", "Fork_0 has several streams: choose among .* Pool_rtl_0$"),
        ("Sum_0", "Sum_0 has several streams"),
    ],
)
def test_a_node_that_cannot_stand_alone_is_refused(name, message):
    nodes = [
        {"name": "Fork_0", "inputs": ["a"], "outputs": ["b", "c"]},
        {"name": "Pool_rtl_0", "inputs": ["b"], "outputs": ["d"]},
        {"name": "Sum_0", "inputs": ["c", "d"], "outputs": ["e"]},
    ]
    assert node_costs.chosen({"nodes": nodes}, []) == nodes[1:2]
    with pytest.raises(UserError, match=message):
        node_costs.chosen({"nodes": nodes}, [name])


@dataclass(frozen=True)
class Values:
    width: int


def test_a_template_names_nothing_that_is_not_filled_in(tmp_path):
    (tmp_path / "templates").mkdir()
    path = tmp_path / "templates" / "wire.sv.j2"
    reader = str(tmp_path / "reader.py")
    path.write_text("logic [{{ width - 1 }}:0] wire;\n")
    assert hdl.render(reader, path.name, Values(4)) == "logic [3:0] wire;\n"
    (tmp_path / "templates" / "wrong.sv.j2").write_text("logic [{{ bits - 1 }}:0] wire;\n")
    with pytest.raises(jinja2.UndefinedError, match="'bits' is undefined"):
        hdl.render(reader, "wrong.sv.j2", Values(4))


def test_literals():
    assert hdl.packed([1, -1, 0], 4) == "12'hf1"
    assert [hdl.signed(v, 64) for v in (-5, 0, 7)] == ["-64'sd5", "64'sd0", "64'sd7"]
    assert [hdl.signed_width([v]) for v in (-9, -8, -1, 0, 7, 8)] == [5, 4, 1, 1, 4, 5]


def test_no_module_stands_in_python():
    python = [path for name in ("flow", "sim") for path in (REPOSITORY / name).rglob("*.py")]
    assert python
    assert not [path for path in python if "endmodule" in path.read_text()]
