"""FINN's matrix-vector unit, built of LUTs where its ``resType`` says so."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from finn.custom_op.fpgadataflow.rtl.matrixvectoractivation_rtl import MVAU_rtl as FinnMVAU_rtl
from qonnx.core.datatype import DataType

from flow import hdl
from flow.compiler.operators.kernel import write_wrapper


@dataclass(frozen=True)
class Operand:
    """The type of a factor as ``lut_mvu`` takes it."""

    width: int
    signed: bool
    """Whether it is in two's complement."""
    bipolar: bool
    """Whether its bit stands for −1 or 1."""

    @classmethod
    def of(cls, datatype) -> "Operand":
        """Return that of one of FINN's types."""
        bipolar = datatype == DataType["BIPOLAR"]
        return cls(datatype.bitwidth(), datatype.signed() and not bipolar, bipolar)


@dataclass(frozen=True)
class LutWrapper:
    """The values of ``lut_mvu_wrapper.v.j2``."""

    name: str
    """Name of the wrapper, which is the node's."""
    mw: int
    mh: int
    pe: int
    simd: int
    weights: Operand
    activations: Operand
    accu_width: int
    weight_bits: int
    """Bits of a beat of weights, whole bytes."""
    in_bits: int
    """The same of the input stream."""
    out_bits: int
    """The same of the output stream."""


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
        one an unsigned type, which its DSP unit would read as signed. Weights that may be
        written keep the type of all that they may be.
        """
        if self.get_nodeattr("runtime_writeable_weights"):
            return self.get_input_datatype(1)
        weights = model.get_initializer(self.onnx_node.input[1])
        low, high = int(weights.min()), int(weights.max())
        if self.uses_luts and (np.abs(weights) == 1).all():
            name = "BIPOLAR"
        else:
            name = f"INT{max(2, hdl.signed_width((low, high)))}"
        self.set_nodeattr("weightDataType", name)
        return DataType[name]

    def make_weight_file(self, weights, weight_file_mode, weight_file_name):
        """Write the weights as FINN does; for the RTL's memory all at once, of LUTs by bit planes.

        FINN packs that file element by element, which takes half a minute for a million weights.
        """
        if weight_file_mode != "decoupled_verilog_dat":
            super().make_weight_file(weights, weight_file_mode, weight_file_name)
            return
        # [PE, word, SIMD]: FINN puts the last element first
        tensor = self.get_hw_compatible_weight_tensor(weights)[0, ..., ::-1]
        values = tensor.transpose(1, 0, 2).astype(np.int64)[..., None]
        bits = values >> np.arange(self.get_input_datatype(1).bitwidth()) & 1
        if self.uses_luts:
            bits = by_planes(bits, self.get_input_datatype(0).bitwidth())
        Path(weight_file_name).write_text("\n".join(hex_words(bits)) + "\n")

    def generate_hdl(self, model, fpgapart, clk):
        """Write weights, wrapper and weight streamer into the node's folder."""
        if not self.uses_luts:
            super().generate_hdl(model, fpgapart, clk)
            return
        self.generate_params(model, self.get_nodeattr("code_gen_dir_ipgen"))
        write_wrapper(self, f"{self.onnx_node.name}_wrapper.v", self.lut_wrapper())
        self.generate_infra_hdl(fpgapart)

    def lut_wrapper(self) -> str:
        """Return the text of the wrapper: FINN's ports, tied to those of ``lut_mvu``."""
        values = LutWrapper(
            name=self.onnx_node.name,
            mw=self.get_nodeattr("MW"),
            mh=self.get_nodeattr("MH"),
            pe=self.get_nodeattr("PE"),
            simd=self.get_nodeattr("SIMD"),
            weights=Operand.of(self.get_input_datatype(1)),
            activations=Operand.of(self.get_input_datatype(0)),
            accu_width=self.get_output_datatype().bitwidth(),
            weight_bits=self.get_instream_width_padded(1),
            in_bits=self.get_instream_width_padded(0),
            out_bits=self.get_outstream_width_padded(),
        )
        return hdl.render(__file__, "lut_mvu_wrapper.v.j2", values)


def by_planes(bits: npt.NDArray[np.int64], activation_bits: int) -> npt.NDArray[np.int64]:
    """Reorder words of a weight memory to ``lut_mvu``'s order.

    Args:
        bits: [words, PE, SIMD, bit], 0 or 1.
        activation_bits: of an activation: they decide the order of a plane's elements.

    Returns:
        [words, PE, bit, SIMD].
    """
    simd = bits.shape[2]
    order = np.arange(simd)
    if simd % activation_bits == 0:
        order = order.reshape(activation_bits, -1).T.ravel()
    return bits[:, :, order].transpose(0, 1, 3, 2)


def hex_words(bits: npt.NDArray[np.int64]) -> list[str]:
    """Return words in hexadecimal, whole digits, of bits [words, …], the first the lowest."""
    flat = bits.reshape(len(bits), -1)
    packed = np.packbits(flat.astype(np.uint8), axis=1, bitorder="little")
    digits = -(-flat.shape[1] // 4)
    return [word.tobytes()[::-1].hex()[-digits:] for word in packed]
