"""Partial sums as FINN operators: units that give them, and what adds them up."""

import math

import numpy as np
from finn.custom_op.fpgadataflow.matrixvectoractivation import MVAU as FinnMVAU
from finn.custom_op.fpgadataflow.vectorvectoractivation import VVAU as FinnVVAU
from qonnx.core.datatype import DataType

from flow import hdl
from flow.compiler.operators.kernel import Kernel, LaneOperator
from flow.golden.units import partial_sums, planes, tile_lengths

PLANES = {"Planes": ("i", False, 1), "PlaneBits": ("i", False, 0)}
"""Attributes of a node that works on planes of activations: their number, and bits of each."""


class PartialSums:
    """Part of a unit's class: with some attributes it gives several sums for each output.

    With ``Planes`` it takes its activations in planes of ``PlaneBits`` bits, a pass each. With
    ``Rows`` it gives a sum per tile: tile t covers the weights' rows t · Rows and those after it,
    and the last tile may be shorter; 0 means a whole product. The output is
    [..., planes · tiles · MH], the first plane's tiles first.
    """

    def get_nodeattr_types(self):
        """Return FINN's attributes, the rows of a tile, and the planes."""
        return super().get_nodeattr_types() | {"Rows": ("i", False, 0)} | PLANES

    def get_normal_output_shape(self, ind=0):
        """Return (vectors..., planes · tiles · MH)."""
        *vectors, height = super().get_normal_output_shape(ind)
        return (*vectors, partial_sums(self) * height)

    def get_folded_output_shape(self, ind=0):
        """Return (vectors..., planes · tiles · MH / PE, PE)."""
        *vectors, folds, pe = super().get_folded_output_shape(ind)
        return (*vectors, partial_sums(self) * folds, pe)

    def get_exp_cycles(self):
        """Return the cycles per image, as many for each plane."""
        return planes(self).count * super().get_exp_cycles()

    def operand_type(self):
        """Return the type of what is multiplied by the weights at a time: of a plane, if any."""
        datatype, bits = self.get_input_datatype(0), self.get_nodeattr("PlaneBits")
        if planes(self).count == 1:
            return datatype
        return DataType[f"INT{bits + 1}" if datatype.signed() else f"UINT{bits}"]

    def execute_node(self, context, graph):
        """Multiply plane by plane and tile by tile."""
        if partial_sums(self) == 1:
            super().execute_node(context, graph)
            return
        stream, output = self.onnx_node.input[0], self.onnx_node.output[0]
        cut = planes(self).cut(context[stream])
        sums = [one for plane in cut for one in self._sums({**context, stream: plane}, graph)]
        context[output] = np.concatenate(sums, axis=-1)

    def _sums(self, context, graph):
        """Return each tile's sums of the activations in the context."""
        stream, weights = (context[name] for name in self.onnx_node.input[:2])
        ends = np.cumsum(tile_lengths(self))[:-1]
        values = np.split(stream.reshape(self.get_normal_input_shape()), ends, axis=-1)
        return [one @ own for one, own in zip(values, np.split(weights, ends), strict=True)]


class MVAU(PartialSums, FinnMVAU):
    """FINN's matrix-vector unit before a variant is chosen."""


class VVAU(PartialSums, FinnVVAU):
    """FINN's vector-vector unit before a variant is chosen; it has no tiles."""

    def _sums(self, context, graph):
        """Return the sums of the activations in the context."""
        FinnVVAU.execute_node(self, context, graph)
        return [context[self.onnx_node.output[0]]]


class TileAccumulator(LaneOperator):
    """Sum over the planes and tiles of a layer, saturated to ``OutMin``..``OutMax``."""

    def get_nodeattr_types(self):
        """Return the attributes of an operator of lanes, and the number of tiles and planes."""
        return super().get_nodeattr_types() | {"Tiles": ("i", True, 1)} | PLANES

    @property
    def sums(self) -> int:
        """Partial sums of an output."""
        return planes(self).count * self.get_nodeattr("Tiles")

    def get_normal_input_shape(self, ind=0):
        """Return (vectors..., planes · tiles · channels)."""
        *vectors, channels = self.get_normal_output_shape()
        return (*vectors, self.sums * channels)

    def get_exp_cycles(self):
        """Return the cycles per image, one per input beat."""
        return math.prod(self.get_folded_input_shape()[:-1])

    def execute_node(self, context, graph):
        """Add the tiles, and the planes by their weights."""
        *vectors, channels = self.get_normal_output_shape()
        values = context[self.onnx_node.input[0]].astype(np.float64)
        weights = np.array(planes(self).weights, dtype=np.float64)
        of_planes = values.reshape(*vectors, len(weights), -1, channels).sum(-2)
        sums = (of_planes * weights[:, None]).sum(-2)
        clipped = np.clip(sums, self.get_nodeattr("OutMin"), self.get_nodeattr("OutMax"))
        context[self.onnx_node.output[0]] = clipped.astype(np.float32)


class TileAccumulator_rtl(Kernel, TileAccumulator):
    """The sum over planes and tiles in RTL, ``hw/kernels/tile_accumulator.sv``."""

    sources = ("kernels/tile_accumulator.sv",)

    def lut_estimation(self, fpgapart=None):
        """Return the number of LUTs: an adder and a memory of the sums, and the saturation."""
        most = self.get_nodeattr("Tiles") * sum(planes(self).weights)
        width = self.get_input_datatype().bitwidth() + (most - 1).bit_length()
        folds = self.get_nodeattr("NumChannels") // self.get_nodeattr("PE")
        each = width * (1 + -(-folds // 64)) + self.get_output_datatype().bitwidth()
        return self.get_nodeattr("PE") * each

    def parameters(self):
        """Return the module's parameters."""
        return {
            "CHANNELS": self.get_nodeattr("NumChannels"),
            "PE": self.get_nodeattr("PE"),
            "TILES": self.get_nodeattr("Tiles"),
            "PLANES": planes(self).count,
            "PLANE_BITS": planes(self).bits,
            "IN_WIDTH": self.get_input_datatype().bitwidth(),
            "OUT_WIDTH": self.get_output_datatype().bitwidth(),
            "OUT_MIN": hdl.signed(self.get_nodeattr("OutMin"), 64),
            "OUT_MAX": hdl.signed(self.get_nodeattr("OutMax"), 64),
        }
