"""Taps, at which noise enters a network: at a stream, or at the weights of a layer."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flow.noise.base import Noise
from flow.noise.samplers import Sampler, Source, WeightSource


class Tap(nn.Module):
    """A module where noise may enter; without noise it returns its input tensor itself.

    A tap has no parameters and no buffers, so it appears in neither a checkpoint nor an export.
    """

    def __init__(self) -> None:
        super().__init__()
        self.site = ""
        self.noise: Noise | None = None
        self.sampler: Sampler | None = None
        self.in_training = self.in_evaluation = False

    def set(
        self,
        site: str,
        noise: Noise,
        sampler: Sampler,
        *,
        training: bool = True,
        evaluation: bool = True,
    ) -> None:
        """Put noise on this tap.

        Args:
            site: the tap's name, given to the sampler.
            noise: noise to apply.
            sampler: where the samples come from.
            training: whether it applies in training mode.
            evaluation: whether it applies in evaluation mode.
        """
        self.site, self.noise, self.sampler = site, noise, sampler
        self.in_training, self.in_evaluation = training, evaluation

    def clear(self) -> None:
        """Remove the noise, so that the tap is the identity."""
        self.noise = self.sampler = None

    @property
    def silent(self) -> bool:
        """Whether the tap returns its input."""
        active = self.in_training if self.training else self.in_evaluation
        return not active or self.noise is None or self.sampler is None or self.noise.idle

    @property
    def idle(self) -> bool:
        """Whether nothing changes or sees the values at this tap, so that it may be left out."""
        return self.silent and not (self._forward_hooks or self._forward_pre_hooks)

    def forward(self, y: Tensor) -> Tensor:
        """Return y, with noise if some is set."""
        if self.silent:
            return y
        assert self.noise is not None and self.sampler is not None
        return self.noisy(y, self.noise, self.sampler)

    def noisy(self, y: Tensor, noise: Noise, sampler: Sampler) -> Tensor:
        """Return y with noise."""
        raise NotImplementedError


class NoiseTap(Tap):
    """A tap of a stream y, float [N, ...], in the unit of the layer's output.

    Args:
        requantise: the site's quantiser, applied after the noise to put the values back on its
            grid; None if the values stay unrounded, as at an accumulator.
        unit: unit of σ, float [C], in the unit of the layer's output; None for that unit itself.
            For an accumulator with several scales it is the LSB of each channel.
    """

    def __init__(
        self,
        requantise: Callable[[Tensor], Tensor] | None = None,
        unit: Tensor | None = None,
    ) -> None:
        super().__init__()
        # bypasses Module.__setattr__: the quantiser belongs to the block, not to its tap
        self.__dict__["requantise"] = requantise
        self.__dict__["unit"] = unit
        self.parts = 1
        """Partial sums of each value of the layer's output."""

    @property
    def in_lsb(self) -> bool:
        """Whether σ is in LSB of the accumulator, rather than in the unit of the layer's output."""
        return self.__dict__["unit"] is not None

    def of_sums(self, parts: int) -> "NoiseTap":
        """Return a tap of this many partial sums of each value, float [N, parts · C, …]."""
        unit = self.__dict__["unit"]
        found = NoiseTap(unit=None if unit is None else unit.repeat(parts))
        found.parts = parts
        return found

    def in_unit(self, y: Tensor) -> Tensor:
        """Return values of the layer's output in the unit of σ."""
        return y if not self.in_lsb else y / self._unit(y)

    def _unit(self, y: Tensor) -> Tensor:
        return self.__dict__["unit"].to(y.device).view(1, -1, *[1] * (y.ndim - 2))

    def noisy(self, y: Tensor, noise: Noise, sampler: Sampler) -> Tensor:
        """Return y with noise, on the site's grid if it has one."""
        source = Source(sampler, self.site, y.shape, device=y.device)
        noisy = noise.apply(self.in_unit(y), source)
        if self.in_lsb:
            noisy = noisy * self._unit(y)
        requantise = self.__dict__["requantise"]
        return noisy if requantise is None else requantise(noisy)


@dataclass(frozen=True)
class WeightGrid:
    """Grid of a layer's quantised weights: scale · low, …, scale · high."""

    scale: float
    """Units of the network per LSB."""
    low: int
    """Smallest value, LSB."""
    high: int
    """Largest value, LSB."""
    step: int = 1
    """Step between values, LSB: 2 for one bit, which is −1 or 1."""

    def __call__(self, w: Tensor) -> Tensor:
        """Return the nearest value of the grid, halves up, for each weight."""
        if self.step != 1:
            return torch.where(w < 0, self.low * self.scale, self.high * self.scale)
        return (w / self.scale + 0.5).floor().clamp(self.low, self.high) * self.scale


class WeightTap(Tap):
    """A tap of a layer's quantised weights: w' is the grid's value nearest to w plus its error.

    The weights are programmed once: every image, batch and execution sees the same w', and each
    seed of the sampler is another programming.

    Args:
        grid: grid of the layer's weights.
    """

    def __init__(self, grid: WeightGrid) -> None:
        super().__init__()
        self.grid = grid

    def noisy(self, y: Tensor, noise: Noise, sampler: Sampler) -> Tensor:
        """Return the programmed weights; in training, gradients pass as for exact weights."""
        w = getattr(y, "value", y)
        source = WeightSource(sampler, self.site, w.shape, device=w.device)
        programmed = self.grid(noise.apply(w, source))
        return w + (programmed - w).detach() if w.requires_grad else programmed
