"""Standard normal samples from random words, by a table that Python and RTL share.

Inverse-CDF with hierarchical segments (Lee et al., *A hardware Gaussian noise generator using the
Wallace and inversion methods*; Cheung et al.): bit 31 of a 32-bit word is the sign, and the other
bits m give the tail probability p = (m + ½) / 2^32. Octaves of p (the leading zeros of m) are
divided into ``SEGMENTS`` equal segments, and z is linear in p within a segment:

    |z| = (base[s] − (fall[s] · t >> T_BITS) + half) >> GUARD

where t are the bits of m below those that select segment s.

The table defines the distribution; `flow.noise.quantile_table` makes tables of others.
``python -m flow.noise.gaussian`` writes the normal table for the RTL.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from flow import hdl
from flow.paths import HW

FRACTION_BITS = 12
"""Fractional bits of a sample z."""
OCTAVES = 32
SEGMENT_BITS = 4
SEGMENTS = 1 << SEGMENT_BITS
T_BITS = 15
"""Bits of the position within a segment."""
GUARD = 4
"""Additional fractional bits of base and fall."""
BASE_BITS = 21
"""Bits of a base, including the sign."""
FALL_BITS = 20
_CHUNK = 1 << 16
"""Samples per step, few enough to stay in the processor's cache."""
_FALL = (1 << FALL_BITS) - 1
_HALF = 1 + (OCTAVES - 1) * SEGMENTS
"""Segments of one sign that a word can select; m = 0 has one of its own."""

# position of the segment's bits in a float64, and their value for m = 1
_SEGMENT_AT = 52 - SEGMENT_BITS
_EXPONENT_OF_1 = 1023 << SEGMENT_BITS

PACKAGE = HW / "noise" / "gaussian_pkg.sv"


def segment_edges() -> npt.NDArray[np.float64]:
    """Return the first and last bound of each segment in m, [OCTAVES · SEGMENTS, 2].

    Octave i holds the m of 31 bits with i leading zeros; the last octave is m = 0.
    """
    edges = np.zeros((OCTAVES, SEGMENTS, 2))
    for octave in range(OCTAVES):
        low, width = (2.0 ** (30 - octave), 2.0 ** (30 - octave)) if octave < 31 else (0.0, 1.0)
        edges[octave, :, 0] = low + width * np.arange(SEGMENTS) / SEGMENTS
        edges[octave, :, 1] = edges[octave, :, 0] + width / SEGMENTS
    return edges.reshape(-1, 2)


def build_table() -> npt.NDArray[np.int64]:
    """Return the table of the standard normal distribution.

    Each segment is the least-squares line through the quantile function; the table is then scaled
    to variance 1.

    Returns:
        int64 [OCTAVES · SEGMENTS, 2]: the base of |z|, and the fall of |z| across the segment,
        both with FRACTION_BITS + GUARD fractional bits.
    """
    edges = segment_edges()
    t = (np.arange(64) + 0.5) / 64
    m = edges[:, :1] + (edges[:, 1:] - edges[:, :1]) * t
    z = -ndtri(np.maximum(m, 0.5) / 2.0**32)
    lever = t - t.mean()
    fall = -(z @ lever) / (lever @ lever)
    base = z.mean(1) + fall * t.mean()
    weight = (edges[:, 1] - edges[:, 0]) / 2.0**31
    # E[z²] over a segment is b² − b·f + f²/3
    variance = np.sum(weight * (base**2 - base * fall + fall**2 / 3))
    unit = 2.0 ** (FRACTION_BITS + GUARD) / np.sqrt(variance)
    return np.stack([np.round(base * unit), np.round(fall * unit)], 1).astype(np.int64)


TABLE = build_table()


def gaussian(
    words: npt.NDArray[np.uint32], table: npt.NDArray[np.int64] = TABLE
) -> npt.NDArray[np.int32]:
    """Turn random words into samples.

    Args:
        words: random words, any shape.
        table: int64 [OCTAVES · SEGMENTS, 2], from `build_table`, for both signs; or
            [2, OCTAVES · SEGMENTS, 2], first for z above the median, then for −z below it.

    Returns:
        int32, the words' shape: z · 2^FRACTION_BITS, signed.
    """
    by_segment, flat = entries(table), words.reshape(-1)
    samples = np.empty(flat.shape, dtype=np.int32)
    for first in range(0, flat.size, _CHUNK):
        part = slice(first, first + _CHUNK)
        samples[part] = _samples(flat[part], by_segment)
    return samples.reshape(words.shape)


def _samples(words: npt.NDArray[np.uint32], by_segment: npt.NDArray[np.int64]) -> npt.NDArray:
    m = (words & np.uint32(0x7FFFFFFF)).astype(np.int32)
    # exact in float64, whose exponent is then the octave, followed by the segment and t
    bits = m.astype(np.float64).view(np.int64)
    place = (bits >> _SEGMENT_AT) - (_EXPONENT_OF_1 - 1)
    if len(by_segment) > _HALF:
        place = place.clip(0, _HALF - 1) + (words >> np.uint32(31)) * np.int64(_HALF)
    entry = by_segment.take(place, mode="clip")
    bits >>= _SEGMENT_AT - T_BITS
    bits &= (1 << T_BITS) - 1
    bits *= entry & _FALL
    bits >>= T_BITS
    entry >>= FALL_BITS
    entry -= bits
    entry >>= GUARD
    sign = words.view(np.int32) >> 31
    entry ^= sign
    entry -= sign
    return entry


def entries(table: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return (base + half) · 2^FALL_BITS + fall for each segment, by m ascending from m = 0.

    Those of the lower half follow, if the table has one.
    """
    packed = (table[..., 0] + (1 << (GUARD - 1))) << FALL_BITS | table[..., 1]
    octaves = packed.reshape(-1, OCTAVES, SEGMENTS)[:, ::-1]
    return np.concatenate([octaves[:, 0, :1], octaves[:, 1:].reshape(len(octaves), -1)], 1).ravel()


def pack(table: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the entries in the RTL's format, base above fall, [..., OCTAVES · SEGMENTS]."""
    return (table[..., 0] & ((1 << BASE_BITS) - 1)) << FALL_BITS | table[..., 1]


@dataclass(frozen=True)
class Package:
    """The values of ``gaussian_pkg.sv.j2``."""

    fraction_bits: int
    segment_bits: int
    position_bits: int
    guard_bits: int
    base_bits: int
    fall_bits: int
    entries: Sequence[str]
    """SystemVerilog literals, base above fall."""


def package_text() -> str:
    """Return the SystemVerilog package with the table."""
    assert TABLE.min() >= 0 and TABLE[:, 0].max() < 1 << BASE_BITS - 1
    assert TABLE[:, 1].max() < 1 << FALL_BITS
    width = BASE_BITS + FALL_BITS
    values = Package(
        fraction_bits=FRACTION_BITS,
        segment_bits=SEGMENT_BITS,
        position_bits=T_BITS,
        guard_bits=GUARD,
        base_bits=BASE_BITS,
        fall_bits=FALL_BITS,
        entries=[f"{width}'h{entry:0{-(-width // 4)}x}" for entry in pack(TABLE)],
    )
    return hdl.render(__file__, "gaussian_pkg.sv.j2", values)


if __name__ == "__main__":
    PACKAGE.parent.mkdir(parents=True, exist_ok=True)
    PACKAGE.write_text(package_text())
