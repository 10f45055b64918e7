"""Errors of programmed weights in fixed point: the contents of the accelerator's weight memories.

A weight w, an integer on its memory's grid, is programmed as w' = clip(round(w + error)). The error
is that of a tap (``flow.noise.hardware.fixed_point``) on a rounded stream, in LSB of the weight,
and w' is clipped to the range of the layer's weight quantiser. A run has one w' for all its images,
and each seed is one programming of the array. The samples are those of the layer's accumulator site
at image 0, draws `WEIGHT_DRAW` and the next; elements are counted row by row in FINN's matrix
[MW, MH].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from flow.device import CPU
from flow.errors import UserError
from flow.noise import Noise, Sampler
from flow.noise.gaussian import FRACTION_BITS as Z_FRACTION_BITS
from flow.noise.hardware.fixed_point import WEIGHT_DRAW, TapFormat, apply_tap, draw_samples
from flow.noise.hardware.registers import SIGMA_FRACTION_BITS, TapSettings

KINDS = ("additive", "multiplicative", "mixed")
"""Kinds of noise that weights can have: each is fixed once the weights are programmed."""
FRACTION_BITS = 8
"""Fractional bits of w + error before rounding."""


@dataclass(frozen=True)
class WeightSite:
    """Weights of one layer of an accelerator, which may be programmed with errors."""

    name: str
    number: int
    """Number of the layer's ``.acc`` site in the noise counter."""
    scale: float
    """Units of the network per LSB: σ in LSB = σ / scale."""
    scale_error: float
    """Largest relative difference from the Brevitas network's weights."""
    low: int
    """Smallest weight, LSB."""
    high: int
    """Largest weight, LSB."""
    step: int
    """Step between weights, LSB: 2 for one bit."""
    shape: tuple[int, int]
    """(MW, MH): inputs and outputs of the matrix, the order of the samples."""
    channels: int
    """C: row p · C + c of the matrix is element (c, p) of a filter, where p counts the pixels of
    its window, or of the image for a dense layer that follows a convolution."""
    negated: tuple[int, ...]
    """Columns that FINN negated, for which the network's weight is −scale · integer."""
    node: str
    """Name of FINN's node with the weight memory."""
    std: float
    """Standard deviation of the weights, in the unit of σ."""
    range: float
    """Largest absolute weight, in the unit of σ."""

    @property
    def sigma_bits(self) -> int:
        """Fractional bits of σₐ."""
        return SIGMA_FRACTION_BITS

    @property
    def elements(self) -> int:
        """Number of weights."""
        return self.shape[0] * self.shape[1]

    @property
    def format(self) -> TapFormat:
        """Format with the grid that w + error is rounded to."""
        return TapFormat(FRACTION_BITS, self.low, self.high, rounds=True, step=self.step)

    def in_network_order(self, values: Tensor) -> Tensor:
        """Reorder values per matrix element, [MW · MH], to the order of the network's weights."""
        outputs = self.shape[1]
        return values.view(-1, self.channels, outputs).permute(2, 1, 0).reshape(-1)


def check_kind(noise: Noise, site: str) -> None:
    """Raise a UserError if weights do not have a kind of noise."""
    if noise.kind not in KINDS:
        raise UserError(
            f"site {site}: weights have no {noise.kind} noise in hardware; give "
            "additive, multiplicative or mixed noise"
        )
    if noise.adc is not None:
        raise UserError(f"site {site}: weights are not read by an ADC; give a site .acc or .act")


def settings_of(noise: Noise, site: WeightSite, seed: int) -> TapSettings:
    """Convert noise in the network's units to LSB; all executions read the same weights.

    Raises:
        UserError: weights do not have this kind of noise, or a σ is too large.
    """
    check_kind(noise, site.name)
    return TapSettings.of(replace(noise, executions=1), site.scale, seed)


def draw_errors(site: WeightSite, seed: int, draw: int, device: torch.device = CPU) -> Tensor:
    """Return the samples z₁ (draw 0) or z₂ (draw 1), int32 [1, MW · MH], 12 fractional bits."""
    size = (0, 1, site.elements)
    return draw_samples(seed, site.number, WEIGHT_DRAW + draw, *size, device=device)


def program(
    weights: Tensor, site: WeightSite, settings: TapSettings, drawn: Mapping[int, Tensor]
) -> Tensor:
    """Return the contents of a weight memory programmed with errors.

    Args:
        weights: whole numbers [MW, MH].
        site: the layer's weights.
        settings: settings of the error; its image is ignored.
        drawn: samples drawn before, by draw, from `draw_errors`.

    Returns:
        The programmed weights, [MW, MH], with the dtype of ``weights``.
    """
    if not settings.enable:
        return weights
    device = weights.device
    samples = {
        draw: drawn[draw] if draw in drawn else draw_errors(site, settings.seed, draw, device)
        for draw, sigma in enumerate((settings.sigma_mul, settings.sigma_add))
        if sigma
    }
    flat = weights.long().reshape(1, -1)
    offset = torch.zeros(1, dtype=torch.int64, device=device)
    found = apply_tap(flat, offset, site.format, settings, site.number, samples)
    return found.view(weights.shape).to(weights.dtype)


class WeightSampler:
    """A `Sampler` of the errors of weights, which leaves all other sites to another sampler.

    Args:
        sites: the weight sites of the accelerator.
        seed: key of the generator.
        others: sampler of the streams' sites.
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
        """Begin a batch of the streams at this image."""
        self.others.start_batch(first_image)

    def __call__(self, site: str, draw: int, shape: Sequence[int]) -> Tensor:
        """Return the samples of a stream."""
        return self.others(site, draw, shape)

    def pattern(self, site: str, draw: int, channels: int, device: int | None) -> Tensor:
        """Return float32 samples of weights in the network's order, or of a stream."""
        if site not in self.sites:
            return self.others.pattern(site, draw, channels, device)
        weights = self.sites[site]
        errors = draw_errors(weights, self.seed, draw).float() / (1 << Z_FRACTION_BITS)
        errors = errors.view(weights.shape)
        if draw == 1:
            # the memory's error is added to the negated weight
            errors[:, list(weights.negated)] *= -1
        return weights.in_network_order(errors.reshape(-1))
