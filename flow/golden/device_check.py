"""Whether a device computes the golden model's integers exactly.

A GPU may round the factors of a product, or transform a convolution, so what it computes is
compared with the processor's integers before it is used: first on numbers at the ends of their
ranges, then on the layers and the noise of a walk.
"""

from collections.abc import Iterator, Mapping
from functools import cache

import numpy as np
import torch
from torch import Tensor

from flow.errors import UserError
from flow.golden.layers import Convolution, MatrixVector, Pool, Thresholds, Window, filters_of
from flow.golden.model import GoldenModel, Record
from flow.noise.hardware.fixed_point import TapFormat, apply_tap, digest, draw_samples
from flow.noise.hardware.registers import TapSettings
from flow.noise.quantile_table import QuantileTable

_PLACE = ("", ("",), "")


@cache
def check_arithmetic(device: torch.device) -> None:
    """Compare a device with the processor on numbers at the ends of their ranges.

    Raises:
        UserError: they differ.
    """
    pairs = (*_products(device), *_others(device), *_noise(device))
    for what, ours, exact in pairs:
        if not torch.equal(ours.cpu(), exact.to(ours.dtype)):
            raise _inexact(device, what)


def check_model(
    golden: GoldenModel,
    device: torch.device,
    stream: Tensor,
    noises: Mapping[str, Mapping[str, TapSettings]],
) -> None:
    """Compare a golden model on a device with the same on the processor, up to the scores.

    Args:
        golden: the model, on the processor.
        device: the device.
        stream: a few images, integers [N, elements].
        noises: settings by site, by what messages call them.

    Raises:
        UserError: they differ.
    """
    for what, noise in noises.items():
        sites = [site for site in noise if site in golden.taps]
        here, there = Record([golden.scores], sites), Record([golden.scores], sites)
        labels = golden.run(stream, noise, record=here)
        found = golden.to(device).run(stream, noise, record=there)
        pairs = [(labels, found), (here.streams[golden.scores], there.streams[golden.scores])]
        pairs += [(here.digests[site], there.digests[site]) for site in here.digests]
        if not all(torch.equal(ours, theirs.cpu()) for ours, theirs in pairs):
            raise _inexact(device, what)


def _inexact(device: torch.device, what: str) -> UserError:
    return UserError(
        f"{device} does not compute {what} exactly, bit for bit: leave the device out to "
        "compute on the processor"
    )


def _random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _products(device: torch.device) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield sums of products near 2^24, of many factors of 8 bits and of few of 21 bits."""
    random, window = _random(1), Window((3, 2), (2, 1), (1, 2))
    for low, high, most, channels in ((0, 255, 127, 85), (-(1 << 20), (1 << 20) - 1, 2, 1)):
        rows = 6 * channels
        images = torch.randint(low, high + 1, (2, 9, 8, channels), generator=random)
        images[0] = high
        w = torch.randint(-most, most + 1, (rows, 24), generator=random)
        w[:, 0] = most
        windows = torch.cat(list(window.places(images)), -1)
        exact = windows @ w
        convolution = Convolution(*_PLACE, filters_of(w.float(), window), window).to(device)
        yield "convolutions", convolution(images.float().to(device)), exact
        own = filters_of(w[:6, :1].expand(6, channels).float(), window)
        depth_wise = Convolution(*_PLACE, own, window, depth_wise=True).to(device)
        exact_own = (windows.unflatten(-1, (6, channels)) * w[:6, :1]).sum(-2)
        yield "depth-wise convolutions", depth_wise(images.float().to(device)), exact_own
        product = MatrixVector(*_PLACE, w.float(), tuple(windows.shape[1:3])).to(device)
        yield "matrix products", product(windows.float().to(device)), exact


def _others(device: torch.device) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield poolings, and thresholds at their edges."""
    image = torch.randint(-(1 << 19), 1 << 19, (2, 6, 6, 3), generator=_random(3))
    window = Window((3, 3), (2, 2), (1, 1))
    places = torch.stack(list(window.places(image)))
    for shift, exact in ((0, places.sum(0)), (3, places.sum(0) >> 3), (None, places.amax(0))):
        yield "poolings", Pool(*_PLACE, window, shift)(image.float().to(device)), exact
    steps = torch.tensor([[-(1 << 23)] * 3, [0] * 3, [(1 << 23) - 1] * 3]).float()
    edges = torch.stack([steps - 1, steps, steps + 1]).view(-1, 3)
    counted = Thresholds(*_PLACE, steps, 0).to(device)(edges.to(device))
    yield "thresholds", counted, (edges[:, None] >= steps).sum(1)


def _noise(device: torch.device) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield samples and taps at the ends of the registers, and digests."""
    skewed = QuantileTable.of(-np.log(np.linspace(1, 0.001, 1000, dtype=np.float32)))
    for table in (None, skewed):
        place = (0xFEDCBA9876543210, 0xFFFF, 0xFFFF, 0xFFFFFFFE, 5, 1001, table)
        yield "random numbers", draw_samples(*place, device=device), draw_samples(*place)
    acc = torch.randint(-(1 << 22), 1 << 22, (5, 60), generator=_random(2))
    offset = torch.tensor([0, 1 << 30, -(1 << 30)])
    most = {"seed": 1 << 63, "sigma_mul": (1 << 24) - 1, "sigma_add": (1 << 32) - 1}
    for fmt in (
        TapFormat(8, -(1 << 24), (1 << 24) - 1),
        TapFormat(8, -(1 << 39), (1 << 39) - 1, sigma_frac=8),
        TapFormat(12, -7, 7, rounds=True),
        TapFormat(4, -1, 1, rounds=True, step=2),
    ):
        for own in (
            {"sigma_add": 1 << 16, "sigma_mul": 1 << 10},
            {"add_first": True},
            {"pattern": True, "table": skewed},
            {"executions": 3},
            {"gain_rate": -(1 << 28), "sigma_rate": 1 << 28, "image_base": 7},
        ):
            settings = TapSettings(**(most | {"enable": True} | own))
            values = acc.float() if fmt.out_max <= 1 << 24 else acc
            out = apply_tap(values.to(device), offset.to(device), fmt, settings, 3)
            exact = apply_tap(values, offset, fmt, settings, 3)
            yield "the noise of a tap", out, exact
            yield "digests", digest(out), digest(exact)
