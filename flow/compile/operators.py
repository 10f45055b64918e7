"""FINN operators written here: the noise tap, and label select as RTL.

Each follows FINN's own shape: an operator that describes streams and executes in Python, and an
``_rtl`` variant that adds the HDL. FINN's passes find them by name (``finn_setup.initialise``).
"""

import math
from pathlib import Path

import numpy as np
from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from finn.custom_op.fpgadataflow.labelselect import LabelSelect
from finn.custom_op.fpgadataflow.pool import Pool
from finn.custom_op.fpgadataflow.rtl.matrixvectoractivation_rtl import MVAU_rtl as FinnMVAU_rtl
from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend
from qonnx.core.datatype import DataType

from flow.errors import UserError

HW = Path(__file__).resolve().parents[2] / "hw"


class NoiseTap(HWCustomOp):
    """A tap on a stream edge: the place where noise enters a value.

    Executed by FINN it is clean (σ = 0): values are widened by ``FracBits`` fractional bits, or,
    where ``Rounds`` is 1, pass unchanged. Noise is the golden model's and the RTL's.
    """

    def get_nodeattr_types(self):
        """Return FINN's attribute table; the tap's own attributes come first."""
        types = {
            "NumChannels": ("i", True, 0),
            "PE": ("i", True, 1),
            "inputDataType": ("s", True, ""),
            "outputDataType": ("s", True, ""),
            "numInputVectors": ("ints", False, [1]),
            # σ = 0 widens by this many fractional bits
            "FracBits": ("i", True, 8),
            # 1: rounded back to integers, for sites whose stream keeps its type
            "Rounds": ("i", False, 0, {0, 1}),
            # grid of a rounded output: 2 for a one-bit stream, which holds −1 and 1
            "Step": ("i", False, 1, {1, 2}),
            # saturation bounds, in units of the output
            "OutMin": ("i", True, 0),
            "OutMax": ("i", True, 0),
            # site's name, and its number in the noise counter
            "SiteName": ("s", True, ""),
            "Site": ("i", True, 0),
            # o of the accumulator's real value scale · (acc + o), times 2^FracBits, per channel
            "Offsets": ("ints", False, []),
        }
        types.update(super().get_nodeattr_types())
        return types

    def get_normal_input_shape(self, ind=0):
        """Return (vectors..., channels)."""
        return (*self.get_nodeattr("numInputVectors"), self.get_nodeattr("NumChannels"))

    def get_normal_output_shape(self, ind=0):
        """Return the input's shape."""
        return self.get_normal_input_shape()

    def get_folded_input_shape(self, ind=0):
        """Return (vectors..., channels / PE, PE)."""
        channels, pe = self.get_nodeattr("NumChannels"), self.get_nodeattr("PE")
        assert channels % pe == 0, f"{self.onnx_node.name}: PE {pe} does not divide {channels}"
        return (*self.get_nodeattr("numInputVectors"), channels // pe, pe)

    def get_folded_output_shape(self, ind=0):
        """Return the input's folded shape."""
        return self.get_folded_input_shape()

    def get_input_datatype(self, ind=0):
        """Return the type of one element of the input."""
        return DataType[self.get_nodeattr("inputDataType")]

    def get_output_datatype(self, ind=0):
        """Return the type of one element of the output."""
        return DataType[self.get_nodeattr("outputDataType")]

    def infer_node_datatype(self, model):
        """Take the input's type from the graph and give the output its own."""
        self.set_nodeattr("inputDataType", model.get_tensor_datatype(self.onnx_node.input[0]).name)
        model.set_tensor_datatype(self.onnx_node.output[0], self.get_output_datatype())

    def get_instream_width(self, ind=0):
        """Return the bits of one input beat."""
        return self.get_input_datatype().bitwidth() * self.get_nodeattr("PE")

    def get_outstream_width(self, ind=0):
        """Return the bits of one output beat."""
        return self.get_output_datatype().bitwidth() * self.get_nodeattr("PE")

    def get_number_output_values(self):
        """Return the beats of one image."""
        return math.prod(self.get_folded_output_shape()[:-1])

    def get_exp_cycles(self):
        """Return the cycles of one image: a beat a cycle."""
        return self.get_number_output_values()

    def execute_node(self, context, graph):
        """Run the tap without noise."""
        values = context[self.onnx_node.input[0]]
        if not self.get_nodeattr("Rounds"):
            values = values * 2.0 ** self.get_nodeattr("FracBits")
        clipped = np.clip(values, self.get_nodeattr("OutMin"), self.get_nodeattr("OutMax"))
        context[self.onnx_node.output[0]] = clipped.astype(np.float32)


class _Kernel(RTLBackend):
    """An RTL node whose HDL is a module of ``hw/`` behind a wrapper with FINN's port names."""

    sources: tuple[str, ...]

    def wrapper(self) -> str:
        """Return the Verilog text of the wrapper."""
        raise NotImplementedError

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


def _bytes(bits: int) -> int:
    """Round a stream's width up to whole bytes, in bits."""
    return (bits + 7) // 8 * 8


class NoiseTap_rtl(NoiseTap, _Kernel):
    """``hw/noise/noise_tap.sv``."""

    sources = (
        "noise/gaussian_pkg.sv",
        "noise/gaussian.sv",
        "noise/philox4x32.sv",
        "noise/noise_tap.sv",
    )

    def get_nodeattr_types(self):
        """Return the attributes of the tap and of FINN's RTL nodes."""
        return {**NoiseTap.get_nodeattr_types(self), **RTLBackend.get_nodeattr_types(self)}

    def execute_node(self, context, graph):
        """Run the tap without noise."""
        NoiseTap.execute_node(self, context, graph)

    def wrapper(self):
        """Return the wrapper: FINN's streams, the settings bus and the digest."""
        name, pe = self.onnx_node.name, self.get_nodeattr("PE")
        idt, odt = self.get_input_datatype(), self.get_output_datatype()
        channels = self.get_nodeattr("NumChannels")
        offsets = self.get_nodeattr("Offsets") or [0] * channels
        width = 1 + max(max(o, -o - 1).bit_length() for o in offsets)
        packed = sum((o % (1 << width)) << (c * width) for c, o in enumerate(offsets))
        return f"""// One noise tap: {self.get_nodeattr("SiteName")}
module {name} (
    input  logic ap_clk,
    input  logic ap_rst_n,
    input  logic        cfg_valid,
    input  logic [7:0]  cfg_site,
    input  logic [3:0]  cfg_addr,
    input  logic [31:0] cfg_data,
    output logic        cfg_pending,
    input  logic in0_V_TVALID,
    output logic in0_V_TREADY,
    input  logic [{_bytes(pe * idt.bitwidth()) - 1}:0] in0_V_TDATA,
    output logic out0_V_TVALID,
    input  logic out0_V_TREADY,
    output logic [{_bytes(pe * odt.bitwidth()) - 1}:0] out0_V_TDATA,
    output logic        digest_valid,
    output logic [31:0] digest
);
  noise_tap #(
      .CHANNELS({channels}),
      .PE({pe}),
      .PIXELS({math.prod(self.get_nodeattr("numInputVectors"))}),
      .IN_WIDTH({idt.bitwidth()}),
      .IN_SIGNED(1'b{int(idt.signed())}),
      .FRAC({self.get_nodeattr("FracBits")}),
      .ROUND(1'b{self.get_nodeattr("Rounds")}),
      .BIPOLAR(1'b{self.get_nodeattr("Step") - 1}),
      .OUT_WIDTH({odt.bitwidth()}),
      .OUT_SIGNED(1'b{int(odt.signed())}),
      .OUT_MIN({_signed64(self.get_nodeattr("OutMin"))}),
      .OUT_MAX({_signed64(self.get_nodeattr("OutMax"))}),
      .OFFSET_WIDTH({width}),
      .OFFSETS({channels * width}'h{packed:x}),
      .SITE({self.get_nodeattr("Site")})
  ) u_tap (
      .clk(ap_clk), .rst_n(ap_rst_n),
      .cfg_valid, .cfg_site, .cfg_addr, .cfg_data, .cfg_pending,
      .s_axis_tvalid(in0_V_TVALID), .s_axis_tready(in0_V_TREADY), .s_axis_tdata(in0_V_TDATA),
      .m_axis_tvalid(out0_V_TVALID), .m_axis_tready(out0_V_TREADY), .m_axis_tdata(out0_V_TDATA),
      .digest_valid, .digest
  );
endmodule
"""


def _signed64(value: int) -> str:
    """Write a bound as a SystemVerilog literal."""
    return f"{'-' if value < 0 else ''}64'sd{abs(value)}"


class MVAU_rtl(FinnMVAU_rtl):
    """FINN's matrix-vector unit, and with ``resType`` "lut" ``hw/kernels/lut_mvu.sv`` in its place.

    FINN's own class raises an error on "lut". All else, the passes that fold it and minimise its
    widths too, is FINN's.
    """

    @property
    def uses_luts(self) -> bool:
        """Whether this node is built of LUTs."""
        return self.get_nodeattr("resType") == "lut"

    def dsp_estimation(self, fpgapart):
        """Return the DSP slices."""
        return 0 if self.uses_luts else super().dsp_estimation(fpgapart)

    def lut_estimation(self, fpgapart):
        """Return the LUTs: about one a pair of planes and element, for the AND and the count."""
        if not self.uses_luts:
            return super().lut_estimation(fpgapart)
        planes = self.get_input_datatype(0).bitwidth() * self.get_input_datatype(1).bitwidth()
        return planes * self.get_nodeattr("PE") * self.get_nodeattr("SIMD")

    def minimize_weight_bit_width(self, model, datatype_only=False):
        """Give the weights the narrowest type that holds them and that the unit takes.

        FINN's own gives −1 and 0 the type BIPOLAR, ±1 the type INT2, and weights without a negative
        one an unsigned type, which its DSP unit would read as signed.
        """
        weights = model.get_initializer(self.onnx_node.input[1])
        low, high = int(weights.min()), int(weights.max())
        if self.uses_luts and (np.abs(weights) == 1).all():
            name = "BIPOLAR"
        else:
            name = f"INT{max(2, 1 + max(high, -low - 1).bit_length())}"
        self.set_nodeattr("weightDataType", name)
        return DataType[name]

    def make_weight_file(self, weights, weight_file_mode, weight_file_name):
        """Write the weights as FINN does; of LUTs, those for the RTL's memory by bit planes."""
        super().make_weight_file(weights, weight_file_mode, weight_file_name)
        if not self.uses_luts or weight_file_mode != "decoupled_verilog_dat":
            return
        shape = (self.get_nodeattr("PE"), self.get_nodeattr("SIMD"))
        bits = [self.get_input_datatype(i).bitwidth() for i in (1, 0)]
        path = Path(weight_file_name)
        lines = [by_planes(line, *shape, *bits) for line in path.read_text().split()]
        path.write_text("\n".join(lines) + "\n")

    def generate_hdl(self, model, fpgapart, clk):
        """Write weights, wrapper and weight streamer into the node's folder."""
        if not self.uses_luts:
            super().generate_hdl(model, fpgapart, clk)
            return
        folder = Path(self.get_nodeattr("code_gen_dir_ipgen"))
        self.generate_params(model, str(folder))
        self.set_nodeattr("gen_top_module", self.onnx_node.name)
        (folder / f"{self.onnx_node.name}_wrapper.v").write_text(self._lut_wrapper())
        self.generate_infra_hdl(fpgapart)
        self.set_nodeattr("ipgen_path", str(folder))
        self.set_nodeattr("ip_path", str(folder))

    def _lut_wrapper(self) -> str:
        pe, simd = self.get_nodeattr("PE"), self.get_nodeattr("SIMD")
        idt, wdt = self.get_input_datatype(0), self.get_input_datatype(1)
        odt = self.get_output_datatype()
        bipolar = [dtype == DataType["BIPOLAR"] for dtype in (idt, wdt)]
        return f"""module {self.onnx_node.name} (
    input  ap_clk,
    input  ap_clk2x,
    input  ap_rst_n,
    input  in1_V_TVALID,
    output in1_V_TREADY,
    input  [{_bytes(pe * simd * wdt.bitwidth()) - 1}:0] in1_V_TDATA,
    input  in0_V_TVALID,
    output in0_V_TREADY,
    input  [{_bytes(simd * idt.bitwidth()) - 1}:0] in0_V_TDATA,
    output out0_V_TVALID,
    input  out0_V_TREADY,
    output [{_bytes(pe * odt.bitwidth()) - 1}:0] out0_V_TDATA
);
  lut_mvu #(
      .MW({self.get_nodeattr("MW")}),
      .MH({self.get_nodeattr("MH")}),
      .PE({pe}),
      .SIMD({simd}),
      .WEIGHT_WIDTH({wdt.bitwidth()}),
      .SIGNED_WEIGHTS(1'b{int(wdt.signed() and not bipolar[1])}),
      .BIPOLAR_WEIGHTS(1'b{int(bipolar[1])}),
      .ACTIVATION_WIDTH({idt.bitwidth()}),
      .SIGNED_ACTIVATIONS(1'b{int(idt.signed() and not bipolar[0])}),
      .BIPOLAR_ACTIVATIONS(1'b{int(bipolar[0])}),
      .ACCU_WIDTH({odt.bitwidth()})
  ) u_mvu (
      .clk(ap_clk), .rst_n(ap_rst_n),
      .weights_tvalid(in1_V_TVALID), .weights_tready(in1_V_TREADY), .weights_tdata(in1_V_TDATA),
      .s_axis_tvalid(in0_V_TVALID), .s_axis_tready(in0_V_TREADY), .s_axis_tdata(in0_V_TDATA),
      .m_axis_tvalid(out0_V_TVALID), .m_axis_tready(out0_V_TREADY), .m_axis_tdata(out0_V_TDATA)
  );
endmodule
"""


def by_planes(line: str, pe: int, simd: int, bits: int, activation_bits: int) -> str:
    """Reorder one word of a weight memory from [PE][SIMD][bit] to ``lut_mvu``'s [PE][bit][SIMD].

    Args:
        line: hexadecimal, the first element in the lowest bits.
        pe: rows side by side.
        simd: elements of a row.
        bits: of a weight.
        activation_bits: of an activation: they decide the order of a plane's elements.
    """
    size = 4 * len(line)
    flat = np.array([int(c) for c in f"{int(line, 16):0{size}b}"[::-1]], dtype=np.uint8)
    used = pe * simd * bits
    order = np.arange(simd)
    if simd % activation_bits == 0:
        order = order.reshape(activation_bits, -1).T.ravel()
    flat[:used] = flat[:used].reshape(pe, simd, bits)[:, order].transpose(0, 2, 1).ravel()
    return f"{int(''.join(map(str, flat[::-1])), 2):0{len(line)}x}"


class LabelSelect_rtl(LabelSelect, _Kernel):
    """``hw/kernels/label_select.sv``."""

    sources = ("kernels/label_select.sv",)

    def get_nodeattr_types(self):
        """Return the attributes of label select and of FINN's RTL nodes."""
        return {**LabelSelect.get_nodeattr_types(self), **RTLBackend.get_nodeattr_types(self)}

    def execute_node(self, context, graph):
        """Run FINN's Python execution."""
        LabelSelect.execute_node(self, context, graph)

    def wrapper(self):
        """Return the wrapper: FINN's streams."""
        name, pe = self.onnx_node.name, self.get_nodeattr("PE")
        idt, odt = self.get_input_datatype(), self.get_output_datatype()
        return f"""module {name} (
    input  logic ap_clk,
    input  logic ap_rst_n,
    input  logic in0_V_TVALID,
    output logic in0_V_TREADY,
    input  logic [{_bytes(pe * idt.bitwidth()) - 1}:0] in0_V_TDATA,
    output logic out0_V_TVALID,
    input  logic out0_V_TREADY,
    output logic [{_bytes(odt.bitwidth()) - 1}:0] out0_V_TDATA
);
  label_select #(
      .LABELS({self.get_nodeattr("Labels")}),
      .PE({pe}),
      .K({self.get_nodeattr("K")}),
      .IN_WIDTH({idt.bitwidth()}),
      .IN_SIGNED(1'b{int(idt.signed())}),
      .OUT_WIDTH({odt.bitwidth()})
  ) u_select (
      .clk(ap_clk), .rst_n(ap_rst_n),
      .s_axis_tvalid(in0_V_TVALID), .s_axis_tready(in0_V_TREADY), .s_axis_tdata(in0_V_TDATA),
      .m_axis_tvalid(out0_V_TVALID), .m_axis_tready(out0_V_TREADY), .m_axis_tdata(out0_V_TDATA)
  );
endmodule
"""


def pool_shift(pool: Pool) -> int:
    """Return by how many bits FINN's QuantAvgPool shifts its sum; 0 for the other kinds."""
    if pool.get_nodeattr("Function") != "QuantAvgPool":
        return 0
    places = math.prod(pool.get_nodeattr("KernelSize"))
    largest = (2 ** pool.get_input_datatype().bitwidth() - 1) * places
    return max(0, largest.bit_length() - pool.get_output_datatype().bitwidth())


class Pool_rtl(Pool, _Kernel):
    """``hw/kernels/pool.sv``: FINN's MaxPool, AccPool and QuantAvgPool.

    AvgPool is refused: what FINN executes there is a mean with a fraction, which no stream holds.
    """

    sources = ("kernels/pool.sv",)

    def get_nodeattr_types(self):
        """Return the attributes of the pooling and of FINN's RTL nodes."""
        return {**Pool.get_nodeattr_types(self), **RTLBackend.get_nodeattr_types(self)}

    def execute_node(self, context, graph):
        """Run FINN's Python execution."""
        Pool.execute_node(self, context, graph)

    def lut_estimation(self, fpgapart=None):
        """Return the LUTs: an adder or a comparison with its choice, a lane."""
        width, window = (
            self.get_input_datatype().bitwidth(),
            math.prod(self.get_nodeattr("KernelSize")),
        )
        summed = self.get_nodeattr("Function") != "MaxPool"
        each = width + math.ceil(math.log2(window)) if summed else 2 * width
        return self.get_nodeattr("PE") * each

    def wrapper(self):
        """Return the wrapper: FINN's streams."""
        name, pe = self.onnx_node.name, self.get_nodeattr("PE")
        if self.get_nodeattr("Function") == "AvgPool":
            raise UserError(
                f"node {name}: AvgPool gives fractions, which no integer stream holds: pool with "
                "MaxPool, AccPool or QuantAvgPool"
            )
        idt, odt = self.get_input_datatype(), self.get_output_datatype()
        # the largest of bits is the largest of −1 and 1; their sum is another
        bipolar = idt == DataType["BIPOLAR"]
        if bipolar and self.get_nodeattr("Function") != "MaxPool":
            raise UserError(f"node {name}: only MaxPool takes a stream of −1 and 1")
        return f"""module {name} (
    input  logic ap_clk,
    input  logic ap_rst_n,
    input  logic in0_V_TVALID,
    output logic in0_V_TREADY,
    input  logic [{_bytes(pe * idt.bitwidth()) - 1}:0] in0_V_TDATA,
    output logic out0_V_TVALID,
    input  logic out0_V_TREADY,
    output logic [{_bytes(pe * odt.bitwidth()) - 1}:0] out0_V_TDATA
);
  pool #(
      .PE({pe}),
      .WINDOW({math.prod(self.get_nodeattr("KernelSize"))}),
      .SUM(1'b{int(self.get_nodeattr("Function") != "MaxPool")}),
      .SHIFT({pool_shift(self)}),
      .IN_WIDTH({idt.bitwidth()}),
      .IN_SIGNED(1'b{int(idt.signed() and not bipolar)}),
      .OUT_WIDTH({odt.bitwidth()})
  ) u_pool (
      .clk(ap_clk), .rst_n(ap_rst_n),
      .s_axis_tvalid(in0_V_TVALID), .s_axis_tready(in0_V_TREADY), .s_axis_tdata(in0_V_TDATA),
      .m_axis_tvalid(out0_V_TVALID), .m_axis_tready(out0_V_TREADY), .m_axis_tdata(out0_V_TDATA)
  );
endmodule
"""
