"""Properties of a tap in hardware: its scale, shape and format."""

from dataclasses import dataclass

from flow.noise.adc import Adc
from flow.noise.hardware.registers import sigma_fraction_bits


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
    clip: float
    """The 99.9th percentile of the absolute values on the calibration images, in the unit of σ: the
    usual range of an ADC."""
    signed: bool
    """Whether the integers of the calibration images, with their offsets, include negative ones."""

    @property
    def sigma_bits(self) -> int:
        """Fractional bits of the register of σₐ."""
        return sigma_fraction_bits(self.in_bits)

    def adc(self, bits: int, full_scale: float) -> Adc:
        """Return a converter of the tap; arguments and errors as of `Adc.of_range`."""
        unit = self.scale / (1 << self.fraction_bits)
        return Adc.of_range(bits, full_scale, unit, signed=self.signed, negated=self.negated)
