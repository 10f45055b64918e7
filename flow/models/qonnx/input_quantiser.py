"""The quantiser of the images: one that the user asks for, or that the file's own types tell of.

It is put before the first layer, behind what only scales, shifts or reshapes the images, so that
the host does all of that.
"""

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from flow.errors import UserError
from flow.models.qonnx.tidy.edits import (
    LAYERS,
    MOST_BITS,
    constant,
    insert,
    reader,
    shape_of,
    stream_input,
)

NAME = "input_quantiser"
"""Name of the node that the user requested."""
_SHAPING = ("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity")
_WHOLE = 1e-4
"""Largest distance from a whole number, from float32's rounding."""


@dataclass(frozen=True)
class InputQuantiser:
    """Bits and range of the quantiser of the images."""

    bits: int
    low: float | None = None
    """Smallest image value; None for the data's."""
    high: float | None = None

    @classmethod
    def parse(cls, text: str) -> "InputQuantiser":
        """Read ``bits`` or ``bits,low,high``.

        Raises:
            ValueError: the text is something else.
        """
        parts = [part.strip() for part in text.split(",")]
        try:
            bits, ends = int(parts[0]), [float(part) for part in parts[1:]]
        except ValueError:
            bits, ends = 0, []
        if not 2 <= bits <= MOST_BITS or len(ends) not in (0, 2) or not np.isfinite(ends).all():
            raise ValueError(f"give 2 to {MOST_BITS} bits, such as 8, or bits and range: 8,-1,1")
        if ends and not ends[0] < ends[1]:
            raise ValueError("give the range as low,high, of which high is larger")
        return cls(bits, *ends)

    def over(self, low: float, high: float) -> "InputQuantiser":
        """Return the quantiser with its own range, or with this one if it has none."""
        if self.low is not None:
            return self
        # images that are all one value still have a step
        return InputQuantiser(self.bits, low, high if high > low else low + 1)

    def __str__(self) -> str:
        return f"{self.bits}" if self.low is None else f"{self.bits},{self.low!r},{self.high!r}"


def quantise_input(model: ModelWrapper, asked: InputQuantiser, name: str) -> None:
    """Put a quantiser before the first layer of a tidied network, in place.

    Args:
        model: the network.
        asked: bits and range, in the unit of the network's input.
        name: what messages call the network.

    Raises:
        UserError: the network quantises its images already, or not one layer alone reads them.
    """
    assert asked.low is not None and asked.high is not None
    place = _place(model)
    if place is None:
        raise UserError(
            f"{name} quantises its images already, or reads them in several places: leave the "
            "input quantiser out"
        )
    low, high = sorted(place.gain * end + place.shift for end in (asked.low, asked.high))
    largest = 2**asked.bits - 1
    if low >= 0:
        scale, signed = high / largest, 0
    else:
        half = (largest + 1) // 2
        scale, signed = max(-low / half, high / (half - 1)), 1
    _insert(model, place, scale, asked.bits, signed, NAME)


def quantise_declared(model: ModelWrapper) -> bool:
    """Quantise images that the file declares to be whole numbers; a rule of `tidy.rules`."""
    datatype = model.get_tensor_datatype(model.graph.input[0].name)
    place = _place(model)
    if place is None or not datatype.is_integer() or datatype.bitwidth() > MOST_BITS:
        return False
    ends = [place.gain * end + place.shift for end in (datatype.min(), datatype.max())]
    low, high = min(ends), max(ends)
    bipolar = datatype == DataType["BIPOLAR"]
    for scale in [high - low] * bipolar + [abs(place.gain)]:
        first, last = round(low / scale), round(high / scale)
        if abs(first - low / scale) + abs(last - high / scale) < _WHOLE:
            break
    else:
        return False
    signed = int(first < 0)
    fits = (
        bits
        for bits in range(2, MOST_BITS + 1)
        if -signed * 2 ** (bits - 1) <= first and last < 2 ** (bits - signed)
    )
    if (bits := next(fits, None)) is None:
        return False
    _insert(model, place, scale, bits, signed, "declared_input")
    return True


def forget_declared(model: ModelWrapper) -> bool:
    """Take images for real numbers, which the host quantises; a rule of `tidy.rules`."""
    name = model.graph.input[0].name
    if model.get_tensor_datatype(name) == DataType["FLOAT32"]:
        return False
    model.set_tensor_datatype(name, DataType["FLOAT32"])
    return True


@dataclass(frozen=True)
class _Place:
    """The stream that the first layer reads: gain · images + shift."""

    layer: NodeProto
    stream: str
    gain: float
    shift: float


def _place(model: ModelWrapper) -> _Place | None:
    """Return where the first layer reads the images; None if they are quantised before it."""
    stream, gain, shift = model.graph.input[0].name, 1.0, 0.0
    while (node := reader(model, stream)) is not None:
        if node.op_type in LAYERS and node.input[0] == stream:
            return _Place(node, stream, gain, shift)
        line = _line(model, node)
        if line is None:
            return None
        gain, shift = gain * line[0], shift * line[0] + line[1]
        stream = node.output[0]
    return None


def _line(model: ModelWrapper, node: NodeProto) -> tuple[float, float] | None:
    """Return gain and shift of a node, the same for all values; None if it is no such line."""
    if node.op_type in _SHAPING and stream_input(model, node) == 0:
        return 1.0, 0.0
    value = model.get_initializer(node.input[1]) if len(node.input) == 2 else None
    if value is None or value.size != 1:
        return None
    number = float(value.item())
    if node.op_type in ("Add", "Sub"):
        return 1.0, number if node.op_type == "Add" else -number
    if node.op_type in ("Mul", "Div") and number:
        return (number if node.op_type == "Mul" else 1 / number), 0.0
    return None


def _insert(
    model: ModelWrapper, place: _Place, scale: float, bits: int, signed: int, name: str
) -> None:
    constants = [constant(model, value) for value in (scale, 0, bits)]
    output = insert(
        model,
        place.layer,
        "Quant",
        [place.stream, *constants],
        shape_of(model, place.stream),
        signed=signed,
        narrow=0,
        rounding_mode="ROUND",
    )
    place.layer.input[0] = output
    node = next(one for one in model.graph.node if output in one.output)
    node.name = name
