"""Where noise enters a network."""

from collections.abc import Callable

from torch import Tensor, nn

from flow.noise.base import Noise
from flow.noise.samplers import Sampler, Source


class NoiseTap(nn.Module):
    """A place where noise may enter; without noise it returns the very tensor it was given.

    It holds no parameters and no buffers, so that it is in neither a checkpoint nor an export.

    Args:
        requantise: the site's quantiser, applied after the noise to put the values back on its
            grid; None where the values go on unrounded, as at an accumulator.
    """

    def __init__(self, requantise: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        # Past Module.__setattr__: the quantiser belongs to the block, and is not a child of its tap
        self.__dict__["requantise"] = requantise
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
            noise: what to apply.
            sampler: where the samples come from.
            training: whether it applies in training mode.
            evaluation: whether it applies in evaluation mode.
        """
        self.site, self.noise, self.sampler = site, noise, sampler
        self.in_training, self.in_evaluation = training, evaluation

    def clear(self) -> None:
        """Make the tap the identity again."""
        self.noise = self.sampler = None

    def forward(self, y: Tensor) -> Tensor:
        """Return y, with noise if there is any: float [N, ...], in the layer's unit."""
        active = self.in_training if self.training else self.in_evaluation
        if not active or self.noise is None or self.sampler is None or self.noise.silent:
            return y
        noisy = self.noise.apply(y, Source(self.sampler, self.site, y.shape))
        requantise = self.__dict__["requantise"]
        return noisy if requantise is None else requantise(noisy)
