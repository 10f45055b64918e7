"""Noise on programmed weights in fixed point: what the accelerator's weight memories then hold.

A weight w, an integer of its memory's grid, is programmed as w' = clip(round(w + error)): the error
is that of a tap (``flow.noise.hardware.fixed_point``) on a stream that is rounded, in LSB of the
weight, and w' is clipped to the range of the layer's weight quantiser. A run has one w' for all its
images, and each seed is one programming of the array. The samples are those of the site of the
layer's accumulator, image 0, draws `WEIGHT_DRAW` and the next; elements count row by row in FINN's
matrix [MW, MH].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from flow.errors import UserError
from flow.noise import Noise, Sampler
from flow.noise.gaussian import FRACTION_BITS as Z_FRACTION_BITS
from flow.noise.hardware.fixed_point import WEIGHT_DRAW, TapFormat, apply_tap, draw_samples
from flow.noise.hardware.registers import TapSettings

KINDS = ("additive", "multiplicative", "mixed")
"""Kinds of noise that weights can have: each is fixed by the programming."""
FRACTION_BITS = 8
"""Of w + error before it is rounded."""


@dataclass(frozen=True)
class WeightSite:
    """The weights of one layer of an accelerator, which may be programmed with an error."""

    name: str
    number: int
    """Of the layer's ``.acc`` site, in the noise counter."""
    scale: float
    """Units of the network per LSB: σ in LSB = σ / scale."""
    scale_error: float
    """Largest difference to the Brevitas network's weights, relative."""
    low: int
    """Smallest weight, LSB."""
    high: int
    """Largest weight, LSB."""
    step: int
    """Between weights, LSB: 2 for one bit."""
    shape: tuple[int, int]
    """(MW, MH): inputs and outputs of the matrix, the order of the samples."""
    channels: int
    """C: row p · C + c of the matrix is element (c, p) of a filter, p counting the pixels of its
    window, or those of the image that a dense layer behind a convolution reads."""
    negated: tuple[int, ...]
    """Columns whose sign FINN turned: there the network's weight is −scale · integer."""
    node: str
    """FINN's node that has the memory."""

    @property
    def elements(self) -> int:
        """How many weights there are."""
        return self.shape[0] * self.shape[1]

    @property
    def format(self) -> TapFormat:
        """The grid that w + error is rounded to."""
        return TapFormat(FRACTION_BITS, self.low, self.high, rounds=True, step=self.step)

    def in_network_order(self, values: Tensor) -> Tensor:
        """Reorder values of the matrix's elements, [MW · MH], to those of the network's weight."""
        outputs = self.shape[1]
        return values.view(-1, self.channels, outputs).permute(2, 1, 0).reshape(-1)


def settings_of(noise: Noise, site: WeightSite, seed: int) -> TapSettings:
    """Turn noise in the network's units into that of integers; executions read the same weights.

    Raises:
        UserError: weights do not have this kind of noise, or a σ is too large.
    """
    if noise.kind not in KINDS:
        raise UserError(
            f"site {site.name}: weights have no {noise.kind} noise in hardware; give "
            "additive, multiplicative or mixed noise"
        )
    return TapSettings.of(replace(noise, executions=1), site.scale, seed)


def draw_errors(site: WeightSite, seed: int, draw: int) -> Tensor:
    """Return the samples z₁ (draw 0) or z₂ (draw 1), int32 [1, MW · MH], 12 fractional bits."""
    return draw_samples(seed, site.number, WEIGHT_DRAW + draw, 0, 1, site.elements)


def program(
    weights: Tensor, site: WeightSite, settings: TapSettings, drawn: Mapping[int, Tensor]
) -> Tensor:
    """Return what a memory holds after it was programmed with an error.

    Args:
        weights: whole numbers [MW, MH].
        site: whose they are.
        settings: of the error; the image does not matter.
        drawn: samples already drawn, by draw, as from `draw_errors`.

    Returns:
        [MW, MH], of the dtype of ``weights``.
    """
    if not settings.enable:
        return weights
    samples = {
        draw: drawn[draw] if draw in drawn else draw_errors(site, settings.seed, draw)
        for draw, sigma in enumerate((settings.sigma_mul, settings.sigma_add))
        if sigma
    }
    flat = weights.long().reshape(1, -1)
    offset = torch.zeros(1, dtype=torch.int64)
    found = apply_tap(flat, offset, site.format, settings, site.number, samples)
    return found.view(weights.shape).to(weights.dtype)


class WeightSampler:
    """A ``Sampler`` that draws what the errors of weights are made of, and else what another does.

    Args:
        sites: weights of the accelerator.
        seed: key of the generator.
        others: for the sites of streams.
    """

    def __init__(self, sites: Mapping[str, WeightSite], seed: int, others: Sampler) -> None:
        self.sites = sites
        self.seed = seed
        self.others = others

    @property
    def first_image(self) -> int:
        """Number of the first image of the batch."""
        return self.others.first_image

    def start_batch(self, first_image: int) -> None:
        """Take the samples of streams from this image on."""
        self.others.start_batch(first_image)

    def __call__(self, site: str, draw: int, shape: Sequence[int]) -> Tensor:
        """Return the samples of a stream."""
        return self.others(site, draw, shape)

    def pattern(self, site: str, draw: int, channels: int, device: int | None) -> Tensor:
        """Return float32 samples of weights, in the order of the network's; or of a stream."""
        if site not in self.sites:
            return self.others.pattern(site, draw, channels, device)
        weights = self.sites[site]
        errors = draw_errors(weights, self.seed, draw).float() / (1 << Z_FRACTION_BITS)
        errors = errors.view(weights.shape)
        if draw == 1:
            # the memory's error is added to a weight of the other sign
            errors[:, list(weights.negated)] *= -1
        return weights.in_network_order(errors.reshape(-1))
