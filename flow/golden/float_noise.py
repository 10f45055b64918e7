"""Float noise in the integer graph: the compiled network with taps in real arithmetic.

At a noisy tap, with the network's value real = scale · (acc + o) and F fractional bits,

    v = 2^F · (acc + (noise(real) − real) / scale),

in float64, neither rounded nor saturated. A threshold t downstream of the tap is stored as the
integer T = ceil(t · 2^F), so t · 2^F lies in (T − 1, T], and v is compared with the middle,
T − 1/2. Compared with T, every threshold would be half a step too high on average, a bias that
hardware removes by rounding v. A tap that rounds outputs the nearest value of its grid, halves up.
All other layers are those of the golden model.

The noise is that of `flow.noise`, applied to values in the network's unit, sign and order, so a
sampler returns the same samples as for the network itself.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flow.golden.joins import Addition
from flow.golden.layers import Layer, Pool, Tap, Thresholds, Upsampling
from flow.golden.model import GoldenModel, Subgraph
from flow.golden.tiles import TileSum
from flow.models import CachedSampler
from flow.models.evaluation import Labels
from flow.noise import Noise, Sampler, Source
from flow.noise.hardware.sites import TapSite


def float_tap(acc: Tensor, tap: Tap, site: TapSite, noise: Noise, sampler: Sampler) -> Tensor:
    """Apply noise to a stream in real arithmetic.

    Args:
        acc: whole numbers [N, C] or [N, H, W, C].
        tap: the golden model's tap.
        site: the accelerator's tap, for its scale and sign.
        noise: noise at the site.
        sampler: source of the samples, whose batch begins at the first of these images.

    Returns:
        The stream downstream of the tap, with the shape of ``acc``: float64 in units of 2^−F, or
        whole numbers in float32 if the tap rounds.
    """
    unit = torch.full((site.channels,), site.scale, dtype=torch.float64)
    unit[site.negated] *= -1
    offset = tap.offsets.double() / (1 << tap.format.frac)
    real = (unit * (acc.double() + offset)).movedim(-1, 1)
    noisy = noise.apply(real, Source(sampler, site.name, real.shape))
    value = acc.double() + (noisy - real).movedim(1, -1) / unit
    if not tap.format.rounds:
        return value * (1 << tap.format.frac)
    low, high = tap.format.out_min, tap.format.out_max
    if tap.format.step != 1:
        # halves up: 0, half way between −1 and 1, becomes 1
        return torch.where(value < 0, float(low), float(high))
    return (value + 0.5).floor().clamp(low, high).float()


def classify(
    golden: GoldenModel,
    subgraph: Subgraph,
    sites: Mapping[str, TapSite],
    levels: Sequence[Mapping[str, Noise]],
    sampler: Sampler,
    batch: int,
) -> Labels:
    """Classify images at each level of float noise on taps.

    Args:
        golden: the model.
        subgraph: the layers that the noise reaches, with their streams (`GoldenModel.before`).
        sites: the taps with noise.
        levels: the noise of each tap at each level; all levels share their samples.
        sampler: source of the samples.
        batch: images per batch; TorchSampler's samples depend on it.

    Returns:
        The predicted labels, [levels, N].
    """
    once = CachedSampler(sampler)
    outputs = {golden.taps[site].output for site in sites}
    for layer in subgraph.layers:
        passing = isinstance(layer, TileSum | Pool | Addition | Upsampling)
        if passing and not outputs.isdisjoint(layer.inputs):
            outputs.add(layer.output)
    layers = [_consumer(layer, outputs) for layer in subgraph.layers]
    images = len(next(iter(subgraph.streams.values())))
    labels = np.empty((len(levels), images), dtype=np.uint16)
    for first in range(0, images, batch):
        rows = slice(first, first + batch)
        streams = {name: values[rows] for name, values in subgraph.streams.items()}
        once.start_batch(first)
        for row, noises in zip(labels, levels, strict=True):
            begun = _behind_taps(golden, Subgraph(layers, streams), sites, noises, once)
            row[rows] = golden.run(begun).numpy()
    return labels


def _behind_taps(
    golden: GoldenModel,
    part: Subgraph,
    sites: Mapping[str, TapSite],
    noises: Mapping[str, Noise],
    sampler: Sampler,
) -> Subgraph:
    """Return the remainder of a subgraph after every noisy tap in it."""
    waiting = list(noises)
    while waiting:
        # before the first of them, or the first of each branch
        part = golden.before(waiting, part)
        streams = dict(part.streams)
        ready = [site for site in waiting if golden.taps[site].inputs[0] in streams]
        for site in ready:
            tap = golden.taps[site]
            values = streams[tap.inputs[0]]
            streams[tap.output] = float_tap(values, tap, sites[site], noises[site], sampler)
        layers = [layer for layer in part.layers if layer.output not in streams]
        part = Subgraph(layers, streams)
        waiting = [site for site in waiting if site not in ready]
    return part


@dataclass(frozen=True)
class _Comparison(Thresholds):
    """Thresholds for unrounded values, each in the middle of its possible range."""

    def __call__(self, v: Tensor) -> Tensor:
        """Return activations, float32 [N, …, C], of values, float64 [N, …, C]."""
        return super().__call__(v + 0.5).float()


def _consumer(layer: Layer, outputs: Collection[str]) -> Layer:
    """Return a layer that can consume what noisy taps put out."""
    compares = isinstance(layer, Thresholds) and not set(outputs).isdisjoint(layer.inputs)
    return _Comparison(**vars(layer)) if compares else layer
