"""Nearest upsampling in RTL."""

import numpy as np
from finn.custom_op.fpgadataflow.upsampler import UpsampleNearestNeighbour as Plain

from flow.compiler.operators.kernel import Kernel


class UpsampleNearestNeighbour(Plain):
    """FINN's nearest upsampling, whose execution keeps values of any width."""

    @property
    def factors(self) -> tuple[int, int]:
        """How often each row and each pixel leaves."""
        rows, columns = (
            self.get_nodeattr(f"{side}O") // self.get_nodeattr(f"{side}I") for side in "HW"
        )
        return rows, columns

    def execute_node(self, context, graph):
        """Repeat pixels and rows."""
        rows, columns = self.factors
        image = context[self.onnx_node.input[0]]
        context[self.onnx_node.output[0]] = np.repeat(np.repeat(image, rows, 1), columns, 2)


class UpsampleNearestNeighbour_rtl(Kernel, UpsampleNearestNeighbour):
    """``hw/kernels/upsampler.sv``."""

    sources = ("kernels/upsampler.sv",)

    def lut_estimation(self, fpgapart=None):
        """Return the number of LUTs: a memory of one row, and a choice of two for each bit."""
        *_, columns, folds, _ = self.get_folded_input_shape()
        return self.get_instream_width() * (1 + -(-columns * folds // 64))

    def parameters(self):
        """Return the module's parameters."""
        *_, columns, folds, _ = self.get_folded_input_shape()
        down, across = self.factors
        return {
            "WIDTH": self.get_instream_width(),
            "FOLDS": folds,
            "COLUMNS": columns,
            "ACROSS": across,
            "DOWN": down,
        }
