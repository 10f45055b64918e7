"""What the hardware knows of a tap: its scale, shape and widths."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TapSite:
    """A tap of the accelerator."""

    name: str
    number: int
    scale: float
    """Units of the network per LSB: σ in LSB = σ / scale."""
    scale_error: float
    """Largest difference to the Brevitas network on the calibration images, relative."""
    node: str
    channels: int
    pixels: int
    in_bits: int
    out_bits: int
    fraction_bits: int
    negated: list[int]
    """Channels whose sign FINN turned: there real = −scale · (integer + offset)."""
