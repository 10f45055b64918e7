"""The noise tap in fixed point, bit-exact with ``hw/noise/noise_tap.sv``.

With a = acc << F the value at the site, o its offset, F the fractional bits, z₁ and z₂ samples with
12 fractional bits, and the registers σₘ, σₐ with 16, or fewer of σₐ if values are wide
(`flow.noise.hardware.registers.sigma_fraction_bits`):

- multiply, then add: ``v = c + rs((c + o)·σₘ·z₁) + rs(σₐ·z₂)``
- add, then multiply: ``v = c + n + rs((c + o + n)·σₘ·z₁)``, ``n = rs(σₐ·z₂)``

where rs rounds to F fractional bits (add half, shift right), and c = a. With a drift, image n has
``c = rs(g·(a + o)) − o``, ``rs(s·σₘ)`` and ``rs(s·σₐ)``; g and s are 1 + rate·n, with rates of 32
fractional bits, truncated to 16 and clipped to 0..16.

z₁ and z₂ are fresh for each element and image; for a fixed pattern each channel has one pair in all
images. z₂ comes from the normal table or from a loaded one. With a converter of B bits and step s,

    ``code = clamp(⌊(2(v + o) + s) / (2s)⌋, least, most)``, and v becomes ``code·s − o``,

or ``±s/2 − o`` by the sign of v + o if it is a comparator (`flow.noise.adc`). A tap that repeats
takes the mean of k executions, each with its own z₁ and z₂, rounded, halves up. If the stream at
the site keeps its type, v is rounded back to integers. Finally v saturates.

On the processor, numbers are NumPy's, which multiplies int64 twice as fast as torch; on any other
device they are torch's. The functions that both have are called alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flow.device import CPU
from flow.noise import torch_draws
from flow.noise.gaussian import FRACTION_BITS, TABLE, gaussian
from flow.noise.hardware.registers import (
    RATE_FRACTION_BITS,
    SIGMA_ADD_BITS,
    SIGMA_FRACTION_BITS,
    SIGMA_MUL_BITS,
    TapSettings,
)
from flow.noise.kernel import Kernel, TapLevels, kernel
from flow.noise.philox import noise_words
from flow.noise.quantile_table import QuantileTable
from flow.noise.samplers import DRAWS
from flow.threads import share

WEIGHT_DRAW = 1 << 14
"""First draw of the errors of programmed weights, apart from the draws of executions."""
PATTERN_DRAW = 1 << 15
"""First draw of a device's fixed samples, apart from the draws of executions."""
SHARE = 1 << 18
"""Samples per thread and step that NumPy draws."""
_KERNEL_SHARE = 1 << 21
"""Samples per thread and step that the kernel draws: a step takes some milliseconds, as NumPy's."""
_CHUNK = 1 << 16
"""Elements per step, few enough to stay in the processor's cache."""
_DEVICE_CHUNK = 1 << 22
"""Elements per step on another device, whose intermediate values take 300 MB."""
_PERIOD = 1 << 10
"""Elements over which the kernel is given offsets, at least."""
_SPLIT = 20
_DIGEST_MULTIPLIER = 0x9E3779B1
_WORD = 0xFFFFFFFF
_FACTOR_BITS = 20
"""Bits of a drift's factor, with as many fractional bits as σ."""

Array = Any
"""An array of NumPy, or a tensor on a device."""


@dataclass(frozen=True)
class TapFormat:
    """Format of a tap's output, fixed when the accelerator is compiled."""

    frac: int
    """F, fractional bits."""
    out_min: int
    """Smallest output, below which values saturate."""
    out_max: int
    """Largest output, above which values saturate."""
    rounds: bool = False
    """Whether the output is rounded to integers; it has F fractional bits otherwise."""
    step: int = 1
    """Step of a rounded output's grid from ``out_min``: 2 for one-bit streams of −1 and 1."""
    sigma_frac: int = SIGMA_FRACTION_BITS
    """Fractional bits of σₐ's register."""

    @property
    def add_shift(self) -> int:
        """Number of bits by which σₐ·z₂ is rounded."""
        return self.sigma_frac + FRACTION_BITS - self.frac


def round_shift(v, shift: int):
    """Divide by 2^shift and round halves up: int64 tensor or array, any shape."""
    return v if shift == 0 else (v + (1 << (shift - 1))) >> shift


def _library(values: Array) -> ModuleType:
    """Return the library that computes with values."""
    return torch if isinstance(values, Tensor) else np


def _array(values: Tensor) -> Array:
    """Return a tensor of the processor as NumPy's array; any other as it is."""
    return values.numpy() if values.is_cpu else values


def _int64(values: Array) -> Array:
    library = _library(values)
    return library.asarray(values, dtype=library.int64)


def _round_shift_product(a: Array, b: Array, shift: int) -> Array:
    """Return round_shift(a · b, shift) for |a| < 2^42, |b| < 2^41 and shift ≥ 20, exactly.

    The product may need 83 bits. Floor division nests, so its low part can be shifted first.
    """
    low, high = b & ((1 << _SPLIT) - 1), b >> _SPLIT
    return (a * high + ((a * low + (1 << (shift - 1))) >> _SPLIT)) >> (shift - _SPLIT)


def draw_samples(
    seed: int,
    site: int,
    draw: int,
    first_image: int,
    images: int,
    elements: int,
    table: QuantileTable | None = None,
    device: torch.device = CPU,
) -> Tensor:
    """Return the samples z of one site and draw, int32 [images, elements], 12 fractional bits."""
    entries = table.entries if table else TABLE
    if device != CPU:
        return torch_draws.samples(seed, site, draw, first_image, images, elements, entries, device)
    samples, compiled = np.empty((images, elements), dtype=np.int32), kernel()

    def fill(rows: slice) -> None:
        place = (seed, site, draw, first_image + rows.start)
        if compiled:
            compiled.samples(*place, samples[rows], entries)
        else:
            words = noise_words(*place, rows.stop - rows.start, elements)
            samples[rows] = gaussian(words, entries)

    step = _KERNEL_SHARE if compiled else SHARE
    share(images, max(1, step // elements), fill)
    return torch.from_numpy(samples)


def apply_tap(
    acc: Tensor,
    offset: Tensor,
    fmt: TapFormat,
    settings: TapSettings,
    site: int,
    drawn: Mapping[int, Tensor] | None = None,
) -> Tensor:
    """Apply noise to a stream as the RTL does, on the stream's device.

    Args:
        acc: whole numbers [N, E], E = pixels · channels, channels last; int64, or float32 where
            that holds the output exactly.
        offset: int64 [C], o · 2^F.
        fmt: the format of the tap's output.
        settings: the tap's registers; the first row of ``acc`` is image ``image_base``.
        site: the site's number.
        drawn: samples drawn before, by draw: integers [N, E], or [1, C] for a fixed pattern.

    Returns:
        The tap's output, [N, E], with the dtype of ``acc``.
    """
    drifts = settings.enable and (settings.gain_rate or settings.sigma_rate)
    if acc.is_cpu and settings.executions == 1 and not drifts and (compiled := kernel()):
        return _compiled_tap(compiled, acc, offset, fmt, settings, site, drawn or {})
    flat, o = _array(acc.reshape(-1)), _array(offset)
    library, chunk = _library(flat), _CHUNK if acc.is_cpu else _DEVICE_CHUNK
    piece = len(o) * max(1, chunk // len(o))
    offsets = library.tile(o, (piece // len(o),)) if o.any() else None
    levels = _Levels.of(settings, flat, *acc.shape) if settings.enable else None
    out = library.empty_like(flat)
    total = library.zeros_like(flat, dtype=library.int64) if settings.executions > 1 else None
    for execution in range(settings.executions):
        z = _Samples(settings, site, execution, acc, len(o), drawn or {})
        for first in range(0, len(flat), piece):
            part = slice(first, min(first + piece, len(flat)))
            wide = _int64(flat[part]) << fmt.frac
            here = 0 if offsets is None else offsets[: len(wide)]
            if levels is not None:
                wide = _noisy(wide, here, fmt.add_shift, settings, levels.at(part), z.at(part))
            if settings.adc_bits:
                wide = _converted(wide, here, settings)
            if total is None:
                out[part] = _narrow(wide, fmt)
            else:
                total[part] += wide
    if total is not None:
        total += settings.executions // 2
        total //= settings.executions
        out[:] = _narrow(total, fmt)
    return torch.as_tensor(out).view(acc.shape)


def _compiled_tap(
    compiled: Kernel,
    acc: Tensor,
    offset: Tensor,
    fmt: TapFormat,
    settings: TapSettings,
    site: int,
    drawn: Mapping[int, Tensor],
) -> Tensor:
    """Return what `apply_tap` returns without drift and repetition, by the kernel."""
    flat, out = acc.numpy().reshape(-1), np.empty(acc.numel(), dtype=acc.numpy().dtype)
    times = -(-_PERIOD // len(offset))
    z1, z2 = _Samples(settings, site, 0, acc, len(offset), drawn).repeated(times)
    period = np.tile(offset.numpy(), times)
    compiled.tap(flat, out, period, z1, z2, _tap_levels(fmt, settings))
    return torch.from_numpy(out).view(acc.shape)


def _tap_levels(fmt: TapFormat, settings: TapSettings) -> TapLevels:
    bipolar = fmt.step != 1
    return TapLevels(
        frac=fmt.frac,
        sigma_mul=settings.sigma_mul,
        sigma_add=settings.sigma_add,
        add_first=settings.add_first,
        add_shift=fmt.add_shift,
        shift=fmt.frac if fmt.rounds and not bipolar else 0,
        low=fmt.out_min,
        high=fmt.out_max,
        bipolar=bipolar,
        adc_bits=settings.adc_bits,
        adc_step=settings.adc_step,
        adc_unsigned=settings.adc_unsigned,
    )


def _noisy(
    wide: Array,
    offset: Array | int,
    add_shift: int,
    settings: TapSettings,
    levels: tuple[Array | int, Array | int, Array | None],
    samples: Sequence[Array | None],
) -> Array:
    """Return v of one execution for consecutive elements."""
    (sigma_mul, sigma_add, gain), (z1, z2) = levels, samples
    if gain is not None:
        wide = round_shift((wide + offset) * gain, SIGMA_FRACTION_BITS) - offset
    noisy = wide
    if z2 is not None:
        noisy = noisy + round_shift(sigma_add * _int64(z2), add_shift)
    if z1 is not None:
        base = (noisy if settings.add_first else wide) + offset
        gained = sigma_mul * _int64(z1)
        noisy = noisy + _round_shift_product(base, gained, SIGMA_FRACTION_BITS + FRACTION_BITS)
    return noisy


def _converted(wide: Array, offset: Array | int, settings: TapSettings) -> Array:
    """Return what the converter makes of v, for consecutive elements."""
    real, step, bits = wide + offset, settings.adc_step, settings.adc_bits
    if settings.adc_unsigned:
        code = ((2 * real + step) // (2 * step)).clip(0, (1 << bits) - 1)
    elif bits == 1:
        return _library(wide).where(real < 0, -(step // 2), step // 2) - offset
    else:
        code = ((2 * real + step) // (2 * step)).clip(-(1 << bits - 1), (1 << bits - 1) - 1)
    return code * step - offset


@dataclass(frozen=True)
class _Levels:
    """σₘ, σₐ and g of each image, or common to all images."""

    rows: tuple[Array | int, Array | int, Array | None]
    elements: int
    """Number of elements of an image."""

    @classmethod
    def of(cls, settings: TapSettings, flat: Array, images: int, elements: int) -> "_Levels":
        plain: tuple[int, int] = (settings.sigma_mul, settings.sigma_add)
        if not (settings.gain_rate or settings.sigma_rate):
            return cls((*plain, None), elements)
        numbers = _library(flat).arange(images, device=flat.device)
        image = (numbers + settings.image_base) & _WORD
        share, gain = (_factor(image * rate) for rate in (settings.sigma_rate, settings.gain_rate))
        drifted = (
            round_shift(sigma * share, SIGMA_FRACTION_BITS).clip(max=(1 << bits) - 1)
            for sigma, bits in zip(plain, (SIGMA_MUL_BITS, SIGMA_ADD_BITS), strict=True)
        )
        return cls((*drifted, gain if settings.gain_rate else None), elements)

    def at(self, part: slice) -> tuple:
        """Return the levels of consecutive elements."""
        row = next((row for row in self.rows if not isinstance(row, int | None)), None)
        if row is None:
            return self.rows
        image = _library(row).arange(part.start, part.stop, device=row.device) // self.elements
        return tuple(row if isinstance(row, int | None) else row[image] for row in self.rows)


def _factor(change: Array) -> Array:
    """Return 1 + change, converted from 32 to 16 fractional bits and clipped to 0..16."""
    share = (change + (1 << RATE_FRACTION_BITS)) >> RATE_FRACTION_BITS - SIGMA_FRACTION_BITS
    return share.clip(0, (1 << _FACTOR_BITS) - 1)


class _Samples:
    """z₁ and z₂ of one execution; None for a sample that is not needed."""

    def __init__(
        self,
        settings: TapSettings,
        site: int,
        execution: int,
        acc: Tensor,
        channels: int,
        drawn: Mapping[int, Tensor],
    ) -> None:
        self.channels = channels if settings.pattern else 0
        self.z: list[Array | None] = []
        for d, sigma in enumerate((settings.sigma_mul, settings.sigma_add)):
            draw = PATTERN_DRAW + d if settings.pattern else DRAWS * execution + d
            if not (settings.enable and sigma):
                self.z.append(None)
                continue
            z = drawn.get(draw)
            if z is None:
                first, images = (0, 1) if settings.pattern else (settings.image_base, len(acc))
                size = (first, images, channels if settings.pattern else acc.shape[1])
                table = settings.table_of(draw)
                z = draw_samples(settings.seed, site, draw, *size, table, acc.device)
            self.z.append(_array(z.reshape(-1).int()))

    def at(self, part: slice) -> list[Array | None]:
        """Return the samples of consecutive elements that begin with the first of a pixel."""
        if self.channels:
            return self.repeated((part.stop - part.start) // self.channels)
        return [z if z is None else z[part] for z in self.z]

    def repeated(self, times: int) -> list[Array | None]:
        """Return the samples of all elements, or those of a fixed pattern repeated."""
        if not self.channels:
            return self.z
        return [z if z is None else _library(z).tile(z, (times,)) for z in self.z]


def _narrow(wide: Array, fmt: TapFormat) -> Array:
    """Round if the tap rounds, and saturate."""
    if fmt.step != 1:
        # halves up: 0, half way between −1 and 1, becomes 1
        return _library(wide).where(wide < 0, fmt.out_min, fmt.out_max)
    whole = round_shift(wide, fmt.frac) if fmt.rounds else wide
    return whole.clip(fmt.out_min, fmt.out_max)


def digest(values: Tensor) -> Tensor:
    """Hash each image's stream: d ← d·K + v mod 2^32, element by element.

    K is odd, so streams that differ in a single element have different digests.

    Args:
        values: integers [N, E].

    Returns:
        int64 [N], each 0 .. 2^32 − 1.
    """
    power, powers = 1, []
    for _ in range(values.shape[1]):
        powers.append(power)
        power = power * _DIGEST_MULTIPLIER & _WORD
    weights = torch.tensor(powers[::-1], dtype=torch.int64, device=values.device)
    # products of two 32-bit words wrap in int64, but their low 32 bits stay correct
    return ((values.long() & _WORD) * weights).sum(1) & _WORD
