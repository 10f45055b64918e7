"""The netlist for an ECP5: it computes what golden computes, and is placed, routed and packed."""

import json

import pytest

from flow.errors import UserError
from flow.fpga import boards, check, netlist, place
from flow.rtl.synthesis import Design

IMAGES = 2
ECHO = """module board (input logic clk, input logic rst_n, input logic rx,
              output logic tx, led);
  assign led = rx;
  inverter u_accelerator (.clk, .rst_n, .in(rx), .out(tx));
endmodule
module inverter (input logic clk, rst_n, in, output logic out);
  logic [17:0] u_count_q;
  always_ff @(posedge clk) begin
    u_count_q <= rst_n ? u_count_q + 18'(in) : '0;
    out <= ^(u_count_q * u_count_q);
  end
endmodule
"""
CHAIN = """module chain (input logic [499:0] in, output logic out);
  always_comb begin
    out = '0;
    for (int i = 0; i < 500; i++) out |= in[i];
  end
endmodule
"""


def quiet(stage, done, total, images=0):
    pass


@pytest.fixture(scope="module")
def mapped(yosys, one_layer, built):
    return netlist.synthesise(netlist.whole(one_layer), built / "fpga")


def test_the_netlist_is_the_network(mapped, one_layer, inputs, built):
    """Labels, logits and digests, clean and with both kinds of sample at every site."""
    stream = one_layer.quantise(inputs[:IMAGES])
    found = check.check(one_layer, mapped, stream, built, quiet)
    assert found["images"] == IMAGES
    assert list(found["differing"]) == ["clean", *one_layer.sites, "every site"]
    assert not any(found["differing"].values())


def test_cells_are_counted_by_node(mapped, one_layer, tmp_path):
    flat = netlist.link(netlist.TOP, [mapped], tmp_path)
    names = json.loads(flat.read_text())["modules"][netlist.TOP]["cells"]
    # a cell of the accelerator alone has no prefix of its instance
    nodes = {netlist.owner(f"u_soc.u_accelerator.{name}") for name in names}
    assert nodes <= {node["name"] for node in one_layer.manifest["nodes"]} | {"accelerator"}
    assert {"NoiseTap_rtl_0", "MVAU_rtl_0", "LabelSelect_rtl_0"} <= nodes


def test_a_chain_too_deep_for_yosys_becomes_a_tree(yosys, tmp_path):
    made = netlist.synthesise(Design("chain", {"chain.sv": CHAIN}), tmp_path)
    assert "opt_balance_tree" in (made.folder / "synthesise.ys").read_text()
    assert made.rtlil.read_text().count("cell \\LUT4") < 500


@pytest.fixture(scope="module")
def small(yosys, tmp_path_factory):
    folder = tmp_path_factory.mktemp("echo")
    design = Design("board", {"board.sv": ECHO})
    return netlist.link("board", [netlist.synthesise(design, folder / "root")], folder)


def test_a_bitstream_with_its_frequency_and_critical_path(small, tmp_path):
    board = boards.find("ulx3s-25f")
    found = place.route(small, board, tmp_path)
    bitstream = (tmp_path / place.BITSTREAM).read_bytes()
    assert b"LFE5U-25F" in bitstream[:200] and len(bitstream) > 10_000
    assert 20 < found["mhz"] < 500
    assert sum(step["ns"] for step in found["critical_path"]) == pytest.approx(
        1e3 / found["mhz"], rel=0.2
    )
    assert any("u_count_q" in step["name"] for step in found["critical_path"])
    assert found["used"]["MULT18X18D"] == 1 and found["available"]["MULT18X18D"] == 28
    counts = netlist.cells(small, "board")
    assert netlist.total(counts).mult18 == 1


def test_a_pin_that_the_package_does_not_have(small, tmp_path):
    text = (boards.FOLDER / "ulx3s.lpf").read_text().replace('"L4"', '"Z99"')
    (tmp_path / "ulx3s.lpf").write_text(text)
    (tmp_path / "own.yaml").write_text((boards.FOLDER / "ulx3s-25f.yaml").read_text())
    board = boards.find(str(tmp_path / "own.yaml"))
    with pytest.raises(UserError, match=r"place and route on own failed: .*Z99"):
        place.route(small, board, tmp_path)
