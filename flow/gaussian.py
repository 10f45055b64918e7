"""Random words to Gaussian samples by an inverse-CDF table (normative, with its RTL).

Hierarchical segmentation after Lee, Luk, Villasenor, Cheung ("Hierarchical segmentation for
hardware function evaluation", IEEE TVLSI 2009; their Gaussian generators use the same scheme):
bit 31 of a word is the sign, its low 31 bits m make the two-sided tail probability

    u = (2m + 1) / 2^32,    |z| = Q⁻¹(u / 2).

With v = 2m + 1, an octave is the position p of v's leading one (so tails get as many segments as
the middle), a segment the next 4 bits, and the next 12 bits f interpolate linearly:

    |z| = ((c0 << 8) − c1 · f) >> 16    (12 fractional bits, rounding included in c0)

32 octaves times 16 segments are 512 entries of 36 bits, one block RAM. ``python -m flow.gaussian``
writes the table to hw/noise/gaussian_pkg.sv. The table defines the distribution: another one may
be passed to ``gaussian``, for example one fitted to a measured device.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FRACTION_BITS = 12  # of a sample
OCTAVES, SEGMENT_BITS, POSITION_BITS = 32, 4, 12
BASE_SHIFT, RESULT_SHIFT = 8, 16
C0_BITS, C1_BITS = 23, 13
ENTRIES = OCTAVES << SEGMENT_BITS
PACKAGE = Path(__file__).resolve().parents[1] / "hw" / "noise" / "gaussian_pkg.sv"
_CHUNK = 1 << 16


@dataclass(frozen=True, eq=False)
class GaussianTable:
    """Integer coefficients, entry = octave · 16 + segment (octave 31 is the middle, 0 the tail)."""

    c0: Tensor
    """int64 [512], 0..2^23-1: the magnitude at the segment's beginning, 20 fractional bits."""
    c1: Tensor
    """int64 [512], 0..2^13-1: the fall per interpolation step, 28 fractional bits."""

    def __post_init__(self) -> None:
        """Refuse coefficients the hardware cannot hold or that make a magnitude negative."""
        for name, value, bits in (("c0", self.c0, C0_BITS), ("c1", self.c1, C1_BITS)):
            if value.shape != (ENTRIES,) or value.dtype != torch.int64:
                raise ValueError(f"{name} must be int64 [{ENTRIES}]")
            if int(value.min()) < 0 or int(value.max()) >> bits:
                raise ValueError(f"{name} does not fit {bits} unsigned bits")
        last = (self.c0 << BASE_SHIFT) - self.c1 * ((1 << POSITION_BITS) - 1)
        if int(last.min()) < 0:
            raise ValueError(f"entry {int(last.argmin())} makes a negative magnitude")
        if int(self.c0.max()) >> (RESULT_SHIFT - BASE_SHIFT) >= 1 << 15:
            raise ValueError("a magnitude does not fit 16 signed bits")


@cache
def table() -> GaussianTable:
    """Fit the standard normal: least squares per segment, over its interpolation positions."""
    from scipy.special import ndtri

    position = np.arange(1 << POSITION_BITS, dtype=np.float64)
    centred = position - position.mean()
    slope_unit, base_unit = 2.0**28, 2.0**20
    octave = np.repeat(np.arange(OCTAVES), 1 << SEGMENT_BITS)
    segment = np.tile(np.arange(1 << SEGMENT_BITS), OCTAVES)
    steps = 2.0 ** (SEGMENT_BITS + POSITION_BITS)
    # the middle of the values of v that share one interpolation position
    offset = (segment[:, None] << POSITION_BITS) + position + 0.5
    u = (1 + offset / steps) * 2.0 ** (octave[:, None] - 32)
    z = -ndtri(u / 2)
    slope = (z * centred).sum(axis=1) / (centred * centred).sum()
    c1 = np.rint(-slope * slope_unit)
    at_zero = z.mean(axis=1) + c1 / slope_unit * position.mean()
    half = 1 << (RESULT_SHIFT - BASE_SHIFT - 1)
    c0 = np.rint(at_zero * base_unit) + half
    c0 = np.maximum(c0, np.ceil(c1 * position[-1] / (1 << BASE_SHIFT)))
    as_tensor = [torch.from_numpy(c.astype(np.int64)) for c in (c0, c1)]
    return GaussianTable(*as_tensor)


def gaussian(words: Tensor, coefficients: GaussianTable | None = None) -> Tensor:
    """Turn random words into samples with 12 fractional bits.

    Args:
        words: int64 of any shape, 0..2^32-1.
        coefficients: the table; the standard normal by default.

    Returns:
        int64 of the same shape, a multiple of 2^-12 each, |value| < 2^15.
    """
    packed = _packed(coefficients or table())
    flat = words.reshape(-1)
    samples = torch.empty_like(flat)
    for start in range(0, flat.numel(), _CHUNK):
        _samples(flat[start : start + _CHUNK], packed, samples[start : start + _CHUNK])
    return samples.reshape(words.shape)


def _packed(coefficients: GaussianTable) -> Tensor:
    return (coefficients.c0 << (BASE_SHIFT + C1_BITS)) | coefficients.c1


def _samples(words: Tensor, packed: Tensor, out: Tensor) -> None:
    """Evaluate one chunk; a float64's exponent and mantissa are octave, segment and position."""
    v = words << 1
    v.bitwise_or_(1).bitwise_and_(0xFFFFFFFF)
    bits = v.to(torch.float64).view(torch.int64)
    torch.bitwise_right_shift(bits, 52 - SEGMENT_BITS, out=v)
    entry = packed.index_select(0, v.sub_(1023 << SEGMENT_BITS))
    position = bits.bitwise_right_shift_(52 - SEGMENT_BITS - POSITION_BITS)
    position.bitwise_and_((1 << POSITION_BITS) - 1)
    position.mul_(torch.bitwise_and(entry, (1 << C1_BITS) - 1, out=v))
    entry.bitwise_right_shift_(C1_BITS).sub_(position).bitwise_right_shift_(RESULT_SHIFT)
    # z = sign ? −|z| : |z|, as (|z| ^ −s) + s
    sign = torch.bitwise_right_shift(words, 31, out=v)
    torch.bitwise_xor(entry, sign.neg(), out=out)
    out.add_(sign)


def exact_moments(coefficients: GaussianTable | None = None) -> dict[str, float]:
    """Moments over all 2^32 words: the mean is 0 by symmetry, so variance, kurtosis and reach."""
    second = fourth = 0.0
    largest = 0
    for octave in range(1, OCTAVES):
        # v is odd, so an octave holds 2^(octave-1) words; those that share a position coincide
        shared = max(0, octave - SEGMENT_BITS - POSITION_BITS - 1)
        m = torch.arange(1 << (octave - 1 - shared)) << shared
        z = gaussian(m + (1 << (octave - 1)), coefficients).to(torch.float64) * 2.0**-FRACTION_BITS
        weight = 2.0 ** (shared - 31)
        second += float((z**2).sum()) * weight
        fourth += float((z**4).sum()) * weight
        largest = max(largest, int((z * 2**FRACTION_BITS).max()))
    tail = float(gaussian(torch.tensor([0]), coefficients)[0]) * 2.0**-FRACTION_BITS
    second += tail**2 * 2.0**-31
    fourth += tail**4 * 2.0**-31
    reach = max(largest * 2.0**-FRACTION_BITS, tail)
    return {"variance": second, "excess_kurtosis": fourth / second**2 - 3, "largest": reach}


def package_text(coefficients: GaussianTable | None = None) -> str:
    """Render the SystemVerilog package that holds a table."""
    chosen = coefficients or table()
    rows = [
        f"    {C0_BITS + C1_BITS}'h{(c0 << C1_BITS) | c1:09x}"
        for c0, c1 in zip(chosen.c0.tolist(), chosen.c1.tolist(), strict=True)
    ]
    return f"""// SPDX-License-Identifier: MIT
// Generated by `python -m flow.gaussian`; do not edit. Layout and equation: flow/gaussian.py.
package gaussian_pkg;
  localparam int unsigned C0Bits = {C0_BITS};
  localparam int unsigned C1Bits = {C1_BITS};
  localparam int unsigned SegmentBits = {SEGMENT_BITS};
  localparam int unsigned PositionBits = {POSITION_BITS};
  localparam int unsigned BaseShift = {BASE_SHIFT};
  localparam int unsigned ResultShift = {RESULT_SHIFT};
  localparam int unsigned ZBits = 16;
  // Entry = octave * 16 + segment, each {{c0, c1}}.
  localparam logic [{C0_BITS + C1_BITS - 1}:0] Table[{ENTRIES}] = '{{
{",".join(chr(10) + r for r in rows).lstrip(chr(10))}
  }};
endpackage
"""


if __name__ == "__main__":
    PACKAGE.write_text(package_text())
