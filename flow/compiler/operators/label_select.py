"""Label select: the arg-max of the last layer."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from finn.custom_op.fpgadataflow.labelselect import LabelSelect as PlainLabelSelect

from flow import hdl
from flow.compiler.operators.kernel import Kernel

_ROUNDED = 2.0**-22
"""Relative error of a gain that float32's own rounding explains."""
GAIN_BITS = 20
"""Bits to which gains are rounded, relative to the largest of them."""


def whole_gains(gains: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], float]:
    """Return gains as integers, [C], and their common unit.

    Ratios of small whole numbers are exact. Else the unit is 2^−GAIN_BITS of the largest gain, or
    of a power of two; of these, the one with smaller errors. So gains of few bits and ratios of
    powers of two are exact too.

    Args:
        gains: gains of the classes, [C], none of them 0.
    """
    largest, smallest = np.abs(gains).max(), np.abs(gains).min()
    for parts in range(1, 1 << GAIN_BITS // 2):
        ratios = gains / smallest * parts
        whole = np.round(ratios)
        if np.abs(whole).max() >= 1 << GAIN_BITS:
            break
        if (np.abs(ratios - whole) <= np.abs(whole) * _ROUNDED).all():
            return whole.astype(np.int64), float(smallest / parts)
    units = [unit / (1 << GAIN_BITS) for unit in (largest, 2.0 ** np.floor(np.log2(largest)))]
    unit = min(units, key=lambda one: np.abs(gains / one - np.round(gains / one)).max())
    whole = np.round(gains / unit).astype(np.int64)
    common = np.gcd.reduce(whole)
    return whole // common, float(unit * common)


@dataclass(frozen=True)
class Comparison:
    """Integers that compare values: value · gain · 2^shift + offset."""

    shift: int = 0
    gains: list[int] = field(default_factory=list)
    """Gain of each class; 1 if there are none."""
    offsets: list[int] = field(default_factory=list)
    """Offset of each class; 0 if there are none."""

    def __call__(self, values: npt.NDArray) -> npt.NDArray[np.int64]:
        """Return the compared numbers, [N, classes], for values [N, classes]."""
        scaled = values.astype(np.int64) * (self.gains or 1) * (1 << self.shift)
        return scaled + (self.offsets or 0)


class LabelSelect(PlainLabelSelect):
    """FINN's label select, extended by a gain and an offset of each class before comparison.

    Compared is gain · value + offset. The attributes ``Gains``, integers, and ``Offsets`` have one
    number per class, or are empty. Of a single value (``Labels`` 1) the label is whether it is 0 or
    more.
    """

    def get_nodeattr_types(self):
        """Return FINN's attributes, the gains and the offsets."""
        lists = {"Gains": ("ints", False, []), "Offsets": ("floats", False, [])}
        return super().get_nodeattr_types() | lists

    def comparison(self) -> Comparison:
        """Return integers with which values compare exactly as with the gains and offsets.

        The larger of two sums of an integer and an offset has the larger integer part, or else the
        larger fraction. There are at most as many fractions as classes, so their rank suffices.
        """
        # rounded to float32's precision in the hundreds, so a bias of whole LSB is an integer
        offsets = np.round(np.array(self.get_nodeattr("Offsets"), np.float64), 4)
        whole = np.floor(offsets)
        fractions, rank = np.unique(offsets - whole, return_inverse=True)
        shift = max(len(fractions) - 1, 0).bit_length()
        summands = whole.astype(np.int64) * (1 << shift) + rank
        return Comparison(shift, [int(g) for g in self.get_nodeattr("Gains")], summands.tolist())

    def execute_node(self, context, graph):
        """Run FINN's execution on equivalent numbers that float32 can represent."""
        name, comparison = self.onnx_node.input[0], self.comparison()
        given = context[name]
        if self.get_nodeattr("Labels") == 1:
            label = comparison(given) >= 0
            context[self.onnx_node.output[0]] = label.astype(np.float32)
            return
        if comparison != Comparison():
            _, rank = np.unique(comparison(given), return_inverse=True)
            context[name] = rank.reshape(given.shape).astype(np.float32)
        super().execute_node(context, graph)
        context[name] = given


class LabelSelect_rtl(Kernel, LabelSelect):
    """Label select in RTL, ``hw/kernels/label_select.sv``."""

    sources = ("kernels/label_select.sv",)

    def parameters(self):
        """Return the module's parameters."""
        idt, comparison = self.get_input_datatype(), self.comparison()
        labels = self.get_nodeattr("Labels")
        offsets = comparison.offsets or [0] * labels
        width = hdl.signed_width(offsets)
        gains = {}
        if comparison.gains:
            bits = hdl.signed_width(comparison.gains)
            gains = {"GAIN_WIDTH": bits, "GAINS": hdl.packed(comparison.gains, bits)}
        return gains | {
            "LABELS": labels,
            "SHIFT": comparison.shift,
            "OFFSET_WIDTH": width,
            "OFFSETS": hdl.packed(offsets, width),
            "PE": self.get_nodeattr("PE"),
            "K": self.get_nodeattr("K"),
            "IN_WIDTH": idt.bitwidth(),
            "IN_SIGNED": int(idt.signed()),
            "OUT_WIDTH": self.get_output_datatype().bitwidth(),
        }
