"""Random words and samples by torch, on any device: NumPy's numbers, bit for bit.

Whoever draws on the processor takes `flow.noise.kernel`. A word is an int64: products of words wrap
in 64 bits, which hold both of their halves.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from flow.noise.gaussian import FALL_BITS, GUARD, T_BITS, TABLE, entries
from flow.noise.philox import KEY_STEPS, MULTIPLIERS, ROUNDS

_WORD = 0xFFFFFFFF
_SHARE = 1 << 22
"""Samples per step, whose intermediate values take 300 MB."""
_SEGMENT_AT = 19
"""Position of a segment's bits in a float32."""
_EXPONENT_OF_1 = 127 << 4
_HALF = len(entries(TABLE))
"""Segments of one sign."""


def noise_words(
    seed: int, site: int, draw: int, first_image: int, images: int, elements: int,
    device: torch.device,
) -> Tensor:  # fmt: skip
    """Return what `flow.noise.philox.noise_words` returns, int64 [images, elements]."""
    c0 = torch.arange(-(-elements // 4), device=device)
    c1 = (torch.arange(images, device=device)[:, None] + first_image) & _WORD
    c2, c3 = torch.full_like(c0[:1], site << 16 | draw), torch.zeros_like(c0[:1])
    k0, k1 = seed & _WORD, seed >> 32 & _WORD
    for _ in range(ROUNDS):
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c2 = p1 >> 32 & _WORD ^ c1 ^ k0, p0 >> 32 & _WORD ^ c3 ^ k1
        c1, c3 = p1 & _WORD, p0 & _WORD
        k0, k1 = (k0 + KEY_STEPS[0]) & _WORD, (k1 + KEY_STEPS[1]) & _WORD
    return torch.stack([c0, c1, c2, c3], 2).flatten(1)[:, :elements]


def gaussian(words: Tensor, by_segment: Tensor) -> Tensor:
    """Return what `flow.noise.gaussian.gaussian` makes of words.

    Args:
        words: int64, any shape.
        by_segment: the table's `entries`, int64.

    Returns:
        int32, the words' shape: z · 2^FRACTION_BITS.
    """
    m, sign = (words & 0x7FFFFFFF).int(), words >> 31
    # octave, segment and t are 20 bits from the leading one; the cleared bit behind them keeps
    # float32, which every device has, from rounding into them
    bits = (m & ~(m >> 20)).float().view(torch.int32).long()
    place = ((bits >> _SEGMENT_AT) - (_EXPONENT_OF_1 - 1)).clamp(min=0)
    if len(by_segment) > _HALF:
        place += sign * _HALF
    entry = by_segment[place]
    t = bits >> _SEGMENT_AT - T_BITS & (1 << T_BITS) - 1
    fallen = (entry & (1 << FALL_BITS) - 1) * t >> T_BITS
    z = (entry >> FALL_BITS) - fallen >> GUARD
    return (z * (1 - 2 * sign)).int()


def samples(
    seed: int, site: int, draw: int, first_image: int, images: int, elements: int,
    table: npt.NDArray[np.int64], device: torch.device,
) -> Tensor:  # fmt: skip
    """Return the samples of a site and a draw, int32 [images, elements].

    Args:
        seed: 64 bits.
        site: the site's number, 16 bits.
        draw: number of the draw, 16 bits.
        first_image: number of the first image.
        images: number of images.
        elements: number of elements of an image at the site.
        table: for one or both signs, as for `flow.noise.gaussian.gaussian`.
        device: where they are drawn and stay.
    """
    by_segment = torch.from_numpy(entries(table)).to(device)
    out = torch.empty(images, elements, dtype=torch.int32, device=device)
    step = max(1, _SHARE // elements)
    for first in range(0, images, step):
        rows = out[first : first + step]
        place = (seed, site, draw, first_image + first, len(rows), elements)
        rows.copy_(gaussian(noise_words(*place, device), by_segment))
    return out
