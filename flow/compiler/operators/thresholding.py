"""Thresholding in RTL, ``hw/kernels/thresholds.sv``, as FINN's operator."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from finn.custom_op.fpgadataflow.thresholding import Thresholding as PlainThresholding
from qonnx.core.datatype import DataType

from flow import hdl
from flow.compiler.operators.kernel import Kernel


class Thresholding(PlainThresholding):
    """FINN's thresholding, extended by steps and channels that fall where their input rises.

    The attribute ``Falls`` has a 1 for each step that counts where its threshold is above the
    input, in place of where it is not, and a 0 for each other one; ``Falling`` has a 1 for each
    channel of which all steps do the opposite. Each is empty if nothing falls.
    """

    def get_nodeattr_types(self):
        """Return FINN's attributes, and which steps and channels fall."""
        more = dict.fromkeys(("Falls", "Falling"), ("ints", False, []))
        return super().get_nodeattr_types() | more

    def execute_node(self, context, graph):
        """Run FINN's execution, and mirror what falls."""
        node = self.onnx_node
        values, rows = context[node.input[0]], context[node.input[1]]
        super().execute_node(context, graph)
        steps, name = self.get_nodeattr("numSteps"), node.output[0]
        bipolar = self.get_output_datatype() == DataType["BIPOLAR"]
        unit, ends = (2, 0) if bipolar else (1, 2 * self.get_nodeattr("ActVal") + steps)
        counts = context[name]
        if falls := np.flatnonzero(self.get_nodeattr("Falls")).tolist():
            reached = (values[..., None] >= rows[:, falls]).sum(-1)
            counts = counts + unit * (len(falls) - 2 * reached)
        if falling := list(self.get_nodeattr("Falling")):
            counts = np.where(falling, ends - counts, counts)
        context[name] = counts.astype(np.float32)


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
        falls, falling = ([int(one) for one in self.get_nodeattr(n)] for n in ("Falls", "Falling"))
        return {
            **({"FALLS": hdl.packed(falls, 1)} if falls else {}),
            **({"FALLING": hdl.packed(falling, 1)} if falling else {}),
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
