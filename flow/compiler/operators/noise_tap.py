"""The noise tap as a FINN operator: its streams, its execution without noise, and its RTL."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flow import hdl
from flow.compiler.operators.kernel import Kernel, LaneOperator


class NoiseTap(LaneOperator):
    """A tap on a stream edge, where noise enters.

    FINN executes it without noise (σ = 0): values are widened by ``FracBits`` fractional bits, or
    pass unchanged if ``Rounds`` is 1. Only the golden model and the RTL apply noise.
    """

    def get_nodeattr_types(self):
        """Return the attributes of an operator of lanes, and the tap's own."""
        types = {
            # σ = 0 widens by this many fractional bits
            "FracBits": ("i", True, 8),
            # 1: output rounded to integers, for sites whose stream keeps its type
            "Rounds": ("i", False, 0, {0, 1}),
            # step of a rounded output: 2 for a one-bit stream of −1 and 1
            "Step": ("i", False, 1, {1, 2}),
            # site's name, and its number in the noise counter
            "SiteName": ("s", True, ""),
            "Site": ("i", True, 0),
            # o of the accumulator's real value scale · (acc + o), times 2^FracBits, per channel
            "Offsets": ("ints", False, []),
            # parts of the tap: flow.noise.hardware.kinds.parameter
            "Kinds": ("i", False, 63),
            # generator of the synthesised tap: flow.compiler.folding.taps.Generator
            "Cores": ("i", False, 0),
            "Sources": ("i", False, 1),
            "DigestLanes": ("i", False, 0),
        }
        return super().get_nodeattr_types() | types

    def get_exp_cycles(self):
        """Return the cycles per image, one per beat."""
        return self.get_number_output_values()

    def execute_node(self, context, graph):
        """Run the tap without noise."""
        values = context[self.onnx_node.input[0]]
        if not self.get_nodeattr("Rounds"):
            values = values * 2.0 ** self.get_nodeattr("FracBits")
        clipped = np.clip(values, self.get_nodeattr("OutMin"), self.get_nodeattr("OutMax"))
        context[self.onnx_node.output[0]] = clipped.astype(np.float32)


@dataclass(frozen=True)
class TapWrapper:
    """Values of the template ``noise_tap.sv.j2``."""

    name: str
    """Name of the wrapper and of the node."""
    site_name: str
    site: int
    """Number of the site in the noise counter."""
    channels: int
    pe: int
    pixels: int
    in_width: int
    """Bits of an element of the input."""
    in_signed: bool
    in_bits: int
    """Bits of an input beat, whole bytes."""
    fraction_bits: int
    rounds: bool
    """Whether values are rounded back to integers."""
    bipolar: bool
    """Whether the streams hold −1 and 1, one bit each."""
    out_width: int
    """Bits of an element of the output."""
    out_signed: bool
    out_bits: int
    """Bits of an output beat, whole bytes."""
    out_min: int
    out_max: int
    offset_width: int
    """Bits of an offset."""
    offsets: Sequence[int]
    """Offset of each channel."""
    kinds: int
    """Parts of the tap: a bit for each of `flow.noise.hardware.kinds.PARTS`."""
    cores: int
    """Philox cores of each source of samples, in synthesis; a simulator unrolls them."""
    sources: int
    """Sources of samples, in synthesis."""
    digest_lanes: int
    """Elements of the output that are hashed per clock, in synthesis; a simulator hashes all."""


class NoiseTap_rtl(Kernel, NoiseTap):
    """Noise tap in RTL, ``hw/noise/noise_tap.sv``."""

    sources = (
        "noise/gaussian_pkg.sv",
        "noise/gaussian.sv",
        "noise/philox4x32.sv",
        "noise/noise_tap_pkg.sv",
        "noise/tap_settings.sv",
        "noise/stream_digest.sv",
        "noise/tap_position.sv",
        "noise/unrolled_samples.sv",
        "noise/drift_levels.sv",
        "noise/noise_lanes.sv",
        "noise/adc.sv",
        "noise/noise_output.sv",
        "noise/unrolled_path.sv",
        "noise/delay.sv",
        "noise/pipelined_product.sv",
        "noise/philox_core.sv",
        "noise/sample_requests.sv",
        "noise/table_samples.sv",
        "noise/sample_rows.sv",
        "noise/sample_source.sv",
        "noise/serial_drift.sv",
        "noise/pipelined_lane.sv",
        "noise/serial_mean.sv",
        "noise/serial_adc.sv",
        "noise/serial_output.sv",
        "noise/iterated_samples.sv",
        "noise/iterated_path.sv",
        "noise/noise_tap.sv",
    )

    def wrapper(self):
        """Return the text of the wrapper: FINN's streams, the settings bus and the digest."""
        idt, odt = self.get_input_datatype(), self.get_output_datatype()
        channels = self.get_nodeattr("NumChannels")
        offsets = self.get_nodeattr("Offsets") or [0] * channels
        values = TapWrapper(
            name=self.onnx_node.name,
            site_name=self.get_nodeattr("SiteName"),
            site=self.get_nodeattr("Site"),
            channels=channels,
            pe=self.get_nodeattr("PE"),
            pixels=math.prod(self.get_nodeattr("numInputVectors")),
            in_width=idt.bitwidth(),
            in_signed=idt.signed(),
            in_bits=self.get_instream_width_padded(),
            fraction_bits=self.get_nodeattr("FracBits"),
            rounds=bool(self.get_nodeattr("Rounds")),
            bipolar=self.get_nodeattr("Step") == 2,
            out_width=odt.bitwidth(),
            out_signed=odt.signed(),
            out_bits=self.get_outstream_width_padded(),
            out_min=self.get_nodeattr("OutMin"),
            out_max=self.get_nodeattr("OutMax"),
            offset_width=hdl.signed_width(offsets),
            offsets=offsets,
            kinds=self.get_nodeattr("Kinds"),
            cores=self.get_nodeattr("Cores"),
            sources=self.get_nodeattr("Sources"),
            digest_lanes=self.get_nodeattr("DigestLanes"),
        )
        return hdl.render(__file__, "noise_tap.sv.j2", values)
