"""Philox4x32-10, the counter-based generator of the noise (Salmon et al., SC'11).

Noise is a pure function of (seed, site, image, element, draw), so it does not depend on folding,
on back-pressure, on batches or on the number of workers. ``hw/noise/philox4x32.sv`` is the same
function in RTL.
"""

import torch
from torch import Tensor

ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_MASK = 0xFFFFFFFF
_CHUNK = 1 << 15
"""Counters worked on at a time: their state stays in the processor's cache."""


def philox4x32(counter: Tensor, key: tuple[int, int]) -> Tensor:
    """Encrypt counters.

    Args:
        counter: int64 [..., 4], each word 0 .. 2^32 − 1.
        key: two words of 32 bits.

    Returns:
        int64 [..., 4], each word 0 .. 2^32 − 1.
    """
    words = list(counter.unbind(-1))
    return torch.stack(_rounds(words, key), -1)


def _rounds(c: list[Tensor], key: tuple[int, int]) -> list[Tensor]:
    k0, k1 = key
    for _ in range(ROUNDS):
        # the product of two 32-bit words wraps in int64, and its bits are still right
        p0, p1 = c[0] * _MULTIPLIERS[0], c[2] * _MULTIPLIERS[1]
        c = [
            (p1 >> 32).bitwise_and_(_MASK).bitwise_xor_(c[1]).bitwise_xor_(k0),
            p1.bitwise_and_(_MASK),
            (p0 >> 32).bitwise_and_(_MASK).bitwise_xor_(c[3]).bitwise_xor_(k1),
            p0.bitwise_and_(_MASK),
        ]
        k0, k1 = (k0 + _KEY_STEPS[0]) & _MASK, (k1 + _KEY_STEPS[1]) & _MASK
    return c


def noise_words(
    seed: int, site: int, draw: int, first_image: int, images: int, elements: int
) -> Tensor:
    """Return the random words of one site.

    The counter is {element ÷ 4, image, site · 2^16 + draw, 0}, the key the seed, and the output
    word the element mod 4.

    Args:
        seed: 64 bits.
        site: the site's number, 16 bits.
        draw: 0 for z₁, 1 for z₂.
        first_image: number of the first image.
        images: how many images.
        elements: elements of an image at the site, channels last.

    Returns:
        int64 [images, elements], each 0 .. 2^32 − 1.
    """
    blocks = -(-elements // 4)
    key = (seed & _MASK, seed >> 32 & _MASK)
    out = torch.empty(images, blocks, 4, dtype=torch.int64)
    block = torch.arange(blocks, dtype=torch.int64)
    step = max(1, _CHUNK // blocks)
    for start in range(0, images, step):
        rows = min(step, images - start)
        image = torch.arange(start, start + rows, dtype=torch.int64)[:, None] + first_image
        image = image.expand(rows, blocks) & _MASK
        middle = torch.full((rows, blocks), site << 16 | draw, dtype=torch.int64)
        counter = [block.expand(rows, blocks), image, middle, torch.zeros_like(middle)]
        torch.stack(_rounds(counter, key), -1, out=out[start : start + rows])
    return out.view(images, blocks * 4)[:, :elements]
