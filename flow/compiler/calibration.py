"""Find, and prove on real images, what one LSB at a site is in the network's own units.

The proof goes layer by layer: each layer of the compiled graph reads the activations of the
Brevitas network. Its accumulators must then be the network's, and its activations too, but for a
few that are one step off: where a value falls on a threshold up to float32's rounding, the network
and its exact counterpart may round differently, and neither is wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from flow.errors import Defect, UserError
from flow.models import Network
from flow.noise.site import Site

if TYPE_CHECKING:
    from flow.golden.model import GoldenModel

TOLERANCE = 1e-4
"""Largest accepted difference, relative to the largest value at the site: float32 rounding."""
ON_THRESHOLDS = 1e-3
"""Largest accepted share of a site's activations that are one step off."""


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


@dataclass(frozen=True)
class ScaleCheck:
    """That the compiled graph computes what the network does."""

    scales: dict[str, Scale]
    """By site."""
    on_thresholds: dict[str, float]
    """By site of activations: the share of values that are one step off."""


def verify_scales(
    network: Network,
    golden: "GoldenModel",
    inputs: Tensor,
    stream: Tensor,
    names: Mapping[str, str],
) -> ScaleCheck:
    """Find the scale of every site and prove it.

    Args:
        network: the trained network.
        golden: of the graph compiled from it.
        inputs: real images, float32 [N, C, H, W].
        stream: the same images as the host quantises them, integers [N, elements].
        names: by site, the golden model's stream there.

    Raises:
        UserError: a site's channels have unlike scales, which one σ a tap cannot serve.
        Defect: the compiled graph does not compute what the network does.
    """
    from flow.golden.model import Record, computed

    real = real_streams(network, inputs, list(names))
    activations = [site for site in names if Site(site).is_activation]
    free = Record({names[site] for site in activations})
    golden.run(stream, record=free)
    given = {
        names[site]: _on_grid(site, real[site], free.streams[names[site]]) for site in activations
    }
    instead = {names[site]: computed(names[site]) for site in activations}
    record = Record({*names.values(), *instead.values()})
    golden.run(golden.layerwise(stream, given), record=record)
    off = {
        site: _one_step_off(site, record.streams[instead[name]], given[name])
        for site, name in names.items()
        if name in given
    }
    integer = {
        site: record.streams[name].numpy().reshape(-1, real[site].shape[1])
        for site, name in names.items()
    }
    return ScaleCheck(find_scales(real, integer), off)


def _on_grid(site: str, real: npt.NDArray, nearly: Tensor) -> Tensor:
    """Return activations as the graph's integers, given some that are nearly all right."""
    scale, offset = _line(site, real, nearly.numpy().reshape(real.shape).astype(np.float64))[:2]
    return torch.from_numpy(np.round(real / scale - offset)).view(nearly.shape).to(nearly.dtype)


def _one_step_off(site: str, ours: Tensor, theirs: Tensor) -> float:
    """Return the share of activations that differ, or raise an Defect if it is large."""
    share = float((ours != theirs).float().mean())
    levels = theirs.unique()
    step = float(levels.diff().min()) if len(levels) > 1 else 1.0
    if share > ON_THRESHOLDS or float((ours - theirs).abs().max()) > step:
        raise Defect(
            f"site {site}: {share:.2g} of the compiled graph's activations are not the network's"
        )
    return share


def real_streams(network: Network, inputs: Tensor, sites: list[str]) -> dict[str, npt.NDArray]:
    """Record what the Brevitas network has at its taps.

    Args:
        network: the trained network; runs clean, in evaluation mode.
        inputs: float32 [N, C, H, W].
        sites: where to look.

    Returns:
        by site, in the unit of σ there, float64 [N·pixels, C], channels last.
    """
    seen: dict[str, npt.NDArray] = {}

    def keep(site: str):
        def hook(module, arguments):
            value = arguments[0]
            value = module.in_unit(getattr(value, "value", value))
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
        Defect: the compiled graph does not compute what the network does.
    """
    return {site: _fit(site, real[site], integer[site].astype(np.float64)) for site in real}


def _fit(site: str, real: npt.NDArray, integer: npt.NDArray) -> Scale:
    scale, offset, slope, alive = _line(site, real, integer)
    common = float(np.abs(scale[0]))
    if np.abs(np.abs(slope) - common).max() > TOLERANCE * common:
        raise UserError(
            f"site {site}: its channels have unlike scales ({np.abs(slope).min():.4g} to "
            f"{np.abs(slope).max():.4g}); quantise its weights per tensor"
        )
    error = np.abs(scale * (integer + offset) - real)[:, alive].max() / np.abs(real).max()
    if error > TOLERANCE:
        raise Defect(f"site {site}: the compiled graph is off by {error:.2g} of the largest value")
    return Scale(scale, offset, float(error))


def _line(
    site: str, real: npt.NDArray, integer: npt.NDArray
) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray, npt.NDArray]:
    """Fit real = scale · (integer + offset) with one |scale| for all channels.

    Returns:
        scale and offset, [C]; the slope of each channel that ever changes; and which do, bool [C].
    """
    mean_real, mean_integer = real.mean(0), integer.mean(0)
    centred = integer - mean_integer
    variance = (centred**2).mean(0)
    alive = variance > 0
    if not alive.any():
        raise UserError(f"site {site}: no channel ever changes on the calibration images")
    slope = (centred * (real - mean_real)).mean(0)[alive] / variance[alive]
    common = float(np.median(np.abs(slope)))
    scale = np.full(integer.shape[1], common)
    scale[alive] = np.sign(slope) * common
    # whole and half LSBs are exact; what is left of the fit is float noise
    offset = np.round((mean_real / scale - mean_integer) * 2) / 2
    return scale, offset, slope, alive
