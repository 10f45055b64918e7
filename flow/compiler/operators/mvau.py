"""FINN's matrix-vector unit, built of LUTs if its ``resType`` is "lut"."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from finn.custom_op.fpgadataflow.rtl.matrixvectoractivation_rtl import MVAU_rtl as FinnMVAU_rtl
from qonnx.core.datatype import DataType

from flow import hdl
from flow.compiler.operators.kernel import write_wrapper
from flow.compiler.operators.tiles import PartialSums
from flow.golden.units import planes, tile_lengths


@dataclass(frozen=True)
class Operand:
    """Type of an operand, in the terms of ``lut_mvu``."""

    width: int
    signed: bool
    """Whether the operand is in two's complement."""
    bipolar: bool
    """Whether the operand is one bit that stands for −1 or 1."""

    @classmethod
    def of(cls, datatype) -> "Operand":
        """Return the operand for one of FINN's types."""
        bipolar = datatype == DataType["BIPOLAR"]
        return cls(datatype.bitwidth(), datatype.signed() and not bipolar, bipolar)


@dataclass(frozen=True)
class InputPlanes:
    """Values of the template ``input_planes.sv.j2``."""

    lanes: int
    """Activations of a beat."""
    beats: int
    """Beats of a vector, which come again for each plane."""
    width: int
    """Bits of an activation."""
    signed: bool
    bits: int
    """Bits of a plane."""
    count: int
    out_bits: int
    """Bits per beat of planes, whole bytes."""

    @classmethod
    def of(cls, unit) -> "InputPlanes | None":
        """Return what cuts the activations of a unit; None if it takes them whole."""
        cut = planes(unit)
        if cut.count == 1:
            return None
        datatype = unit.get_input_datatype(0)
        lanes = unit.get_instream_width() // datatype.bitwidth()
        sums, _ = unit.get_folded_input_shape()[-2:]
        out_bits = -(-lanes * unit.operand_type().bitwidth() // 8) * 8
        values = (datatype.bitwidth(), datatype.signed(), cut.bits, cut.count, out_bits)
        return cls(lanes, sums, *values)


@dataclass(frozen=True)
class LutWrapper:
    """Values of the template ``lut_mvu_wrapper.v.j2``."""

    name: str
    """Name of the wrapper and of the node."""
    mw: int
    mh: int
    pe: int
    simd: int
    rows: int
    """Elements of a tile; MW for a whole product."""
    weights: Operand
    activations: Operand
    """What is multiplied at a time: a plane of an activation, if it has several."""
    planes: InputPlanes | None
    """What cuts the activations into planes; None if they are taken whole."""
    accu_width: int
    weight_bits: int
    """Bits per beat of weights, whole bytes."""
    in_bits: int
    """Bits per beat of the input stream, whole bytes."""
    out_bits: int
    """Bits per beat of the output stream, whole bytes."""


class MVAU_rtl(PartialSums, FinnMVAU_rtl):
    """FINN's matrix-vector unit, or ``hw/kernels/lut_mvu.sv`` if its ``resType`` is "lut".

    FINN's class raises an error for "lut". Everything else, including the passes that fold it and
    minimise its widths, is FINN's. Only the unit of LUTs has tiles and planes, the latter by
    ``hw/kernels/input_planes.sv`` in front of it.
    """

    @property
    def uses_luts(self) -> bool:
        """Whether this node is built of LUTs."""
        return self.get_nodeattr("resType") == "lut"

    def dsp_estimation(self, fpgapart):
        """Return the number of DSP slices."""
        return 0 if self.uses_luts else super().dsp_estimation(fpgapart)

    def lut_estimation(self, fpgapart):
        """Return the number of LUTs: about one per element and pair of planes."""
        if not self.uses_luts:
            return super().lut_estimation(fpgapart)
        pairs = self.operand_type().bitwidth() * self.get_input_datatype(1).bitwidth()
        return pairs * self.get_nodeattr("PE") * self.get_nodeattr("SIMD")

    def minimize_weight_bit_width(self, model, datatype_only=False):
        """Set the narrowest type that holds the weights and that the unit supports.

        FINN's method makes −1 and 0 BIPOLAR, ±1 INT2, and weights without negative values unsigned,
        which its DSP unit would read as signed. Weights that may be written at run time keep the
        type of their whole range.
        """
        if self.get_nodeattr("runtime_writeable_weights"):
            return self.get_input_datatype(1)
        weights = model.get_initializer(self.onnx_node.input[1])
        name = narrowest(weights, one_bit=self.uses_luts)
        self.set_nodeattr("weightDataType", name)
        return DataType[name]

    def make_weight_file(self, weights, weight_file_mode, weight_file_name):
        """Write the weights as FINN does, with a vectorised path for the RTL's memory file.

        LUT units store bit planes, and those with tiles one tile after the other. FINN packs that
        file element by element, which takes half a minute for a million weights.
        """
        if weight_file_mode != "decoupled_verilog_dat":
            super().make_weight_file(weights, weight_file_mode, weight_file_name)
            return
        # [PE, word, SIMD]: FINN puts the last element first
        tensor = self.get_hw_compatible_weight_tensor(weights)[0, ..., ::-1]
        values = tensor.transpose(1, 0, 2).astype(np.int64)[..., None]
        values = tile_by_tile(values, [n // values.shape[2] for n in tile_lengths(self)])
        bits = values >> np.arange(self.get_input_datatype(1).bitwidth()) & 1
        if self.uses_luts:
            bits = by_planes(bits, self.operand_type().bitwidth())
        Path(weight_file_name).write_text("\n".join(hex_words(bits)) + "\n")

    def generate_hdl(self, model, fpgapart, clk):
        """Write the weights, the wrapper and the weight streamer into the node's folder."""
        if not self.uses_luts:
            super().generate_hdl(model, fpgapart, clk)
            return
        self.generate_params(model, self.get_nodeattr("code_gen_dir_ipgen"))
        write_wrapper(self, f"{self.onnx_node.name}_wrapper.v", self.lut_wrapper())
        self.generate_infra_hdl(fpgapart)

    def lut_wrapper(self) -> str:
        """Return the text of the wrapper, which connects FINN's ports to those of ``lut_mvu``."""
        values = LutWrapper(
            name=self.onnx_node.name,
            mw=self.get_nodeattr("MW"),
            mh=self.get_nodeattr("MH"),
            pe=self.get_nodeattr("PE"),
            simd=self.get_nodeattr("SIMD"),
            rows=tile_lengths(self)[0],
            weights=Operand.of(self.get_input_datatype(1)),
            activations=Operand.of(self.operand_type()),
            planes=InputPlanes.of(self),
            accu_width=self.get_output_datatype().bitwidth(),
            weight_bits=self.get_instream_width_padded(1),
            in_bits=self.get_instream_width_padded(0),
            out_bits=self.get_outstream_width_padded(),
        )
        return hdl.render(__file__, "lut_mvu_wrapper.v.j2", values)


def narrowest(weights: npt.NDArray, *, one_bit: bool) -> str:
    """Return the narrowest type, of one bit or signed, that holds whole numbers.

    Args:
        weights: the whole numbers.
        one_bit: whether −1 and 1 may take one bit.
    """
    if one_bit and (np.abs(weights) == 1).all():
        return "BIPOLAR"
    return f"INT{max(2, hdl.signed_width((int(weights.min()), int(weights.max()))))}"


def tile_by_tile(words: npt.NDArray, beats: Sequence[int]) -> npt.NDArray:
    """Reorder the words of a weight memory so that all outputs of a tile follow each other.

    Args:
        words: [words, …], in FINN's order, of which a row of the matrix has ``sum(beats)``.
        beats: words of each tile in a row.
    """
    rows = words.reshape(-1, sum(beats), *words.shape[1:])
    tiles = np.split(rows, np.cumsum(beats)[:-1], axis=1)
    return np.concatenate([tile.reshape(-1, *words.shape[1:]) for tile in tiles])


def by_planes(bits: npt.NDArray[np.int64], activation_bits: int) -> npt.NDArray[np.int64]:
    """Reorder words of a weight memory to ``lut_mvu``'s order.

    Args:
        bits: bits of the weights, 0 or 1, [words, PE, SIMD, bit].
        activation_bits: bits of an activation, which determine the order of a plane's elements.

    Returns:
        The reordered bits, [words, PE, bit, SIMD].
    """
    simd = bits.shape[2]
    order = np.arange(simd)
    if simd % activation_bits == 0:
        order = order.reshape(activation_bits, -1).T.ravel()
    return bits[:, :, order].transpose(0, 1, 3, 2)


def hex_words(bits: npt.NDArray[np.int64]) -> list[str]:
    """Return words of bits, [words, …], in hexadecimal with full digits, the first bit lowest."""
    flat = bits.reshape(len(bits), -1)
    packed = np.packbits(flat.astype(np.uint8), axis=1, bitorder="little")
    digits = -(-flat.shape[1] // 4)
    return [word.tobytes()[::-1].hex()[-digits:] for word in packed]
