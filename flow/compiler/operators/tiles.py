"""Tiled layers as FINN operators: units that give a sum per tile, and what adds the sums up."""

import math

import numpy as np
from finn.custom_op.fpgadataflow.matrixvectoractivation import MVAU as FinnMVAU

from flow import hdl
from flow.compiler.operators.kernel import Kernel, LaneOperator
from flow.golden.units import tile_lengths


class Tiled:
    """Part of a matrix-vector unit's class: with the attribute ``Rows`` it gives sums per tile.

    Tile t covers the weights' rows t · Rows and those after it, and the last tile may be shorter.
    The output is [..., tiles · MH], the first tile's sums first. 0 means a whole product.
    """

    def get_nodeattr_types(self):
        """Return FINN's attributes and the rows of a tile."""
        return super().get_nodeattr_types() | {"Rows": ("i", False, 0)}

    def get_normal_output_shape(self, ind=0):
        """Return (vectors..., tiles · MH)."""
        *vectors, height = super().get_normal_output_shape(ind)
        return (*vectors, len(tile_lengths(self)) * height)

    def get_folded_output_shape(self, ind=0):
        """Return (vectors..., tiles · MH / PE, PE)."""
        *vectors, folds, pe = super().get_folded_output_shape(ind)
        return (*vectors, len(tile_lengths(self)) * folds, pe)

    def execute_node(self, context, graph):
        """Multiply tile by tile."""
        lengths = tile_lengths(self)
        if len(lengths) == 1:
            super().execute_node(context, graph)
            return
        stream, weights = self.onnx_node.input[:2]
        ends = np.cumsum(lengths)[:-1]
        values = np.split(context[stream].reshape(self.get_normal_input_shape()), ends, axis=-1)
        matrices = np.split(context[weights], ends)
        sums = [v @ w for v, w in zip(values, matrices, strict=True)]
        context[self.onnx_node.output[0]] = np.concatenate(sums, axis=-1)


class MVAU(Tiled, FinnMVAU):
    """FINN's matrix-vector unit before a variant is chosen."""


class TileAccumulator(LaneOperator):
    """Sum over the tiles of a layer, saturated to ``OutMin``..``OutMax``."""

    def get_nodeattr_types(self):
        """Return the attributes of an operator of lanes, and the number of tiles."""
        return super().get_nodeattr_types() | {"Tiles": ("i", True, 1)}

    def get_normal_input_shape(self, ind=0):
        """Return (vectors..., tiles · channels)."""
        *vectors, channels = self.get_normal_output_shape()
        return (*vectors, self.get_nodeattr("Tiles") * channels)

    def get_exp_cycles(self):
        """Return the cycles per image, one per input beat."""
        return math.prod(self.get_folded_input_shape()[:-1])

    def execute_node(self, context, graph):
        """Add the tiles."""
        shape = self.get_normal_output_shape()
        values = context[self.onnx_node.input[0]].astype(np.float64)
        sums = values.reshape(*shape[:-1], -1, shape[-1]).sum(-2)
        clipped = np.clip(sums, self.get_nodeattr("OutMin"), self.get_nodeattr("OutMax"))
        context[self.onnx_node.output[0]] = clipped.astype(np.float32)


class TileAccumulator_rtl(Kernel, TileAccumulator):
    """The sum over tiles in RTL, ``hw/kernels/tile_accumulator.sv``."""

    sources = ("kernels/tile_accumulator.sv",)

    def lut_estimation(self, fpgapart=None):
        """Return the number of LUTs: an adder and a memory of the sums, and the saturation."""
        width = self.get_input_datatype().bitwidth() + (self.get_nodeattr("Tiles") - 1).bit_length()
        folds = self.get_nodeattr("NumChannels") // self.get_nodeattr("PE")
        each = width * (1 + -(-folds // 64)) + self.get_output_datatype().bitwidth()
        return self.get_nodeattr("PE") * each

    def parameters(self):
        """Return the module's parameters."""
        return {
            "CHANNELS": self.get_nodeattr("NumChannels"),
            "PE": self.get_nodeattr("PE"),
            "TILES": self.get_nodeattr("Tiles"),
            "IN_WIDTH": self.get_input_datatype().bitwidth(),
            "OUT_WIDTH": self.get_output_datatype().bitwidth(),
            "OUT_MIN": hdl.signed(self.get_nodeattr("OutMin"), 64),
            "OUT_MAX": hdl.signed(self.get_nodeattr("OutMax"), 64),
        }
