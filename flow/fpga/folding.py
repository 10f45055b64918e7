"""Default folding on an FPGA: slow enough that a tap needs one small generator."""

import torch
from torch import Tensor

from flow.models import Network

CLOCKS_PER_ELEMENT = 16
"""Clocks per element of the largest stream with a tap. One Philox core makes its samples in 10;
the folding takes divisors, which are fewer clocks than the target."""


def cycles(network: Network, images: Tensor) -> int:
    """Return the target of cycles per image on an FPGA.

    Taps that take a beat in each clock make their samples in unrolled multipliers, ten times as
    many as an ECP5 has.

    Args:
        network: the network.
        images: images of the right shape, float32 [N, C, H, W].
    """
    sizes: list[int] = []
    handles = [
        network.tap(site).register_forward_hook(
            lambda _module, _inputs, output: sizes.append(output.numel())
        )
        for site in network.accumulator_sites
    ]
    try:
        with torch.no_grad():
            network.eval()(images[:1])
    finally:
        for handle in handles:
            handle.remove()
    return CLOCKS_PER_ELEMENT * max(sizes)
