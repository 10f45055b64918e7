"""One plain Verilog top from FINN's nodes: wiring only."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from finn.util.settings import get_settings
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from flow.compiler.operators.kernel import whole_bytes
from flow.paths import HW

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
    inputs: dict[str, int]
    """Bits of a beat by the tensor's name, which is the stream's, in the order of the ports."""
    outputs: dict[str, int]
    weight_bits: int
    tap: int
    """Of a tap its place among the taps in the order of the data."""


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
    numbers = sorted(
        getCustomOp(node).get_nodeattr("Site")
        for node in model.get_nodes_by_op_type("NoiseTap_rtl")
    )
    found = []
    for node in model.graph.node:
        operator = getCustomOp(node)
        kind = node.op_type.removesuffix("_rtl")
        streams = [name for name in node.input if model.get_initializer(name) is None]
        found.append(
            _Node(
                name=node.name,
                module=operator.get_nodeattr("gen_top_module"),
                kind=kind,
                inputs={
                    name: whole_bytes(operator.get_instream_width(i))
                    for i, name in enumerate(streams)
                },
                outputs={
                    name: whole_bytes(operator.get_outstream_width(i))
                    for i, name in enumerate(node.output)
                },
                weight_bits=whole_bytes(operator.get_instream_width(1)) if kind == "MVAU" else 0,
                tap=numbers.index(operator.get_nodeattr("Site")) if kind == "NoiseTap" else -1,
            )
        )
    return found


def top_text(model: ModelWrapper) -> str:
    """Return the top: FINN's ports, the taps' settings bus, digests, and the scores' stream.

    The streams bear the names of FINN's tensors. The scores are the stream into label select,
    shown for observation only.
    """
    nodes = _nodes(model)
    taps = sum(node.kind == "NoiseTap" for node in nodes)
    entry, end = model.graph.input[0].name, model.graph.output[0].name
    taken = {name: bits for node in nodes for name, bits in node.inputs.items()}
    given = {name: bits for node in nodes for name, bits in node.outputs.items()}
    for name in taken.keys() & given.keys():
        assert given[name] == taken[name], (
            f"stream {name} has {given[name]} bits a beat where it is given, "
            f"{taken[name]} where it is taken"
        )
    (scores,) = nodes[-1].inputs
    lines = [
        "// Generated: the nodes of one accelerator, wired.",
        f"module {TOP} (",
        "    input  logic ap_clk,",
        "    input  logic ap_rst_n,",
        "    input  logic in0_V_TVALID,",
        "    output logic in0_V_TREADY,",
        f"    input  logic [{taken[entry] - 1}:0] in0_V_TDATA,",
        "    output logic out0_V_TVALID,",
        "    input  logic out0_V_TREADY,",
        f"    output logic [{given[end] - 1}:0] out0_V_TDATA,",
        "    input  logic        cfg_valid,",
        "    input  logic [7:0]  cfg_site,",
        "    input  logic [3:0]  cfg_addr,",
        "    input  logic [31:0] cfg_data,",
        f"    output logic [{taps - 1}:0] cfg_pending,",
        f"    output logic [{taps - 1}:0] digest_valid,",
        f"    output logic [{taps - 1}:0][31:0] digest,",
        "    output logic scores_valid,",
        f"    output logic [{taken[scores] - 1}:0] scores_data",
        ");",
    ]
    for name, bits in (taken | given).items():
        lines += [
            f"  logic {name}_valid, {name}_ready;",
            f"  logic [{bits - 1}:0] {name}_data;",
        ]
    lines += [
        f"  assign {entry}_valid = in0_V_TVALID;",
        f"  assign {entry}_data = in0_V_TDATA;",
        f"  assign in0_V_TREADY = {entry}_ready;",
        f"  assign out0_V_TVALID = {end}_valid;",
        f"  assign out0_V_TDATA = {end}_data;",
        f"  assign {end}_ready = out0_V_TREADY;",
        f"  assign scores_valid = {scores}_valid && {scores}_ready;",
        f"  assign scores_data = {scores}_data;",
    ]
    for node in nodes:
        lines += _instance(node)
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


def _instance(node: _Node) -> list[str]:
    """Write one node between its streams."""
    lines = []
    ports = [".ap_clk(ap_clk)", ".ap_rst_n(ap_rst_n)"]
    if node.kind == "MVAU":
        lines += [
            f"  logic {node.name}_weights_valid, {node.name}_weights_ready;",
            f"  logic [{node.weight_bits - 1}:0] {node.name}_weights_data;",
            f"  {node.name}_memstream_wrapper u_{node.name}_weights (",
            "      .ap_clk(ap_clk), .ap_clk2x(ap_clk), .ap_rst_n(ap_rst_n),",
            f"      {_idle_axilite()}, .s_axilite_AWPROT('0), .s_axilite_ARPROT('0),",
            "      .s_axis_0_tready(), .s_axis_0_tvalid(1'b0), .s_axis_0_tdata('0),",
            f"      .m_axis_0_tready({node.name}_weights_ready),",
            f"      .m_axis_0_tvalid({node.name}_weights_valid),",
            f"      .m_axis_0_tdata({node.name}_weights_data)",
            "  );",
        ]
        ports += [
            ".ap_clk2x(ap_clk)",
            f".in1_V_TVALID({node.name}_weights_valid)",
            f".in1_V_TREADY({node.name}_weights_ready)",
            f".in1_V_TDATA({node.name}_weights_data)",
        ]
    if node.kind == "FMPadding":
        ports += [_idle_axilite()]
    if node.kind == "NoiseTap":
        ports += [".cfg_valid(cfg_valid)", ".cfg_site(cfg_site)", ".cfg_addr(cfg_addr)"]
        ports += [".cfg_data(cfg_data)", f".cfg_pending(cfg_pending[{node.tap}])"]
        ports += [f".digest_valid(digest_valid[{node.tap}])", f".digest(digest[{node.tap}])"]
    for side, streams in (("in", node.inputs), ("out", node.outputs)):
        for i, name in enumerate(streams):
            ports += [
                f".{side}{i}_V_TVALID({name}_valid)",
                f".{side}{i}_V_TREADY({name}_ready)",
                f".{side}{i}_V_TDATA({name}_data)",
            ]
    body = ",\n".join(f"      {port}" for port in ports)
    return [*lines, f"  {node.module} u_{node.name} (", body, "  );"]
