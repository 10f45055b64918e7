"""Properties of a tap in hardware: its scale, shape and format."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TapSite:
    """A tap of the accelerator."""

    name: str
    number: int
    scale: float
    """Units of the network per LSB: σ in LSB = σ / scale."""
    scale_error: float
    """Largest relative difference from the Brevitas network on the calibration images."""
    node: str
    channels: int
    pixels: int
    in_bits: int
    out_bits: int
    fraction_bits: int
    negated: list[int]
    """Channels that FINN negated, for which real = −scale · (integer + offset)."""
    std: float
    """Standard deviation of the values on the calibration images, in the unit of σ."""
    range: float
    """Largest absolute value on the calibration images, in the unit of σ."""
