"""One plain Verilog top from FINN's nodes: wiring only."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from finn.util.settings import get_settings
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from flow.compile.kernel import HW, whole_bytes

TOP = "accelerator"
DATA = "data"
"""Folder of weight and threshold files, relative to where the simulator runs."""

KERNELS = HW / "kernels"
_REPLACED = ("vpc.sv",)
"""FINN's sources that only a module uses for which we have a drop-in."""


@dataclass(frozen=True)
class _Node:
    """A node as the top sees it."""

    name: str
    module: str
    kind: str
    in_bits: int
    out_bits: int
    weight_bits: int


def stitch(model: ModelWrapper, folder: Path) -> list[Path]:
    """Copy every node's HDL and memory files into one folder and write the top.

    Args:
        model: specialised, after FINN's ``PrepareIP``.
        folder: gets ``rtl/`` with the sources, and ``data/`` with the memory files.

    Returns:
        the sources in compile order, packages first.
    """
    rtl, data = folder / "rtl", folder / DATA
    rtl.mkdir(parents=True)
    data.mkdir()
    names: list[str] = []
    for node in model.graph.node:
        for source in _sources(node):
            if source.name not in names:
                names.append(source.name)
                (rtl / source.name).write_text(_with_relative_memories(source.read_text(), node))
        _copy_memories(node, data)
    (rtl / f"{TOP}.sv").write_text(top_text(model))
    names.append(f"{TOP}.sv")
    names.sort(key=lambda name: not name.endswith("_pkg.sv"))
    return [rtl / name for name in names]


def _sources(node) -> list[Path]:
    """List a node's HDL files."""
    operator = getCustomOp(node)
    folder = Path(operator.get_nodeattr("code_gen_dir_ipgen"))
    if not node.op_type.startswith("MVAU"):
        files = [Path(name) for name in operator.get_rtl_file_list(abspath=True)]
        return [_ours(path) for path in files if path.name not in _REPLACED]
    # FINN lists MVAU's weight streamer only as block-design commands
    library = Path(get_settings().finn_rtllib)
    mvu = ("mvu_pkg.sv", "mvu_vvu_axi.sv", "replay_buffer.sv", "mvu.sv", "mvu_vvu_8sx9_dsp58.sv")
    kernel = [*(library / "mvu" / name for name in mvu), KERNELS / "add_multi.sv"]
    if operator.uses_luts:
        kernel = [KERNELS / "lut_mvu.sv"]
    return [
        *kernel,
        KERNELS / "memstream_axi.sv",
        folder / f"{node.name}_memstream_wrapper.v",
        folder / f"{node.name}_wrapper.v",
    ]


def _ours(path: Path) -> Path:
    """Return our drop-in for one of FINN's sources, or the source where there is none."""
    drop_in = KERNELS / path.name
    return drop_in if drop_in.exists() else path


def _with_relative_memories(text: str, node) -> str:
    """Let HDL find its memory files below ``data/``, wherever FINN generated them."""
    folder = getCustomOp(node).get_nodeattr("code_gen_dir_ipgen")
    text = text.replace(f"{folder}/memblock.dat", f"{DATA}/{node.name}_memblock.dat")
    return text.replace(f'"./{node.name}_', f'"{DATA}/{node.name}_')


def _copy_memories(node, data: Path) -> None:
    folder = Path(getCustomOp(node).get_nodeattr("code_gen_dir_ipgen"))
    for path in folder.glob("*.dat"):
        name = f"{node.name}_memblock.dat" if path.name == "memblock.dat" else path.name
        shutil.copyfile(path, data / name)


def _nodes(model: ModelWrapper) -> list[_Node]:
    found = []
    for node in model.graph.node:
        operator = getCustomOp(node)
        mvau = node.op_type.startswith("MVAU")
        found.append(
            _Node(
                name=node.name,
                module=operator.get_nodeattr("gen_top_module"),
                kind=node.op_type.removesuffix("_rtl"),
                in_bits=whole_bytes(operator.get_instream_width(0)),
                out_bits=whole_bytes(operator.get_outstream_width(0)),
                weight_bits=whole_bytes(operator.get_instream_width(1)) if mvau else 0,
            )
        )
    return found


def top_text(model: ModelWrapper) -> str:
    """Return the top: FINN's ports, the taps' settings bus, digests, and the scores' stream.

    The scores are the stream into label select, shown for observation only.
    """
    nodes = _nodes(model)
    taps = [node for node in nodes if node.kind == "NoiseTap"]
    lines = [
        "// Generated: the nodes of one accelerator, wired.",
        f"module {TOP} (",
        "    input  logic ap_clk,",
        "    input  logic ap_rst_n,",
        "    input  logic in0_V_TVALID,",
        "    output logic in0_V_TREADY,",
        f"    input  logic [{nodes[0].in_bits - 1}:0] in0_V_TDATA,",
        "    output logic out0_V_TVALID,",
        "    input  logic out0_V_TREADY,",
        f"    output logic [{nodes[-1].out_bits - 1}:0] out0_V_TDATA,",
        "    input  logic        cfg_valid,",
        "    input  logic [7:0]  cfg_site,",
        "    input  logic [3:0]  cfg_addr,",
        "    input  logic [31:0] cfg_data,",
        f"    output logic [{len(taps) - 1}:0] cfg_pending,",
        f"    output logic [{len(taps) - 1}:0] digest_valid,",
        f"    output logic [{len(taps) - 1}:0][31:0] digest,",
        "    output logic scores_valid,",
        f"    output logic [{nodes[-1].in_bits - 1}:0] scores_data",
        ");",
    ]
    for index, node in enumerate(nodes):
        lines += [
            f"  logic s{index}_valid, s{index}_ready;",
            f"  logic [{node.in_bits - 1}:0] s{index}_data;",
        ]
    last = len(nodes)
    lines += [
        f"  logic s{last}_valid, s{last}_ready;",
        f"  logic [{nodes[-1].out_bits - 1}:0] s{last}_data;",
        "  assign s0_valid = in0_V_TVALID;",
        "  assign s0_data = in0_V_TDATA;",
        "  assign in0_V_TREADY = s0_ready;",
        f"  assign out0_V_TVALID = s{last}_valid;",
        f"  assign out0_V_TDATA = s{last}_data;",
        f"  assign s{last}_ready = out0_V_TREADY;",
        f"  assign scores_valid = s{last - 1}_valid && s{last - 1}_ready;",
        f"  assign scores_data = s{last - 1}_data;",
    ]
    for index, node in enumerate(nodes):
        assert index == 0 or node.in_bits == nodes[index - 1].out_bits, (
            f"{nodes[index - 1].name} gives {nodes[index - 1].out_bits} bits a beat, "
            f"{node.name} takes {node.in_bits}"
        )
        lines += _instance(index, node, taps)
    lines += ["endmodule", ""]
    return "\n".join(lines)


def _idle_axilite() -> str:
    """Tie off the AXI4-Lite port through which FINN would rewrite weights."""
    low = ("AWVALID", "AWADDR", "WVALID", "WDATA", "WSTRB", "ARVALID", "ARADDR")
    high = ("BREADY", "RREADY")
    unread = ("AWREADY", "WREADY", "BVALID", "BRESP", "ARREADY", "RVALID", "RDATA", "RRESP")
    ports = [f".s_axilite_{name}('0)" for name in low]
    ports += [f".s_axilite_{name}(1'b1)" for name in high]
    ports += [f".s_axilite_{name}()" for name in unread]
    return ", ".join(ports)


def _instance(index: int, node: _Node, taps: list[_Node]) -> list[str]:
    """Write one node, between stream ``index`` and the next."""
    lines = []
    ports = [".ap_clk(ap_clk)", ".ap_rst_n(ap_rst_n)"]
    if node.kind == "MVAU":
        lines += [
            f"  logic w{index}_valid, w{index}_ready;",
            f"  logic [{node.weight_bits - 1}:0] w{index}_data;",
            f"  {node.name}_memstream_wrapper u_{node.name}_weights (",
            "      .ap_clk(ap_clk), .ap_clk2x(ap_clk), .ap_rst_n(ap_rst_n),",
            f"      {_idle_axilite()}, .s_axilite_AWPROT('0), .s_axilite_ARPROT('0),",
            "      .s_axis_0_tready(), .s_axis_0_tvalid(1'b0), .s_axis_0_tdata('0),",
            f"      .m_axis_0_tready(w{index}_ready), .m_axis_0_tvalid(w{index}_valid),",
            f"      .m_axis_0_tdata(w{index}_data)",
            "  );",
        ]
        ports += [
            ".ap_clk2x(ap_clk)",
            f".in1_V_TVALID(w{index}_valid)",
            f".in1_V_TREADY(w{index}_ready)",
            f".in1_V_TDATA(w{index}_data)",
        ]
    if node.kind == "NoiseTap":
        tap = taps.index(node)
        ports += [".cfg_valid(cfg_valid)", ".cfg_site(cfg_site)", ".cfg_addr(cfg_addr)"]
        ports += [".cfg_data(cfg_data)", f".cfg_pending(cfg_pending[{tap}])"]
        ports += [f".digest_valid(digest_valid[{tap}])", f".digest(digest[{tap}])"]
    for side, stream in (("in0", index), ("out0", index + 1)):
        ports += [
            f".{side}_V_TVALID(s{stream}_valid)",
            f".{side}_V_TREADY(s{stream}_ready)",
            f".{side}_V_TDATA(s{stream}_data)",
        ]
    body = ",\n".join(f"      {port}" for port in ports)
    return [*lines, f"  {node.module} u_{node.name} (", body, "  );"]
