"""Find, and prove on real images, what one LSB at a tap is in the network's own units."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from flow.errors import UserError
from flow.models import Network

TOLERANCE = 1e-4
"""Largest accepted difference, relative to the largest value at the site: float32 rounding."""


@dataclass(frozen=True)
class Scale:
    """real = scale · (integer + offset), per channel (DESIGN §4.2)."""

    scale: npt.NDArray[np.float64]
    """[C], units of the network per LSB; negative where FINN turned a channel's sign."""
    offset: npt.NDArray[np.float64]
    """[C], LSB."""
    error: float
    """Largest difference seen, relative to the largest value at the site."""

    @property
    def magnitude(self) -> float:
        """The |scale| that all channels share, in units of the network per LSB."""
        return float(np.abs(self.scale[0]))


def real_streams(network: Network, inputs: Tensor, sites: list[str]) -> dict[str, npt.NDArray]:
    """Record what the Brevitas network has at its taps.

    Args:
        network: the trained network; runs clean, in evaluation mode.
        inputs: float32 [N, C, H, W].
        sites: where to look.

    Returns:
        by site, float64 [N·pixels, C], channels last.
    """
    seen: dict[str, npt.NDArray] = {}

    def keep(site: str):
        def hook(module, arguments):
            value = arguments[0]
            value = getattr(value, "value", value)
            if value.ndim == 4:
                value = value.permute(0, 2, 3, 1)
            seen[site] = value.detach().reshape(-1, value.shape[-1]).double().numpy()

        return hook

    hooks = [network.tap(site).register_forward_pre_hook(keep(site)) for site in sites]
    try:
        with torch.no_grad():
            network.eval()(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def find_scales(
    real: Mapping[str, npt.NDArray], integer: Mapping[str, npt.NDArray]
) -> dict[str, Scale]:
    """Fit real = scale · (integer + offset) for each channel of each site, and check the fit.

    Args:
        real: by site, [N, C], the network's values.
        integer: by site, [N, C], the compiled graph's values for the same images.

    Raises:
        UserError: a site's channels have unlike scales, which one σ a tap cannot serve.
        AssertionError: the compiled graph does not compute what the network does.
    """
    return {site: _fit(site, real[site], integer[site].astype(np.float64)) for site in real}


def _fit(site: str, real: npt.NDArray, integer: npt.NDArray) -> Scale:
    mean_real, mean_integer = real.mean(0), integer.mean(0)
    centred = integer - mean_integer
    variance = (centred**2).mean(0)
    alive = variance > 0
    if not alive.any():
        raise UserError(f"site {site}: no channel ever changes on the calibration images")
    slope = (centred * (real - mean_real)).mean(0)[alive] / variance[alive]
    common = float(np.median(np.abs(slope)))
    if np.abs(np.abs(slope) - common).max() > TOLERANCE * common:
        raise UserError(
            f"site {site}: its channels have unlike scales ({np.abs(slope).min():.4g} to "
            f"{np.abs(slope).max():.4g}); quantise its weights per tensor"
        )
    scale = np.full(integer.shape[1], common)
    scale[alive] = np.sign(slope) * common
    offset = mean_real / scale - mean_integer
    # whole and half LSBs are exact; what is left of the fit is float noise
    offset = np.round(offset * 2) / 2
    error = np.abs(scale * (integer + offset) - real)[:, alive].max() / np.abs(real).max()
    if error > TOLERANCE:
        raise AssertionError(
            f"site {site}: the compiled graph is off by {error:.2g} of the largest value"
        )
    return Scale(scale, offset, float(error))
