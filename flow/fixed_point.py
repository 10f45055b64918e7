"""The noise tap in fixed point: what ``hw/noise/noise_tap.sv`` computes, bit for bit.

With acc the integer at the site, o its offset, F the fractional bits, z₁ and z₂ samples with 12
fractional bits, and the registers σₘ, σₐ with 16:

- multiply, then add: ``v = (acc << F) + rs((acc + o)·σₘ·z₁) + rs(σₐ·z₂)``
- add, then multiply: ``v = (acc << F) + n + rs((((acc + o) << F) + n)·σₘ·z₁)``, ``n = rs(σₐ·z₂)``

where rs rounds to F fractional bits (add half, shift right). A site whose stream keeps its type
is rounded back to integers. At the end v saturates.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from flow.errors import UserError, unknown
from flow.gaussian import FRACTION_BITS, gaussian
from flow.noise import KINDS, Mixed, Noise
from flow.parallel import share
from flow.philox import noise_words

TAP_KINDS = ("additive", "multiplicative", "mixed")
"""Kinds of noise that a tap makes."""
SIGMA_FRACTION_BITS = 16
SIGMA_ADD_BITS = 32
SIGMA_MUL_BITS = 24

SEED_LOW, SEED_HIGH, IMAGE_BASE, SIGMA_ADD, SIGMA_MUL, CONTROL = range(6)
PATTERN_DRAW = 1 << 15
"""First draw of a device's own samples, far from those of executions."""
START = 7
"""Register addresses; writing START arms the settings written before it."""

SHARE = 1 << 18
"""Samples that a thread draws at a time."""
_CHUNK = 1 << 16
"""Elements worked on at a time: few enough for the processor's cache."""
_SPLIT = 20
_DIGEST_MULTIPLIER = 0x9E3779B1
_WORD = 0xFFFFFFFF


@dataclass(frozen=True)
class TapFormat:
    """The tap's output, fixed when the accelerator is compiled."""

    frac: int
    """F, fractional bits."""
    out_min: int
    """Smallest output; smaller values saturate."""
    out_max: int
    """Largest output; larger values saturate."""
    rounds: bool = False
    """Whether the output is rounded to integers; otherwise it has F fractional bits."""
    step: int = 1
    """Grid of a rounded output from ``out_min``: 2 for one-bit streams, which hold −1 and 1."""


@dataclass(frozen=True)
class TapSettings:
    """The tap's registers."""

    seed: int = 0
    """Key of the generator, 64 bits."""
    image_base: int = 0
    """Number of the first image these settings apply to, 32 bits."""
    sigma_add: int = 0
    """σₐ · 2^16, in LSB of the stream into the tap, 32 bits."""
    sigma_mul: int = 0
    """σₘ · 2^16, 24 bits."""
    add_first: bool = False
    """Order of mixed noise."""
    enable: bool = False

    @classmethod
    def of(cls, noise: Noise, scale: float, seed: int, image_base: int = 0) -> "TapSettings":
        """Turn noise in the network's units into register values.

        Args:
            noise: the site's noise.
            scale: units of the network per LSB at the site.
            seed: key of the generator.
            image_base: number of the first image.

        Raises:
            UserError: a σ does not fit its register, or no tap makes this kind of noise.
        """
        check_kind(noise.kind)
        if noise.executions > 1:
            raise UserError("no hardware tap repeats an execution: give one execution")
        if not 0 <= seed < 1 << 64:
            raise UserError(f"the seed is {seed}: give a whole number from 0 to 2^64 − 1")
        return cls(
            seed=seed,
            image_base=image_base,
            sigma_add=_register(noise.sigma_add / scale, SIGMA_ADD_BITS, "additive", scale),
            sigma_mul=_register(noise.sigma_mul, SIGMA_MUL_BITS, "multiplicative", 1.0),
            add_first=isinstance(noise, Mixed) and noise.order == "add-mul",
            enable=not noise.silent,
        )

    def registers(self, start: int) -> Iterator[tuple[int, int]]:
        """Yield (address, data) writes that make these settings apply from an image on.

        Args:
            start: image at which they take effect, counted from the reset.
        """
        yield SEED_LOW, self.seed & _WORD
        yield SEED_HIGH, self.seed >> 32
        yield IMAGE_BASE, self.image_base
        yield SIGMA_ADD, self.sigma_add
        yield SIGMA_MUL, self.sigma_mul
        yield CONTROL, int(self.enable) | int(self.add_first) << 1
        yield START, start


def check_kind(kind: str) -> None:
    """Raise a UserError if no tap makes this kind of noise, or it is unknown."""
    if kind not in KINDS:
        raise unknown("noise", kind, KINDS)
    if kind not in TAP_KINDS:
        raise UserError(f"no hardware tap makes {kind} noise: walk it in software")


def _register(sigma: float, bits: int, kind: str, unit: float) -> int:
    if not (math.isfinite(sigma) and sigma >= 0):
        raise UserError(f"the {kind} noise level is {sigma}: give a finite number of 0 or more")
    value = round(sigma * (1 << SIGMA_FRACTION_BITS))
    if value >= 1 << bits:
        largest = ((1 << bits) - 1) / (1 << SIGMA_FRACTION_BITS) * unit
        raise UserError(
            f"the {kind} noise level {sigma * unit:g} is beyond the register: at this site the "
            f"largest is {largest:.6g}"
        )
    return value


def round_shift(v, shift: int):
    """Divide by 2^shift and round halves up: int64 tensor or array, any shape."""
    return v if shift == 0 else (v + (1 << (shift - 1))) >> shift


def _round_shift_product(a: npt.NDArray, b: npt.NDArray, shift: int) -> npt.NDArray:
    """Return round_shift(a · b, shift) for |a| < 2^42, |b| < 2^41 and shift ≥ 20, exactly.

    The product may need 83 bits; floor division nests, so its low part can be shifted first.
    """
    low, high = b & ((1 << _SPLIT) - 1), b >> _SPLIT
    return (a * high + ((a * low + (1 << (shift - 1))) >> _SPLIT)) >> (shift - _SPLIT)


def draw_samples(
    seed: int, site: int, draw: int, first_image: int, images: int, elements: int
) -> Tensor:
    """Return the samples z of one site and draw, int32 [images, elements], 12 fractional bits."""
    samples = torch.empty(images, elements, dtype=torch.int32)

    def fill(rows: slice) -> None:
        count = rows.stop - rows.start
        words = noise_words(seed, site, draw, first_image + rows.start, count, elements)
        samples[rows] = torch.from_numpy(gaussian(words))

    share(images, max(1, SHARE // elements), fill)
    return samples


def apply_tap(
    acc: Tensor,
    offset: Tensor,
    fmt: TapFormat,
    settings: TapSettings,
    site: int,
    *,
    z1: Tensor | None = None,
    z2: Tensor | None = None,
) -> Tensor:
    """Put noise on a stream as the RTL does.

    Args:
        acc: whole numbers [N, E], E = pixels · channels, channels last; int64, or float32 where
            that holds the output exactly.
        offset: int64 [C], o · 2^F.
        fmt: the tap's output.
        settings: the tap's registers; the first row of ``acc`` is image ``image_base``.
        site: the site's number.
        z1: samples of draw 0, if drawn already, integers [N, E].
        z2: samples of draw 1.

    Returns:
        [N, E], of the dtype of ``acc``.
    """
    given = {0: z1, 1: z2}

    def sample(draw: int) -> npt.NDArray:
        z = given[draw]
        if z is None:
            z = draw_samples(settings.seed, site, draw, settings.image_base, *acc.shape)
        return z.numpy().reshape(-1)

    flat, out = acc.numpy().reshape(-1), np.empty(acc.numel(), dtype=acc.numpy().dtype)
    add = sample(1) if settings.enable and settings.sigma_add else None
    multiply = sample(0) if settings.enable and settings.sigma_mul else None
    piece = len(offset) * max(1, _CHUNK // len(offset))
    offsets = np.tile(offset.numpy(), piece // len(offset)) if offset.any() else None
    for first in range(0, len(flat), piece):
        part = slice(first, first + piece)
        wide = flat[part].astype(np.int64) << fmt.frac
        noisy = wide
        if add is not None:
            added = settings.sigma_add * add[part].astype(np.int64)
            noisy = round_shift(added, SIGMA_FRACTION_BITS + FRACTION_BITS - fmt.frac) + wide
        if multiply is not None:
            base = noisy if settings.add_first else wide
            if offsets is not None:
                base = base + offsets[: len(base)]
            gain = settings.sigma_mul * multiply[part].astype(np.int64)
            noisy = noisy + _round_shift_product(base, gain, SIGMA_FRACTION_BITS + FRACTION_BITS)
        out[part] = _narrow(noisy, fmt)
    return torch.from_numpy(out).view(acc.shape)


def _narrow(wide: npt.NDArray[np.int64], fmt: TapFormat) -> npt.NDArray[np.int64]:
    """Round, where the tap rounds, and saturate."""
    if fmt.step != 1:
        # the middle between −1 and 1 belongs to 1
        return np.where(wide < 0, fmt.out_min, fmt.out_max)
    whole = round_shift(wide, fmt.frac) if fmt.rounds else wide
    return whole.clip(fmt.out_min, fmt.out_max)


def digest(values: Tensor) -> Tensor:
    """Hash each image's stream: d ← d·K + v mod 2^32, element after element.

    K is odd, so a stream that differs in one element has another digest.

    Args:
        values: integers [N, E].

    Returns:
        int64 [N], each 0 .. 2^32 − 1.
    """
    power, powers = 1, []
    for _ in range(values.shape[1]):
        powers.append(power)
        power = power * _DIGEST_MULTIPLIER & _WORD
    weights = torch.tensor(powers[::-1], dtype=torch.int64)
    # products of two 32-bit words wrap in int64, and their low 32 bits are still right
    return ((values.long() & _WORD) * weights).sum(1) & _WORD
