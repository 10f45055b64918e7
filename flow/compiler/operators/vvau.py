"""FINN's vector-vector unit of a depth-wise convolution, built of LUTs."""

import math
from pathlib import Path

from flow.compiler.operators.kernel import Kernel
from flow.compiler.operators.mvau import InputPlanes, Operand, narrowest
from flow.compiler.operators.tiles import VVAU
from flow.paths import HW


class VVAU_rtl(Kernel, VVAU):
    """``hw/kernels/lut_vvu.sv``: FINN's own unit in RTL needs the DSP slices of Versal devices."""

    sources = ("kernels/input_planes.sv", "kernels/lut_operands.sv", "kernels/lut_vvu.sv")
    inputs = ("s_axis", "weights")

    def lut_estimation(self, fpgapart=None):
        """Return the number of LUTs: two per bit of each partial product, and the accumulators."""
        bits = self.operand_type().bitwidth() * self.get_input_datatype(1).bitwidth()
        each = 2 * bits * self.get_nodeattr("SIMD") + self.get_output_datatype().bitwidth()
        return each * self.get_nodeattr("PE")

    def dsp_estimation(self, fpgapart=None):
        """Return the number of DSP slices."""
        return 0

    def minimize_weight_bit_width(self, model, datatype_only=False):
        """Set the narrowest type that holds the weights, as `MVAU_rtl` does."""
        if not self.get_nodeattr("runtime_writeable_weights"):
            weights = model.get_initializer(self.onnx_node.input[1])
            self.set_nodeattr("weightDataType", narrowest(weights, one_bit=True))
        return self.get_input_datatype(1)

    def make_weight_file(self, weights, weight_file_mode, weight_file_name):
        """Write the weights as FINN does, from [C, 1, K_H, K_W] or a matrix [K_H · K_W, C]."""
        if weights.ndim == 2:
            weights = weights.T.reshape(-1, 1, *self.get_nodeattr("Kernel"))
        super().make_weight_file(weights, weight_file_mode, weight_file_name)

    def parameters(self):
        """Return the module's parameters."""
        activations = Operand.of(self.operand_type())
        weights = Operand.of(self.get_input_datatype(1))
        return {
            "MW": math.prod(self.get_nodeattr("Kernel")),
            "PE": self.get_nodeattr("PE"),
            "SIMD": self.get_nodeattr("SIMD"),
            "WEIGHT_WIDTH": weights.width,
            "SIGNED_WEIGHTS": int(weights.signed),
            "BIPOLAR_WEIGHTS": int(weights.bipolar),
            "ACTIVATION_WIDTH": activations.width,
            "SIGNED_ACTIVATIONS": int(activations.signed),
            "BIPOLAR_ACTIVATIONS": int(activations.bipolar),
            "ACCU_WIDTH": self.get_output_datatype().bitwidth(),
        }

    def input_planes(self):
        """Return what cuts the activations into planes; None if they are taken whole."""
        return InputPlanes.of(self)

    def generate_hdl(self, model, fpgapart, clk):
        """Write the weights, the wrapper and the weight streamer into the node's folder."""
        self.generate_params(model, self.get_nodeattr("code_gen_dir_ipgen"))
        super().generate_hdl(model, fpgapart, clk)
        self.generate_hdl_memstream(fpgapart)

    def get_rtl_file_list(self, abspath=False):
        """Return the sources of the weight streamer and of the unit."""
        folder = Path(self.get_nodeattr("code_gen_dir_ipgen")) if abspath else Path()
        return [
            str(HW / "kernels" / "memstream_axi.sv"),
            str(folder / f"{self.onnx_node.name}_memstream_wrapper.v"),
            *super().get_rtl_file_list(abspath),
        ]
