"""Open synthesis: primitives counted, a row for each node, nothing done twice."""

import json

import pytest

from flow.errors import UserError
from flow.rtl import synthesis
from flow.rtl.synthesis import Design, NotSynthesised, Resources, designs, measure, synthesise

pytestmark = pytest.mark.usefixtures("yosys")

KNOWN = """module known (
    input  logic clk, input logic [7:0] a, b, input logic [11:0] c, d, input logic [4:0] w, r,
    input  logic write, input logic late,
    output logic [7:0] both, output logic [23:0] product, output logic [7:0] stored,
    output logic delayed
);
  logic [15:0] line;
  logic [7:0] memory[32];
  assign delayed = line[15];
  assign product = c * d;
  assign stored = memory[r];
  always_ff @(posedge clk) begin
    both <= a & b;
    line <= {line[14:0], late};
    if (write) memory[w] <= a;
  end
endmodule
"""


def silent(stage: str, done: int, total: int) -> None:
    pass


def forbidden(*arguments: object, **options: object) -> None:
    raise AssertionError("synthesised again")


def test_a_known_module_has_known_counts(tmp_path, monkeypatch):
    design = Design("known", {"known.sv": KNOWN})
    found = synthesise(design, tmp_path)
    # 8 ANDs before 8 registers, one multiplier, 16 bits of delay in one LUT
    assert (found.lut, found.ff, found.dsp, found.srl, found.bram) == (8, 8, 1, 1, 0)
    assert 8 <= found.lutram <= 16
    monkeypatch.setattr(synthesis.subprocess, "run", forbidden)
    assert synthesise(design, tmp_path) == found
    other = Design("known", {"known.sv": KNOWN.replace("a & b", "a | b")})
    with pytest.raises(AssertionError, match="synthesised again"):
        synthesise(other, tmp_path)


def test_primitives():
    cells = {"LUT6": 3, "LUT2": 1, "FDRE": 5, "FDSE": 1, "DSP48E2": 2, "RAMB36E2": 2}
    cells |= {"RAMB18E2": 1, "RAM64M8": 2, "SRL16E": 4, "CARRY4": 9, "MUXF7": 1, "INV": 2}
    assert Resources.of_cells(cells) == Resources(4, 6, 2, 5, 16, 4)
    with pytest.raises(NotSynthesised, match="LUTX is not a known primitive"):
        Resources.of_cells({"LUTX": 1})


def test_what_yosys_refuses_has_a_reason_and_is_not_asked_again(tmp_path, monkeypatch):
    design = Design("broken", {"broken.sv": "module broken; nowhere u_nowhere (); endmodule\n"})
    with pytest.raises(NotSynthesised, match="nowhere"):
        synthesise(design, tmp_path)
    monkeypatch.setattr(synthesis.subprocess, "run", forbidden)
    with pytest.raises(NotSynthesised, match="nowhere"):
        synthesise(design, tmp_path)


def test_a_synthesis_that_takes_too_long_may_be_tried_again(tmp_path):
    design = Design("known", {"known.sv": KNOWN})
    with pytest.raises(NotSynthesised, match=r"not done within 0\.05 s"):
        synthesise(design, tmp_path, limit=0.05)
    assert not list(tmp_path.iterdir())


def test_the_rows_are_the_nodes(accelerator, tmp_path, monkeypatch, capsys):
    names = [entry["name"] for entry in accelerator.manifest["nodes"]]
    asked = ["Thresholding_rtl_0", "LabelSelect_rtl_0"]
    found = measure(accelerator, tmp_path, silent, asked)
    rows = {row["node"]: row for row in found["rows"]}
    assert list(rows) == names
    for name, row in rows.items():
        assert (row["reason"] is None) == (name in asked), row
        assert row["lanes"] == (1 if name.startswith("NoiseTap") else None)
    for name in asked:
        assert rows[name]["lut"] > 10 and rows[name]["ff"] > 10 and rows[name]["dsp"] == 0
        assert rows[name]["estimate"].keys() == {"lut", "dsp", "bram"}
    assert all(rows[name]["reason"] == "not requested" for name in names if name not in asked)
    assert json.loads((accelerator.folder / synthesis.FILE).read_text()) == found
    monkeypatch.setattr(synthesis.subprocess, "run", forbidden)
    assert measure(accelerator, tmp_path, silent, asked) == found
    # what was found before is not lost by asking for less
    assert measure(accelerator, tmp_path, silent, asked[:1]) == found


def test_bad_input(accelerator, tmp_path):
    with pytest.raises(UserError, match="did you mean LabelSelect_rtl_0"):
        measure(accelerator, tmp_path, silent, ["LabelSelect_rtl_1"])
    for limit in (0, -1, float("nan")):
        with pytest.raises(UserError, match="give the seconds"):
            measure(accelerator, tmp_path, silent, limit=limit)


def test_a_matrix_vector_unit_is_two_modules_with_its_weights(accelerator):
    found = {design.top: design for design in designs(accelerator, "MVAU_rtl_1")}
    assert found.keys() == {"node", "node_memstream_wrapper"}
    weights = found["node_memstream_wrapper"]
    content = (accelerator.folder / "data" / "MVAU_rtl_1_memblock.dat").read_bytes()
    assert content in weights.memories.values()
    assert not any("MVAU_rtl" in text for d in found.values() for text in d.sources.values())
    assert "lut_mvu.sv" in found["node"].sources and not found["node"].memories
