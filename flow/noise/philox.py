"""Philox4x32-10, the counter-based random number generator of the noise (Salmon et al., SC'11).

Noise is a pure function of (seed, site, image, element, draw), so it does not depend on folding,
back-pressure, batches or the number of workers. ``hw/noise/philox4x32.sv`` is the same function in
RTL, ``kernel.cpp`` a compiled one, and ``torch_draws.py`` that of other devices.
"""

import numpy as np
import numpy.typing as npt

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_MASK = 0xFFFFFFFF
_LOW = np.uint64(_MASK)
_HALF = np.uint64(32)
_CHUNK = 1 << 16
"""Counters per step, few enough for their state to stay in the processor's cache."""

Words = npt.NDArray[np.uint64]


def philox4x32(c0: Words, c1: Words, c2: Words, c3: Words, key: tuple[int, int]) -> list[Words]:
    """Encrypt counters.

    Args:
        c0: first word of each counter, 0 .. 2^32 − 1. Words common to many counters may have a
            shape that broadcasts; they are then processed once.
        c1: second word.
        c2: third word.
        c3: fourth word.
        key: two words of 32 bits.

    Returns:
        The four words of each result, each of the broadcast shape, 0 .. 2^32 − 1.
    """
    k0, k1 = key
    for _ in range(ROUNDS):
        p0, p1 = c0 * np.uint64(MULTIPLIERS[0]), c2 * np.uint64(MULTIPLIERS[1])
        # c1 and c3 are low halves; the bits above them are masked after the next exclusive or
        c0 = p1 >> _HALF ^ c1
        c0 ^= np.uint64(k0)
        c0 &= _LOW
        c2 = p0 >> _HALF ^ c3
        c2 ^= np.uint64(k1)
        c2 &= _LOW
        c1, c3 = p1, p0
        k0, k1 = (k0 + KEY_STEPS[0]) & _MASK, (k1 + KEY_STEPS[1]) & _MASK
    return [c0, c1 & _LOW, c2, c3 & _LOW]


def noise_words(
    seed: int, site: int, draw: int, first_image: int, images: int, elements: int
) -> npt.NDArray[np.uint32]:
    """Return the random words of one site.

    The counter is {element ÷ 4, image, site · 2^16 + draw, 0}, the key the seed, and the output
    word the element mod 4.

    Args:
        seed: 64 bits.
        site: the site's number, 16 bits.
        draw: 0 for z₁, 1 for z₂.
        first_image: number of the first image.
        images: number of images.
        elements: number of elements of an image at the site, channels last.

    Returns:
        uint32 [images, elements].
    """
    blocks = -(-elements // 4)
    block = np.arange(blocks, dtype=np.uint64)
    image = (np.arange(images, dtype=np.uint64) + np.uint64(first_image))[:, None] & _LOW
    place = np.array(site << 16 | draw, dtype=np.uint64)
    key = (seed & _MASK, seed >> 32 & _MASK)
    out = np.empty((images, blocks, 4), dtype=np.uint32)
    step = max(1, _CHUNK // blocks)
    for first in range(0, images, step):
        rows = slice(first, first + step)
        for word, values in enumerate(philox4x32(block, image[rows], place, place * 0, key)):
            out[rows, :, word] = values
    return out.reshape(images, -1)[:, :elements]
