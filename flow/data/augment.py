"""Augmentation of training images by random shifts and mirroring."""

import torch
import torch.nn.functional as F
from torch import Tensor


def augmented(images: Tensor, margin: int = 4, border: str = "repeated") -> Tensor:
    """Shift each image by up to ``margin`` pixels, and mirror half of them.

    Args:
        images: float32 [N, C, H, W] in -1..1.
        margin: largest shift, pixels.
        border: what surrounds an image: its ``repeated`` edge, or ``black``.

    Returns:
        The augmented images, same shape; shifts are drawn from torch's global generator.
    """
    count, channels, height, width = images.shape
    sides = (margin,) * 4
    black = border == "black"
    padded = F.pad(images, sides, value=-1) if black else F.pad(images, sides, mode="replicate")
    top, left = torch.randint(2 * margin + 1, (2, count, 1))
    columns = left + torch.arange(width)
    mirrored = torch.rand(count) < 0.5
    columns[mirrored] = columns[mirrored].flip(1)
    rows = top + torch.arange(height)
    index = torch.arange(count)[:, None, None, None], torch.arange(channels)[:, None, None]
    places = (*index, rows[:, None, :, None], columns[:, None, None, :])
    return padded[tuple(place.to(images.device) for place in places)]
