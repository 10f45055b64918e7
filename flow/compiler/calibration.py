"""Calibration: the value of one LSB at each site in the network's units, verified on real images.

The verification goes layer by layer: each layer of the compiled graph reads the activations of the
Brevitas network. Its accumulators must then equal the network's, and so must its activations and
the images that the host quantises, except for a few that are one step off: if a value lies on a
threshold up to float32's rounding, the network and its exact counterpart may round differently, and
neither is wrong. The host rounds as the network does.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from flow.errors import Defect, UserError
from flow.models import Network
from flow.noise.site import INPUT, Site

if TYPE_CHECKING:
    from flow.golden.model import GoldenModel

TOLERANCE = 1e-4
"""Largest accepted difference, relative to the largest value at the site, from float32 rounding."""
ON_THRESHOLDS = 1e-3
"""Largest accepted share of a site's activations that are one step off."""

FEW = 2
"""Accepted number of such activations where there are few of them in all."""

MOST_ROUNDS = 4
"""Largest number of times that the integers of the network's activations are found. Errors grow
from layer to layer in a deep network that runs freely, so scales of its last layers are a little
wrong at first; layer by layer they are right."""


@dataclass(frozen=True)
class Scale:
    """Scale and offset per channel: real = scale · (integer + offset)."""

    scale: npt.NDArray[np.float64]
    """[C], units of the network per LSB; negative for channels that FINN negated."""
    offset: npt.NDArray[np.float64]
    """[C], LSB."""
    error: float
    """Largest difference found, relative to the largest value at the site."""

    @property
    def magnitude(self) -> float:
        """Common |scale| of all channels, in units of the network per LSB."""
        return float(np.abs(self.scale[0]))


@dataclass(frozen=True)
class ScaleCheck:
    """Result of the check that the compiled graph computes the same as the network."""

    scales: dict[str, Scale]
    """Scale of each site."""
    on_thresholds: dict[str, float]
    """Share of values that are one step off, for the input and each site of activations."""


def verify_scales(
    network: Network,
    golden: "GoldenModel",
    inputs: Tensor,
    stream: Tensor,
    names: Mapping[str, str],
) -> ScaleCheck:
    """Find and verify the scale of every site.

    Args:
        network: the trained network.
        golden: golden model of the graph compiled from it.
        inputs: real images, float32 [N, C, H, W].
        stream: the same images, quantised by the host, integers [N, elements].
        names: the golden model's stream at each site.

    Raises:
        UserError: the channels of a site have different scales, which need more than one σ.
        Defect: the compiled graph does not compute the same as the network.
    """
    from flow.golden.model import Record, computed

    real = real_streams(network, inputs, list(names))
    steps = {site: network.step(Site(site)) for site in names}
    activations = [site for site in names if Site(site).is_activation]
    theirs, off = stream, {}
    if INPUT in names:
        theirs = _on_grid(INPUT, real[INPUT], stream, steps[INPUT])
        off[INPUT] = _one_step_off(INPUT, stream, theirs)
    instead = {names[site]: computed(names[site]) for site in activations}
    record = Record({names[site] for site in activations})
    golden.run(stream, record=record)
    nearly = {site: record.streams[names[site]] for site in activations}
    given: dict[str, Tensor] | None = None
    for _ in range(MOST_ROUNDS):
        found = {
            names[site]: _on_grid(site, real[site], nearly[site], steps[site])
            for site in activations
        }
        if given is not None and all(torch.equal(given[name], found[name]) for name in found):
            break
        given = found
        record = Record({*names.values(), *instead.values()})
        golden.run(golden.layerwise(theirs, given), record=record)
        nearly = {site: record.streams[instead[names[site]]] for site in activations}
    assert given is not None
    off |= {
        site: _one_step_off(site, record.streams[instead[name]], given[name])
        for site, name in names.items()
        if name in given
    }
    integer = {
        site: record.streams[name].numpy().reshape(-1, real[site].shape[1])
        for site, name in names.items()
    }
    parts = {site: getattr(network.tap(site), "parts", 1) for site in names}
    return ScaleCheck(find_scales(real, integer, parts, steps), off)


def _on_grid(site: str, real: npt.NDArray, nearly: Tensor, step: float | None) -> Tensor:
    """Return activations as the graph's integers, given integers that are nearly all right."""
    integer = nearly.numpy().reshape(real.shape).astype(np.float64)
    scale, offset = _line(site, real, integer, step)[:2]
    return torch.from_numpy(np.round(real / scale - offset)).reshape(nearly.shape).to(nearly.dtype)


def _one_step_off(site: str, ours: Tensor, theirs: Tensor) -> float:
    """Return the share of activations that differ, or raise a Defect if it is large."""
    differing = ours != theirs
    share = float(differing.float().mean())
    levels = theirs.unique()
    step = float(levels.diff().min()) if len(levels) > 1 else 1.0
    few = ours.numel() * ON_THRESHOLDS < FEW and int(differing.sum()) <= FEW
    many = share > ON_THRESHOLDS and not few
    if many or float((ours - theirs).abs().max()) > step:
        raise Defect(
            f"site {site}: {share:.2g} of the compiled graph's activations differ from the "
            "network's"
        )
    return share


def input_of(network: Network) -> Callable[[npt.NDArray[np.float32]], npt.NDArray]:
    """Return what gives a network's own quantised images, in the order of the host's stream.

    Images are float32 [N, C, H, W], and results [N, elements].
    """

    def values(images: npt.NDArray[np.float32]) -> npt.NDArray:
        found = real_streams(network, torch.from_numpy(images), [INPUT])[INPUT]
        return found.reshape(len(images), -1)

    return values


class _AllSeen(Exception):
    """Ends a network's run when there is nothing more to record."""


def real_streams(network: Network, inputs: Tensor, sites: list[str]) -> dict[str, npt.NDArray]:
    """Record the Brevitas network's values at its taps.

    Args:
        network: the trained network, which runs without noise in evaluation mode.
        inputs: float32 [N, C, H, W].
        sites: sites to record.

    Returns:
        The values at each site, in the unit of σ there, float64 [N·pixels, C], channels last.
    """
    seen: dict[str, npt.NDArray] = {}

    def keep(site: str):
        def hook(module, arguments):
            value = arguments[0]
            value = module.in_unit(getattr(value, "value", value))
            if value.ndim == 4:
                value = value.permute(0, 2, 3, 1)
            seen[site] = value.detach().reshape(-1, value.shape[-1]).double().numpy()
            if len(seen) == len(sites):
                raise _AllSeen

        return hook

    hooks = [network.tap(site).register_forward_pre_hook(keep(site)) for site in sites]
    try:
        with torch.no_grad(), suppress(_AllSeen):
            network.eval()(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def find_scales(
    real: Mapping[str, npt.NDArray],
    integer: Mapping[str, npt.NDArray],
    parts: Mapping[str, int] = MappingProxyType({}),
    steps: Mapping[str, float | None] = MappingProxyType({}),
) -> dict[str, Scale]:
    """Fit real = scale · (integer + offset) for each channel of each site, and check the fit.

    Args:
        real: the network's values at each site, [N, C].
        integer: the compiled graph's values at each site for the same images, [N, C].
        parts: partial sums at each site of each value of its layer's output; 1 by default.
        steps: size of an LSB at each site, for those that never change; None if it is not known.

    Raises:
        UserError: the channels of a site have different scales, which need more than one σ, or
            never change.
        Defect: the compiled graph does not compute the same as the network.
    """
    return {
        site: _fit(
            site, real[site], integer[site].astype(np.float64), steps.get(site), parts.get(site, 1)
        )
        for site in real
    }


def _fit(
    site: str, real: npt.NDArray, integer: npt.NDArray, step: float | None, parts: int
) -> Scale:
    scale, offset, slope, alive = _line(site, real, integer, step, parts)
    common = float(np.abs(scale[0]))
    if np.abs(np.abs(slope) - common).max(initial=0) > TOLERANCE * common:
        raise UserError(
            f"site {site}: its channels have unlike scales ({np.abs(slope).min():.4g} to "
            f"{np.abs(slope).max():.4g}); quantise its weights per tensor"
        )
    off = np.abs(scale * (integer + offset) - real)[:, alive].max(initial=0)
    error = off / np.abs(real).max() if off else 0.0
    if error > TOLERANCE:
        raise Defect(f"site {site}: the compiled graph is off by {error:.2g} of the largest value")
    return Scale(scale, offset, float(error))


def _line(
    site: str, real: npt.NDArray, integer: npt.NDArray, step: float | None, parts: int = 1
) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray, npt.NDArray]:
    """Fit real = scale · (integer + offset) with one |scale| for all channels.

    It is the step, if that is known, where no channel changes.

    Returns:
        Scale and offset, [C]; the slopes of the channels that change; and which change, bool [C].
    """
    mean_real, mean_integer = real.mean(0), integer.mean(0)
    centred = integer - mean_integer
    variance = (centred**2).mean(0)
    alive = variance > 0
    slope = (centred * (real - mean_real)).mean(0)[alive] / variance[alive]
    common = float(np.median(np.abs(slope))) if alive.any() else step
    if common is None:
        raise UserError(f"site {site}: no channel ever changes on the calibration images")
    scale = np.full(integer.shape[1], common)
    scale[alive] = np.where(slope < 0, -common, common)
    # a sum that never changes has the sign of its column's others
    columns = np.where(alive, scale, 0).reshape(parts, -1).sum(0)
    scale[~alive & (np.tile(columns, parts) < 0)] = -common
    # offsets are whole or half LSBs; the fit's deviation from them is float rounding
    offset = np.round((mean_real / scale - mean_integer) * 2) / 2
    return scale, offset, slope, alive
