"""Sides of a cross-check: the ways of computing what a noisy network predicts."""

from enum import StrEnum
from typing import Self


class Side(StrEnum):
    """One way of computing what a noisy network predicts.

    Its value is its name in stored points and in tables.
    """

    label: str
    """Name in the report, in full."""
    short: str
    """Key in a site's entry of the summary: ``mu_sw``, ``k_sw``."""
    clean_key: str
    """Key of what it measured without noise, in the summary's ``clean``."""
    colour: str
    """Colour by Okabe and Ito; marker and line style distinguish the sides without it."""
    marker: str
    """Matplotlib's code."""
    line: str
    """Matplotlib's line style of the fitted curve; empty where none is drawn."""

    SOFTWARE = "software", "software (Brevitas)", "sw", "brevitas", "#0072B2", "o", "-"
    GOLDEN = (
        "golden", "golden (integer model, not simulated)", "golden", "golden", "#D55E00", "s", "--"
    )  # fmt: skip
    RTL = "rtl", "RTL (simulated)", "rtl", "rtl", "#000000", "D", ""
    SOFTWARE_HARDWARE_RNG = (
        "software-hwdraws", "software (Brevitas), hardware's draws", "crn", "brevitas", "#009E73",
        "^", "",
    )  # fmt: skip
    INTEGER = (
        "integer", "integer model, float noise", "integer", "golden", "#CC79A7", "v", "",
    )  # fmt: skip
    INTEGER_HARDWARE_RNG = (
        "integer-hwdraws", "integer model, float noise, hardware's draws", "integer_crn", "golden",
        "#56B4E9", "x", "",
    )  # fmt: skip

    def __new__(
        cls,
        value: str,
        label: str = "",
        short: str = "",
        clean_key: str = "",
        colour: str = "",
        marker: str = "",
        line: str = "",
    ) -> Self:
        side = str.__new__(cls, value)
        side._value_ = value
        side.label, side.short, side.clean_key = label, short, clean_key
        side.colour, side.marker, side.line = colour, marker, line
        return side

    @property
    def is_software(self) -> bool:
        """Whether it runs the Brevitas network."""
        return self in (Side.SOFTWARE, Side.SOFTWARE_HARDWARE_RNG)

    @property
    def has_hardware_rng(self) -> bool:
        """Whether it has noise in floating point with the hardware's random numbers."""
        return self in (Side.SOFTWARE_HARDWARE_RNG, Side.INTEGER_HARDWARE_RNG)

    @property
    def has_torch_rng(self) -> bool:
        """Whether its random numbers are torch's, which depend on the batch."""
        return self in (Side.SOFTWARE, Side.INTEGER)

    @property
    def without_noise(self) -> "Side":
        """The side that computes the same where there is no noise."""
        if self.is_software:
            return Side.SOFTWARE
        return Side.RTL if self is Side.RTL else Side.GOLDEN


SOFTWARE = (Side.SOFTWARE, Side.SOFTWARE_HARDWARE_RNG)
INTEGER = (Side.INTEGER, Side.INTEGER_HARDWARE_RNG)
SHOWN = (Side.SOFTWARE, Side.GOLDEN, Side.RTL)
"""Sides of every hardware walk; the others are there to explain a difference."""
