"""What every FINN operator with a module of ``hw/`` behind it has in common."""

from pathlib import Path

from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend

from flow.paths import HW


def whole_bytes(bits: int) -> int:
    """Round a stream's width up to whole bytes, in bits."""
    return (bits + 7) // 8 * 8


class Kernel(RTLBackend):
    """An RTL node whose HDL is a module of ``hw/`` behind a wrapper with FINN's port names.

    A subclass names it in front of FINN's operator among its bases, whose Python execution it
    keeps, and gives the sources, the last of which holds the module, and the parameters.
    """

    sources: tuple[str, ...]
    inputs: tuple[str, ...] = ("s_axis",)
    """The module's name of each input stream."""

    def parameters(self) -> dict[str, int | str]:
        """Return the module's parameters."""
        raise NotImplementedError

    def get_nodeattr_types(self):
        """Return the attributes of the operator and of FINN's RTL nodes."""
        operator = super(RTLBackend, self).get_nodeattr_types()
        return {**operator, **RTLBackend.get_nodeattr_types(self)}

    def execute_node(self, context, graph):
        """Run the operator's Python execution."""
        super(RTLBackend, self).execute_node(context, graph)

    def connections(self) -> dict[str, str]:
        """Return what is tied to the module's stream ports, of one output stream."""
        streams = {name: f"in{i}_V" for i, name in enumerate(self.inputs)} | {"m_axis": "out0_V"}
        return {
            f"{name}_t{signal}": f"{stream}_T{signal.upper()}"
            for name, stream in streams.items()
            for signal in ("valid", "ready", "data")
        }

    def wrapper(self) -> str:
        """Return the Verilog text of the wrapper: FINN's streams, tied to the module's."""
        ports = ["input  logic ap_clk", "input  logic ap_rst_n"]
        for i in range(len(self.inputs)):
            width = whole_bytes(self.get_instream_width(i))
            ports += [f"input  logic in{i}_V_TVALID", f"output logic in{i}_V_TREADY"]
            ports += [f"input  logic [{width - 1}:0] in{i}_V_TDATA"]
        for i in range(len(self.onnx_node.output)):
            width = whole_bytes(self.get_outstream_width(i))
            ports += [f"output logic out{i}_V_TVALID", f"input  logic out{i}_V_TREADY"]
            ports += [f"output logic [{width - 1}:0] out{i}_V_TDATA"]
        parameters = [f".{name}({value})" for name, value in self.parameters().items()]
        tied = {"clk": "ap_clk", "rst_n": "ap_rst_n"} | self.connections()
        join = ",\n    ".join
        return f"""module {self.onnx_node.name} (
    {join(ports)}
);
  {Path(self.sources[-1]).stem} #(
    {join(parameters)}
  ) u_kernel (
    {join(f".{port}({signal})" for port, signal in tied.items())}
  );
endmodule
"""

    def generate_hdl(self, model, fpgapart, clk):
        """Write the wrapper into the node's folder."""
        folder = Path(self.get_nodeattr("code_gen_dir_ipgen"))
        self.set_nodeattr("gen_top_module", self.onnx_node.name)
        (folder / f"{self.onnx_node.name}.sv").write_text(self.wrapper())
        self.set_nodeattr("ipgen_path", str(folder))
        self.set_nodeattr("ip_path", str(folder))

    def get_rtl_file_list(self, abspath=False):
        """Return the kernel's sources and the wrapper."""
        folder = Path(self.get_nodeattr("code_gen_dir_ipgen")) if abspath else Path()
        return [str(HW / source) for source in self.sources] + [
            str(folder / f"{self.onnx_node.name}.sv")
        ]

    def code_generation_ipi(self):
        """Return the commands that add the node to a Vivado block design."""
        files = [f"add_files -norecurse {name}" for name in self.get_rtl_file_list(abspath=True)]
        name = self.onnx_node.name
        return [*files, f"create_bd_cell -type module -reference {name} {name}"]
