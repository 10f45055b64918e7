"""Thresholding in RTL, ``hw/kernels/thresholds.sv``, as FINN's operator."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from finn.custom_op.fpgadataflow.thresholding import Thresholding as PlainThresholding
from qonnx.core.datatype import DataType

from flow import hdl
from flow.compiler.operators.kernel import Kernel


class Thresholding(PlainThresholding):
    """FINN's thresholding, extended by channels that fall where their input rises.

    The attribute ``Falling`` has a 1 for each channel that counts the thresholds above its input,
    in place of those that are not, and a 0 for each other one; it is empty if no channel falls.
    """

    def get_nodeattr_types(self):
        """Return FINN's attributes, and which channels fall."""
        return super().get_nodeattr_types() | {"Falling": ("ints", False, [])}

    def execute_node(self, context, graph):
        """Run FINN's execution, and mirror what falls."""
        super().execute_node(context, graph)
        if falling := list(self.get_nodeattr("Falling")):
            name = self.onnx_node.output[0]
            ends = 2 * self.get_nodeattr("ActVal") + self.get_nodeattr("numSteps")
            if self.get_output_datatype() == DataType["BIPOLAR"]:
                ends = 0
            rising = context[name]
            context[name] = np.where(falling, ends - rising, rising).astype(np.float32)


class Thresholding_rtl(Kernel, Thresholding):
    """Thresholds in RTL, ``hw/kernels/thresholds.sv``.

    FINN's RTL is a pipelined binary search with one stage per output bit and a port to rewrite
    thresholds. Its registers change in every clock, which costs a simulation more than all
    comparisons.
    """

    sources = ("kernels/thresholds.sv",)

    def lut_estimation(self, fpgapart=None):
        """Return the number of LUTs: half a LUT per compared bit, the count, and its mirror."""
        steps = self.get_nodeattr("numSteps")
        each = steps * -(-self.get_input_datatype(1).bitwidth() // 2) + steps
        if self.get_nodeattr("Falling"):
            each += self.get_output_datatype().bitwidth()
        return self.get_nodeattr("PE") * each

    def generate_hdl(self, model, fpgapart, clk):
        """Write the wrapper and the thresholds into the node's folder."""
        super().generate_hdl(model, fpgapart, clk)
        path = Path(self.get_nodeattr("code_gen_dir_ipgen"), self._memory)
        lanes, bits = self.get_nodeattr("PE"), self.get_input_datatype(1).bitwidth()
        thresholds = model.get_initializer(self.onnx_node.input[1])
        channels = self.get_nodeattr("NumChannels")
        everywhere = np.broadcast_to(thresholds, (channels, thresholds.shape[1]))
        path.write_text(memory_text(everywhere.astype(np.int64), lanes, bits))

    @property
    def _memory(self) -> str:
        return f"{self.onnx_node.name}_thresholds.dat"

    def parameters(self):
        """Return the module's parameters."""
        idt, wdt = self.get_input_datatype(0), self.get_input_datatype(1)
        falling = [int(one) for one in self.get_nodeattr("Falling")]
        return ({"FALLING": hdl.packed(falling, 1)} if falling else {}) | {
            "CHANNELS": self.get_nodeattr("NumChannels"),
            "PE": self.get_nodeattr("PE"),
            "STEPS": self.get_nodeattr("numSteps"),
            "IN_WIDTH": idt.bitwidth(),
            "IN_SIGNED": int(idt.signed()),
            "THRESHOLD_WIDTH": wdt.bitwidth(),
            "THRESHOLD_SIGNED": int(wdt.signed()),
            "BIAS": self.get_nodeattr("ActVal"),
            "OUT_WIDTH": self.get_output_datatype().bitwidth(),
            "FILE": f'"./{self._memory}"',
        }


def memory_text(thresholds: npt.NDArray[np.int64], lanes: int, bits: int) -> str:
    """Return the contents of a unit's memory in hexadecimal, one line per beat.

    Args:
        thresholds: [channels, steps], whole numbers.
        lanes: channels per beat; the first channel, and its first threshold, are in the lowest
        bits.
        bits: bits of a threshold, in two's complement.
    """
    rows = thresholds.reshape(len(thresholds) // lanes, -1)
    digits = -(-rows.shape[1] * bits // 4)
    return "".join(f"{hdl.pack(row, bits):0{digits}x}\n" for row in rows.tolist())
