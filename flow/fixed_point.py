"""The noise tap's arithmetic on whole batches (normative, with hw/noise/noise_tap.sv).

With acc the integer accumulator, F fractional bits, o the channel's offset, z₁ and z₂ Gaussian
samples with 12 fractional bits, and the registers σₘ, σₐ with 16:

    base = (acc + o) << F
    multiply, then add:  v = (acc << F) + rs(base · σₘ · z₁, 28) + rs(σₐ · z₂, 28 − F)
    add, then multiply:  n = rs(σₐ · z₂, 28 − F);  v = (acc << F) + n + rs((base + n) · σₘ · z₁, 28)

then saturate; rs(v, s) adds half and shifts right arithmetically.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from flow.errors import UserError
from flow.gaussian import FRACTION_BITS, GaussianTable, gaussian
from flow.philox import noise_words

SIGMA_FRACTION_BITS = 16
SIGMA_ADD_BITS, SIGMA_MUL_BITS = 32, 24
PRODUCT_BITS = FRACTION_BITS + SIGMA_FRACTION_BITS
DRAW_MUL, DRAW_ADD = 0, 1
DIGEST_FACTOR = 0x9E3779B1
_SPLIT = 20

Order = Literal["mul_add", "add_mul"]


@dataclass(frozen=True)
class TapFormat:
    """What is fixed when a tap is compiled."""

    fraction: int
    """F: fractional bits of the widened accumulator, 0 to 28."""
    out_min: int
    """Lowest output, in units of 2^-F LSB, or in LSB when ``rounds``."""
    out_max: int
    """Highest output, in the same unit."""
    rounds: bool = False
    """Whether the output is rounded back to whole LSB."""

    def __post_init__(self) -> None:
        """Refuse formats the arithmetic does not define."""
        if not 0 <= self.fraction <= PRODUCT_BITS:
            raise ValueError(f"fraction must be 0 to {PRODUCT_BITS}, not {self.fraction}")
        if self.out_min >= self.out_max:
            raise ValueError(f"out_min {self.out_min} must be below out_max {self.out_max}")


@dataclass(frozen=True)
class TapSettings:
    """A tap's run-time registers."""

    seed: int = 0
    """64-bit key of the generator."""
    image_base: int = 0
    """Number of the first image, the generator's counter."""
    sigma_add: int = 0
    """σₐ in LSB of the accumulator, UQ16.16."""
    sigma_mul: int = 0
    """σₘ, a fraction of the value, UQ8.16."""
    order: Order = "mul_add"
    """Which noise comes first."""
    enable: bool = True
    """Without it the tap passes its input on, widened."""

    def __post_init__(self) -> None:
        """Refuse values the registers cannot hold."""
        for name, bits in (
            ("seed", 64),
            ("image_base", 32),
            ("sigma_add", SIGMA_ADD_BITS),
            ("sigma_mul", SIGMA_MUL_BITS),
        ):
            if not 0 <= getattr(self, name) < 1 << bits:
                raise ValueError(f"{name} does not fit {bits} unsigned bits")

    @classmethod
    def from_sigma(
        cls,
        *,
        additive: float = 0.0,
        multiplicative: float = 0.0,
        seed: int = 0,
        image_base: int = 0,
        order: Order = "mul_add",
    ) -> "TapSettings":
        """Make settings from real levels.

        Args:
            additive: σₐ in LSB of the accumulator.
            multiplicative: σₘ, a fraction of the value.
            seed: 64-bit seed.
            image_base: number of the first image.
            order: which noise comes first.

        Raises:
            UserError: a level is negative, not a number, or beyond its register.
        """
        return cls(
            seed=seed,
            image_base=image_base,
            sigma_add=sigma_register(additive, SIGMA_ADD_BITS, "additive σ in LSB"),
            sigma_mul=sigma_register(multiplicative, SIGMA_MUL_BITS, "multiplicative σ"),
            order=order,
        )

    def registers(self) -> dict[str, int]:
        """Return the words the tap's registers take, by name, START excepted."""
        return {
            "SEED_LO": self.seed & 0xFFFFFFFF,
            "SEED_HI": self.seed >> 32,
            "IMAGE_BASE": self.image_base,
            "SIGMA_ADD": self.sigma_add,
            "SIGMA_MUL": self.sigma_mul,
            "CONTROL": int(self.enable) | (2 if self.order == "add_mul" else 0),
        }


REGISTERS = ("SEED_LO", "SEED_HI", "IMAGE_BASE", "SIGMA_ADD", "SIGMA_MUL", "CONTROL")
"""Register names in the order of their addresses; START follows at 7."""
START = 7
"""Address whose write arms the settings, its data the image at which they begin."""


def sigma_register(sigma: float, bits: int, what: str) -> int:
    """Round a real σ to its register.

    Raises:
        UserError: σ is negative, not a number, or too large; the message names the largest.
    """
    largest = ((1 << bits) - 1) / 2**SIGMA_FRACTION_BITS
    if math.isnan(sigma):
        raise UserError(f"{what} is not a number: give a value from 0 to {largest:g}")
    if sigma < 0:
        raise UserError(f"{what} is {sigma:g}, but a noise level cannot be negative")
    if sigma > largest:
        raise UserError(f"{what} is {sigma:g}, but the hardware's largest is {largest:.5f}")
    return round(sigma * 2**SIGMA_FRACTION_BITS)


def round_shift(value: Tensor, shift: int) -> Tensor:
    """Add half, then shift right arithmetically: floor(value / 2^shift + 1/2), exactly."""
    if shift == 0:
        return value
    return (value + (1 << (shift - 1))) >> shift


def draw(
    settings: TapSettings,
    site: int,
    number: int,
    first_image: int,
    images: int,
    elements: int,
    table: GaussianTable | None = None,
) -> Tensor:
    """Return the samples of one draw: int64 [images, elements], 12 fractional bits."""
    first = settings.image_base + first_image
    words = noise_words(settings.seed, site, number, first, images, elements)
    return gaussian(words, table)


def apply_tap(
    acc: Tensor,
    offset: Tensor,
    fmt: TapFormat,
    settings: TapSettings,
    site: int,
    first_image: int = 0,
    *,
    z_mul: Tensor | None = None,
    z_add: Tensor | None = None,
    table: GaussianTable | None = None,
) -> Tensor:
    """Pass a batch through one tap.

    Args:
        acc: int64 [N, E], LSB, elements in NHWC order (channel fastest).
        offset: int64 [C], o << F per channel, E a multiple of C.
        fmt: the tap's compiled format.
        settings: its registers.
        site: its number.
        first_image: the first row's image, counted from ``settings.image_base``.
        z_mul: z₁ where the caller has it: int64 [N, E], 12 fractional bits.
        z_add: z₂ likewise.
        table: the distribution; the standard normal by default.

    Returns:
        int64 [N, E], in 2^-F LSB (LSB if the format rounds).

    Raises:
        OverflowError: an accumulator is too wide for exact 64-bit arithmetic.
    """
    images, elements = acc.shape
    wide = acc << fmt.fraction
    value = wide
    if settings.enable:
        noise = None
        if settings.sigma_add:
            if z_add is None:
                z_add = draw(settings, site, DRAW_ADD, first_image, images, elements, table)
            noise = round_shift(z_add * settings.sigma_add, PRODUCT_BITS - fmt.fraction)
            value = value + noise
        if settings.sigma_mul:
            if z_mul is None:
                z_mul = draw(settings, site, DRAW_MUL, first_image, images, elements, table)
            channels = offset.numel()
            base = wide.reshape(-1, channels) + offset
            base = base.reshape(images, elements)
            if noise is not None and settings.order == "add_mul":
                base = base + noise
            value = value + _scaled(base, z_mul * settings.sigma_mul)
    if fmt.rounds:
        value = round_shift(value, fmt.fraction)
    return value.clamp(fmt.out_min, fmt.out_max)


def _scaled(base: Tensor, factor: Tensor) -> Tensor:
    """Return rs(base · factor, 28) exactly: the product may need more than 63 bits.

    With base = h·2^20 + l, floor((f·h·2^20 + f·l + 2^27) / 2^28) is a floor of nested floors.
    """
    if base.numel():
        limit = 1 << (63 - 39 + _SPLIT - 1)
        if int(base.max()) >= limit or int(base.min()) < -limit:
            raise OverflowError("multiplicative noise needs |(acc + o) << F| below 2^43")
    low = (base & ((1 << _SPLIT) - 1)) * factor + (1 << (PRODUCT_BITS - 1))
    return ((base >> _SPLIT) * factor + (low >> _SPLIT)) >> (PRODUCT_BITS - _SPLIT)


def digest(values: Tensor) -> Tensor:
    """Fold each image's stream into 32 bits: d ← d·K + v modulo 2^32, in order.

    K is odd, so a change of any single value changes the digest.

    Args:
        values: int64 [N, E], in stream order.

    Returns:
        int64 [N], each in 0..2^32-1.
    """
    mask = 0xFFFFFFFF
    powers = torch.ones(values.shape[1], dtype=torch.int64)
    factor = 1
    # powers by doubling: the block of 2^k last ones, times K^(2^k)
    filled = 1
    while filled < powers.numel():
        factor = pow(DIGEST_FACTOR, filled, 1 << 32)
        more = min(filled, powers.numel() - filled)
        powers[filled : filled + more] = (powers[:more] * factor) & mask
        filled += more
    return ((values & mask) * powers.flip(0)).sum(dim=1) & mask
