"""Effects of training with noise on a network, layer by layer.

Noisy training answers additive noise with larger values, as far as nothing behind the layer undoes
that, and multiplicative noise, which larger values do not help against, with values of two kinds
only (*Walking Noise*: Borras, Klein, Fröning, ECML PKDD 2024, on learning dynamics).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from flow.models import Network
from flow.noise import Noise, NoiseTap, TorchSampler
from flow.noise.site import Site

_NORMAL = 2 / np.pi
"""Share of a normal distribution's variance that its best two values explain."""


@dataclass(frozen=True)
class LayerStatistics:
    """One site of one trained network, without noise but for the last figure."""

    site: str
    weight_magnitude: float | None
    """Mean |w| of the layer whose output this is; None behind anything else."""
    weight_binarisation: float | None
    """`binarisation` of all weights of that layer together; None behind anything else."""
    output_std: float
    """Standard deviation of the values, in the layer's unit."""
    binarisation: float
    """See `binarisation`."""
    signal_to_noise: float | None
    """Power of the values over the power of the noise, without unit; None without noise."""


def layer_statistics(
    network: Network, inputs: Tensor, noise: Mapping[str, Noise] | None = None, *, seed: int = 0
) -> list[LayerStatistics]:
    """Measure a trained network at every site that a walk visits.

    Args:
        network: runs in evaluation mode.
        inputs: float32 [N, C, H, W] in −1..1; a thousand images are enough.
        noise: by site, the noise it was trained with.
        seed: seed of the noise whose power is measured.
    """
    values = values_at(network, inputs, network.walk_sites)
    noise = noise or {}
    sampler = TorchSampler(seed)
    sampler.start_batch(0)
    found = []
    for site, y in values.items():
        ratio, weights = None, _weights(network, site)
        if site in noise and not noise[site].silent:
            tap = NoiseTap()
            tap.set(site, noise[site], sampler)
            ratio = float(y.square().mean() / (tap(y) - y).square().mean())
        found.append(
            LayerStatistics(
                site,
                None if weights is None else float(weights.abs().mean()),
                None if weights is None else binarisation(weights.flatten()[None].numpy()),
                float(y.std()),
                binarisation(y.transpose(0, 1).flatten(1).numpy()),
                ratio,
            )
        )
    return found


def values_at(network: Network, inputs: Tensor, sites: Sequence[str]) -> dict[str, Tensor]:
    """Record the clean values at sites, float32 [N, C] or [N, C, H, W], in the sites' order."""
    seen: dict[str, Tensor] = {}

    def keep(site: str):
        def hook(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            seen[site] = getattr(arguments[0], "value", arguments[0]).detach()

        return hook

    hooks = [network.tap(site).register_forward_pre_hook(keep(site)) for site in sites]
    was_training = network.training
    try:
        network.clear_noise()
        with torch.no_grad():
            network.eval()(inputs)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return {site: seen[site] for site in sites}


def binarisation(values: npt.NDArray[np.float32]) -> float:
    """How far values have moved to two per unit: 0 for a normal distribution, 1 for two values.

    Of each unit's variance, the two values that explain most of it explain a share R² (k-means with
    k = 2, exact in one dimension): 2/π of a normal distribution, 3/4 of a uniform one, all of two
    values. The index is (R² − 2/π) / (1 − 2/π), with R² the mean over units weighted by variance.

    Args:
        values: [units, samples]; a unit is a neuron or a channel.

    Returns:
        The index; NaN if no unit ever changes.
    """
    alive = values[values.min(axis=1) < values.max(axis=1)]
    if not len(alive):
        return float("nan")
    ordered = np.sort(alive.astype(np.float64), axis=1)
    count = ordered.shape[1]
    centred = ordered - ordered.mean(axis=1, keepdims=True)
    variance = (centred**2).mean(axis=1)
    # cut behind the i-th smallest, the two groups' means explain S² / (i (n − i)), S their sum
    below = np.arange(1, count)
    between = centred.cumsum(axis=1)[:, :-1] ** 2 / (below * (count - below))
    share = float(between.max(axis=1).sum() / variance.sum())
    return (share - _NORMAL) / (1 - _NORMAL)


def histograms(network: Network, inputs: Tensor, bins: int = 60) -> pd.DataFrame:
    """Count the values at every site that a walk visits, and the weights of its layers.

    Args:
        network: runs in evaluation mode, without noise.
        inputs: float32 [N, C, H, W] in −1..1.
        bins: number of bins of equal width between the smallest and the largest value.

    Returns:
        A row for each bin: site, of (``values`` or ``weights``), low, high, count.
    """
    parts = []
    for site, values in values_at(network, inputs, network.walk_sites).items():
        for of, one in (("values", values), ("weights", _weights(network, site))):
            if one is not None:
                # a training that diverged leaves values that are not finite
                counts, edges = np.histogram(one[one.isfinite()].numpy(), bins)
                found = {"low": edges[:-1], "high": edges[1:], "count": counts}
                parts.append(pd.DataFrame({"site": str(site), "of": of, **found}))
    return pd.concat(parts, ignore_index=True)


def _weights(network: Network, site: str) -> Tensor | None:
    """Return the weights of the layer whose output a site is; None behind anything else."""
    if not Site(site).is_accumulator:
        return None
    layer = network.get_submodule(Site(site).layer)
    weighted = [m for m in layer.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    return weighted[0].weight.detach() if weighted else None
