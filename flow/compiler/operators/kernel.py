"""Base class of FINN operators that are implemented by a module of ``hw/``."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend
from qonnx.core.datatype import DataType

from flow import hdl
from flow.errors import Defect
from flow.paths import HW

SHARED = tuple(f"kernels/stream_{name}.sv" for name in ("checker", "register", "fifo"))
"""Modules that any kernel may contain."""


@dataclass(frozen=True)
class Wrapper:
    """Values of the template ``kernel.sv.j2``."""

    name: str
    """Name of the wrapper and of the node."""
    kernel: str
    """Name of the wrapped module."""
    parameters: Mapping[str, int | str]
    """Values of the module's parameters, as SystemVerilog text."""
    inputs: Mapping[str, int]
    """Bits per beat of each input stream, by the module's name for it, in FINN's order."""
    outputs: Sequence[int]
    """Bits per beat of each output stream."""
    planes: Any = None
    """What cuts the activations of the first stream into planes; None for none."""


def write_wrapper(operator, name: str, text: str) -> None:
    """Write a node's wrapper into its folder, and record its path for FINN.

    Args:
        operator: the node's operator.
        name: name of the file.
        text: text of the wrapper, a module with the node's name.
    """
    folder = operator.get_nodeattr("code_gen_dir_ipgen")
    Path(folder, name).write_text(text)
    operator.set_nodeattr("gen_top_module", operator.onnx_node.name)
    operator.set_nodeattr("ipgen_path", folder)
    operator.set_nodeattr("ip_path", folder)


class Kernel(RTLBackend):
    """An RTL node that is a module of ``hw/`` in a wrapper with FINN's port names.

    A subclass lists this class before FINN's operator among its bases, keeps the operator's Python
    execution, and defines the sources, of which the last holds the module, and the parameters.
    """

    sources: tuple[str, ...]
    inputs: tuple[str, ...] = ("s_axis",)
    """The module's name for each input stream."""

    def parameters(self) -> dict[str, int | str]:
        """Return the module's parameters."""
        raise NotImplementedError

    def get_nodeattr_types(self):
        """Return the attributes of the operator and of FINN's RTL nodes."""
        operator = super(RTLBackend, self).get_nodeattr_types()
        return {**operator, **RTLBackend.get_nodeattr_types(self)}

    def execute_node(self, context, graph):
        """Run the operator's Python execution."""
        super(RTLBackend, self).execute_node(context, graph)

    def input_planes(self) -> Any:
        """Return what cuts the activations of the first stream into planes; None for none."""
        return None

    def wrapper(self) -> str:
        """Return the text of the wrapper, which connects FINN's streams to the module's.

        Several output streams share one port of the module, the first in the lowest bits.
        """
        values = Wrapper(
            name=self.onnx_node.name,
            kernel=Path(self.sources[-1]).stem,
            parameters=self.parameters(),
            inputs={name: self.get_instream_width_padded(i) for i, name in enumerate(self.inputs)},
            outputs=[self.get_outstream_width_padded(i) for i in range(len(self.onnx_node.output))],
            planes=self.input_planes(),
        )
        return hdl.render(__file__, "kernel.sv.j2", values)

    def generate_hdl(self, model, fpgapart, clk):
        """Write the wrapper into the node's folder."""
        write_wrapper(self, f"{self.onnx_node.name}.sv", self.wrapper())

    def get_rtl_file_list(self, abspath=False):
        """Return the kernel's sources and the wrapper."""
        folder = Path(self.get_nodeattr("code_gen_dir_ipgen")) if abspath else Path()
        sources = [str(HW / source) for source in dict.fromkeys((*SHARED, *self.sources))]
        return [*sources, str(folder / f"{self.onnx_node.name}.sv")]

    def code_generation_ipi(self):
        """Return the commands that add the node to a Vivado block design."""
        files = [f"add_files -norecurse {name}" for name in self.get_rtl_file_list(abspath=True)]
        name = self.onnx_node.name
        return [*files, f"create_bd_cell -type module -reference {name} {name}"]


class LaneOperator(HWCustomOp):
    """An operator of this project from one stream to another, of PE elements a beat each."""

    def get_nodeattr_types(self):
        """Return FINN's attribute table; the operator's own attributes come first."""
        types = {
            "NumChannels": ("i", True, 0),
            "PE": ("i", True, 1),
            "inputDataType": ("s", True, ""),
            "outputDataType": ("s", True, ""),
            "numInputVectors": ("ints", False, [1]),
            # saturation bounds, in units of the output
            "OutMin": ("i", True, 0),
            "OutMax": ("i", True, 0),
        }
        types.update(super().get_nodeattr_types())
        return types

    def get_normal_input_shape(self, ind=0):
        """Return the output's shape."""
        return self.get_normal_output_shape()

    def get_normal_output_shape(self, ind=0):
        """Return (vectors..., channels)."""
        return (*self.get_nodeattr("numInputVectors"), self.get_nodeattr("NumChannels"))

    def get_folded_input_shape(self, ind=0):
        """Return (vectors..., input channels / PE, PE)."""
        return self._folded(self.get_normal_input_shape())

    def get_folded_output_shape(self, ind=0):
        """Return (vectors..., channels / PE, PE)."""
        return self._folded(self.get_normal_output_shape())

    def _folded(self, shape: Sequence[int]) -> tuple[int, ...]:
        *vectors, channels = shape
        pe = self.get_nodeattr("PE")
        if channels % pe:
            raise Defect(f"{self.onnx_node.name}: PE {pe} does not divide {channels} channels")
        return (*vectors, channels // pe, pe)

    def get_input_datatype(self, ind=0):
        """Return the type of one element of the input."""
        return DataType[self.get_nodeattr("inputDataType")]

    def get_output_datatype(self, ind=0):
        """Return the type of one element of the output."""
        return DataType[self.get_nodeattr("outputDataType")]

    def infer_node_datatype(self, model):
        """Take the input's type from the graph, and set the output's type."""
        self.set_nodeattr("inputDataType", model.get_tensor_datatype(self.onnx_node.input[0]).name)
        model.set_tensor_datatype(self.onnx_node.output[0], self.get_output_datatype())

    def get_instream_width(self, ind=0):
        """Return the bits of an input beat."""
        return self.get_input_datatype().bitwidth() * self.get_nodeattr("PE")

    def get_outstream_width(self, ind=0):
        """Return the bits of an output beat."""
        return self.get_output_datatype().bitwidth() * self.get_nodeattr("PE")

    def get_number_output_values(self):
        """Return the output beats per image."""
        return math.prod(self.get_folded_output_shape()[:-1])
