"""Registers of a noise tap, and the conversion of noise in the network's units to them."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flow.errors import UserError
from flow.noise import Additive, Drift, Empirical, FixedPattern, Mixed, Multiplicative, Noise
from flow.noise.base import MOST_EXECUTIONS
from flow.noise.hardware.kinds import ADC, EXECUTIONS
from flow.noise.measured import read_table
from flow.noise.quantile_table import QuantileTable
from flow.noise.samplers import DRAWS

SIGMA_FRACTION_BITS = 16
"""Fractional bits of σₘ, and of σₐ except where values are wide (`sigma_fraction_bits`)."""
WIDE_SIGMA_FRACTION_BITS = 8
"""Fractional bits of σₐ where values are wide: it reaches 2^24 LSB, beyond any accumulator."""
SIGMA_ADD_BITS = 32
SIGMA_MUL_BITS = 24
RATE_FRACTION_BITS = 32
RATE_BITS = 32

SEED_LOW, SEED_HIGH, IMAGE_BASE, SIGMA_ADD, SIGMA_MUL, CONTROL, GAIN_RATE, START = range(8)
SIGMA_RATE, TABLE_PLACE, TABLE_LOW, TABLE_HIGH, ADC_STEP = range(8, 13)
"""Register addresses; writing START arms the settings written before it, and writing TABLE_HIGH
stores a table entry."""

NAMES = (
    "SEED_LOW", "SEED_HIGH", "IMAGE_BASE", "SIGMA_ADD", "SIGMA_MUL", "CONTROL", "GAIN_RATE",
    "START", "SIGMA_RATE", "TABLE_PLACE", "TABLE_LOW", "TABLE_HIGH",
    "ADC_STEP",
)  # fmt: skip
"""Names of the registers, by address."""

WORD = 0xFFFFFFFF


@dataclass(frozen=True)
class TapSettings:
    """Register values of a noise tap."""

    seed: int = 0
    """Key of the generator, 64 bits."""
    image_base: int = 0
    """Number of the first image these settings apply to, 32 bits."""
    sigma_add: int = 0
    """σₐ · 2^16, or 2^8 where values are wide, in LSB of the stream into the tap, 32 bits."""
    sigma_mul: int = 0
    """σₘ · 2^16, 24 bits."""
    add_first: bool = False
    """Whether mixed noise adds before it multiplies."""
    enable: bool = False
    pattern: bool = False
    """Whether each channel has fixed samples in every image, instead of fresh ones."""
    executions: int = 1
    """Number k of executions whose mean is the output, 1 to 64."""
    gain_rate: int = 0
    """Change of the gain from image to image · 2^32, signed, 32 bits."""
    sigma_rate: int = 0
    """Relative change of σ from image to image · 2^32, signed, 32 bits."""
    table: QuantileTable | None = None
    """Distribution of z₂; normal if None."""
    adc_bits: int = 0
    """Bits of the converter, 1 to 12; 0 for none."""
    adc_step: int = 0
    """Step of the converter, in units of 2^−F LSB, 32 bits."""
    adc_unsigned: bool = False
    """Whether the converter's codes begin with 0."""

    def __post_init__(self) -> None:
        if not 1 <= self.executions <= MOST_EXECUTIONS:
            raise UserError(
                f"a tap repeats an execution {self.executions} times: give 1 to {MOST_EXECUTIONS}"
            )

    @classmethod
    def of(
        cls,
        noise: Noise,
        scale: float,
        seed: int,
        image_base: int = 0,
        sigma_bits: int = SIGMA_FRACTION_BITS,
    ) -> "TapSettings":
        """Convert noise in the network's units to register values.

        Args:
            noise: the site's noise.
            scale: units of the network per LSB at the site.
            seed: key of the generator.
            image_base: number of the first image.
            sigma_bits: fractional bits of σₐ at the site.

        Raises:
            UserError: the kind has no fixed-point twin, or a σ or a rate does not fit its register.
        """
        if type(noise) not in TWINS:
            raise UserError(
                f"{noise.origin or noise.kind} has no fixed-point twin in flow.noise.hardware: "
                "walk it in software with `noisewalk walk`"
            )
        if not 0 <= seed < 1 << 64:
            raise UserError(f"the seed is {seed}: give a whole number from 0 to 2^64 − 1")
        common = cls(
            seed=seed,
            image_base=image_base,
            sigma_add=_register("additive", noise.sigma_add, _additive(noise, scale, sigma_bits)),
            sigma_mul=_register("multiplicative", noise.sigma_mul, _MULTIPLICATIVE),
            enable=not noise.silent,
            executions=noise.executions,
        )
        if (adc := noise.adc) is not None:
            common = replace(
                common, adc_bits=adc.bits, adc_step=adc.step, adc_unsigned=not adc.signed
            )
        return replace(common, **TWINS[type(noise)](noise))

    @property
    def idle(self) -> bool:
        """Whether the tap changes no value."""
        return not (self.enable or self.adc_bits)

    @property
    def kinds(self) -> list[str]:
        """What a tap must be built for; see `flow.noise.hardware.kinds`."""
        asked = {
            "multiplicative": self.sigma_mul or self.add_first,
            "fixed-pattern": self.pattern,
            "drift": self.gain_rate or self.sigma_rate,
            "empirical": self.table is not None,
            EXECUTIONS: self.executions > 1,
            ADC: self.adc_bits,
        }
        return [kind for kind, used in asked.items() if used]

    @property
    def draws(self) -> list[int]:
        """Numbers of the fresh draws that an element needs in each image."""
        used = [d for d, sigma in enumerate((self.sigma_mul, self.sigma_add)) if sigma]
        if not self.enable or self.pattern:
            return []
        return [DRAWS * i + d for i in range(self.executions) for d in used]

    def table_of(self, draw: int) -> QuantileTable | None:
        """Return the distribution of a draw, or None for the normal one."""
        return self.table if draw % DRAWS == 1 else None

    def registers(self, start: int) -> Iterator[tuple[int, int]]:
        """Yield (address, data) writes that make these settings apply from an image on.

        Args:
            start: image at which the settings take effect, counted from the reset.
        """
        yield SEED_LOW, self.seed & WORD
        yield SEED_HIGH, self.seed >> 32
        yield IMAGE_BASE, self.image_base
        yield SIGMA_ADD, self.sigma_add
        yield SIGMA_MUL, self.sigma_mul
        yield GAIN_RATE, self.gain_rate & WORD
        yield SIGMA_RATE, self.sigma_rate & WORD
        yield ADC_STEP, self.adc_step
        flags = (self.enable, self.add_first, self.pattern, self.table is not None)
        kind = sum(flag << bit for bit, flag in enumerate(flags)) | self.executions - 1 << 8
        yield CONTROL, kind | self.adc_bits << 16 | self.adc_unsigned << 20
        yield START, start

    def table_registers(self) -> Iterator[tuple[int, int]]:
        """Yield the writes that load the table; the tap must not be using a table."""
        if self.table is not None:
            yield TABLE_PLACE, 0
            for low, high in self.table.words():
                yield TABLE_LOW, low
                yield TABLE_HIGH, high


def _pattern(noise: FixedPattern) -> dict[str, Any]:
    return {"pattern": True} | ({} if noise.device is None else {"seed": noise.device})


def _drift(noise: Drift) -> dict[str, Any]:
    return {
        "gain_rate": _rate(noise.gain_rate, "gain"),
        "sigma_rate": _rate(noise.sigma_rate, "σ"),
    }


TWINS: Mapping[type[Noise], Callable[[Any], dict[str, Any]]] = {
    Additive: lambda noise: {},
    Multiplicative: lambda noise: {},
    Mixed: lambda noise: {"add_first": noise.order == "add-mul"},
    FixedPattern: _pattern,
    Drift: _drift,
    Empirical: lambda noise: {"table": read_table(Path(noise.file), noise.digest)},
}
"""Kinds with a fixed-point twin, each with the register values beyond seed, levels and executions.

A class derived from one of them is another kind, without a twin.
"""


def sigma_fraction_bits(in_bits: int) -> int:
    """Return the fractional bits of σₐ at a tap whose input has so many bits, as the RTL does.

    With 16 of them the register reaches 65,536 LSB, the largest value of 17 bits. Accumulators with
    more bits, such as those of operands of 8 bits, have values that are larger than that.
    """
    return WIDE_SIGMA_FRACTION_BITS if in_bits > 17 else SIGMA_FRACTION_BITS


def largest_factor(noise: Noise, scale: float, sigma_bits: int = SIGMA_FRACTION_BITS) -> float:
    """Return the largest factor on the levels of a noise that still fits a site's registers.

    Args:
        noise: noise with a level above 0.
        scale: units of the network per LSB at the site.
        sigma_bits: fractional bits of σₐ at the site.
    """
    limits = [
        register.largest / sigma
        for sigma, register in (
            (noise.sigma_add, _additive(noise, scale, sigma_bits)),
            (noise.sigma_mul, _MULTIPLICATIVE),
        )
        if sigma
    ]
    return 0.99 * min(limits)


def _unit(noise: Noise, scale: float) -> float:
    """Return the σₐ, in the network's units, that is 1 in the register's unit."""
    if isinstance(noise, Empirical):
        return scale / read_table(Path(noise.file), noise.digest).unit
    return scale


@dataclass(frozen=True)
class _Register:
    """Format of a noise level in a register."""

    bits: int
    step: float
    """Level of the register value 1, in the network's units."""

    @property
    def largest(self) -> float:
        """Largest level."""
        return ((1 << self.bits) - 1) * self.step


_MULTIPLICATIVE = _Register(SIGMA_MUL_BITS, 1 / (1 << SIGMA_FRACTION_BITS))


def _additive(noise: Noise, scale: float, sigma_bits: int) -> _Register:
    return _Register(SIGMA_ADD_BITS, _unit(noise, scale) / (1 << sigma_bits))


def _register(kind: str, sigma: float, register: _Register) -> int:
    """Return σ as a register value."""
    if not (math.isfinite(sigma) and sigma >= 0):
        raise UserError(f"the {kind} noise level is {sigma}: give a finite number of 0 or more")
    value = round(sigma / register.step)
    if value >= 1 << register.bits:
        raise UserError(
            f"the {kind} noise level {sigma:g} is beyond the register: at this site the "
            f"largest is {register.largest:.6g}"
        )
    return value


def _rate(rate: float, what: str) -> int:
    """Convert a change over 1,000 images to the register value of the change per image."""
    value = round(rate / 1000 * (1 << RATE_FRACTION_BITS))
    if not -(1 << RATE_BITS - 1) <= value < 1 << RATE_BITS - 1:
        raise UserError(
            f"the {what} drifts by {rate:g} over 1,000 images, beyond the register: the largest is "
            f"{1000 * ((1 << RATE_BITS - 1) - 1) / (1 << RATE_FRACTION_BITS):.6g}"
        )
    return value
