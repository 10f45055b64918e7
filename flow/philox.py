"""Philox4x32-10, the counter-based generator behind every noise sample (normative, with its RTL).

Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11. One call maps a
128-bit counter and a 64-bit key to four 32-bit words, so a sample is a pure function of where it
is used. `hw/noise/philox4x32.sv` computes the same, bit for bit.
"""

import torch
from torch import Tensor

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
MASK = 0xFFFFFFFF
# Blocks computed at a time: two threads' worth of torch's grain, whose buffers stay in cache.
CHUNK = 1 << 16


def philox4x32(counter: Tensor, key: tuple[int, int]) -> Tensor:
    """Map counters to random words.

    Args:
        counter: int64 [..., 4], each in 0..2^32-1, word 0 first.
        key: the two 32-bit words of the key, low word first.

    Returns:
        int64 [..., 4], each in 0..2^32-1.
    """
    c0, c1, c2, c3 = (c.clone() for c in counter.unbind(-1))
    words = _rounds(c0, c1, c2, c3, _keys(key, 0))
    return torch.stack(words, dim=-1)


def noise_words(
    seed: int, site: int, draw: int, first_image: int, images: int, elements: int
) -> Tensor:
    """Return the words of consecutive images at one site: a function of its arguments alone.

    The counter is {element ÷ 4, image, site · 2^16 + draw, 0}, the key the 64-bit seed, and the
    output word the element modulo 4; elements count in NHWC order within an image.

    Args:
        seed: 64-bit seed.
        site: the tap's number, below 2^16.
        draw: 0 for multiplicative noise, 1 for additive noise; below 2^16.
        first_image: number of the first image, modulo 2^32.
        images: how many images.
        elements: values per image.

    Returns:
        int64 [images, elements], each in 0..2^32-1.
    """
    blocks = -(-elements // 4)
    words = torch.empty((images, blocks, 4), dtype=torch.int64)
    # Chunks of images, and of blocks when an image alone exceeds a chunk.
    image_step = max(1, CHUNK // blocks)
    for image in range(0, images, image_step):
        rows = min(image_step, images - image)
        number = (torch.arange(image, image + rows) + first_image) & MASK
        for block in range(0, blocks, CHUNK):
            columns = min(CHUNK, blocks - block)
            index = torch.arange(block, block + columns)
            part = _grid(number[:, None], index[None, :], (site << 16) | draw, seed)
            destination = words[image : image + rows, block : block + columns]
            for lane, value in enumerate(part):
                destination[..., lane] = value
    return words.reshape(images, 4 * blocks)[:, :elements]


def _grid(image: Tensor, block: Tensor, stream: int, seed: int) -> tuple[Tensor, ...]:
    """Words for image [N, 1] times block [1, B]: the first two rounds are mostly separable."""
    key = (seed & MASK, (seed >> 32) & MASK)
    (k0, k1), (k2, k3) = _keys(key, 0)[:2]
    # round 1: c0 = block, c1 = image, c2 = stream, c3 = 0
    p0, p1 = block * MULTIPLIERS[0], stream * MULTIPLIERS[1]
    c0 = image ^ (p1 >> 32) ^ k0
    c1 = p1 & MASK
    c2 = ((p0 >> 32) & MASK) ^ k1
    c3 = p0 & MASK
    # round 2: c0 is a function of the image alone, c2 and c3 of the block alone
    p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
    c0 = ((p1 >> 32) & MASK) ^ c1 ^ k2
    c2 = (((p0 >> 32) & MASK) ^ k3) ^ c3
    shape = (image.shape[0], block.shape[1])
    full = (c0.expand(shape).clone(), p1.expand(shape).clone())
    return _rounds(*full, c2.clone(), p0.expand(shape).clone(), _keys(key, 2))


def _keys(key: tuple[int, int], first: int) -> list[tuple[int, int]]:
    return [
        ((key[0] + r * KEY_STEPS[0]) & MASK, (key[1] + r * KEY_STEPS[1]) & MASK)
        for r in range(first, ROUNDS)
    ]


def _rounds(
    c0: Tensor, c1: Tensor, c2: Tensor, c3: Tensor, keys: list[tuple[int, int]]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Run one round per key in place; c1 and c3 may carry rubbish above bit 31."""
    p0, p1 = torch.empty_like(c0), torch.empty_like(c0)
    for k0, k1 in keys:
        # a product wraps to int64, and its top half is still bits 32 to 63
        torch.mul(c0, MULTIPLIERS[0], out=p0)
        torch.mul(c2, MULTIPLIERS[1], out=p1)
        torch.bitwise_right_shift(p1, 32, out=c0)
        torch.bitwise_right_shift(p0, 32, out=c2)
        c0.bitwise_xor_(c1).bitwise_xor_(k0).bitwise_and_(MASK)
        c2.bitwise_xor_(c3).bitwise_xor_(k1).bitwise_and_(MASK)
        c1, p1 = p1, c1
        c3, p0 = p0, c3
    return c0, c1.bitwise_and_(MASK), c2, c3.bitwise_and_(MASK)
