"""A walk in which each point has its own network, trained with the point's noise.

The network continues from the walk's checkpoint, or begins with random weights as in the paper. It
is trained for some epochs with the point's noise at the point's site (the clean point as well,
without noise), and then measured with that noise. Each noise draw is a training of its own. Its
checkpoint is kept, so a walk that was stopped trains nothing twice, and `train` resumes within a
training.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from flow.device import CPU
from flow.models import Network
from flow.models.evaluation import Labels
from flow.noise import Noise
from flow.training import checkpoint
from flow.training.paper import RecipeName
from flow.training.trainer import train_once
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.point import NoisePoint
from flow.walks.software import Inference

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retrained:
    """Measures networks that were trained with the noise of the point."""

    model: str
    dataset: str
    start: Path | None
    """Checkpoint with the initial weights of every training; None for random weights."""
    epochs: int
    inputs: Tensor
    setting: NoiseSetting
    batch: int
    """Images at a time in measuring."""
    folder: Path
    """Folder of the trained networks."""
    clamp: bool | None = None
    """Whether weights are limited to −1..1; None as the network needs it."""
    recipe: RecipeName | None = None
    """Recipe of the training; None for the network's own."""
    device: torch.device = CPU
    """Device that trains and measures."""

    def __call__(
        self, block: int, noises: Mapping[NoisePoint, Mapping[str, Noise]]
    ) -> dict[NoisePoint, Labels]:
        """Return the labels [images of the block] of each place, training as needed."""
        found: dict[NoisePoint, Labels] = {}
        for place, noise in noises.items():
            network = self.network(place, noise)
            measure = Inference(network.on(self.device), self.inputs, self.setting, self.batch)
            found |= measure(block, {place: noise})
        return found

    def network(self, place: NoisePoint, noise: Mapping[str, Noise]) -> Network:
        """Return the network of a point, trained with the point's noise unless that is done."""
        seed = self.setting.seed_of(place.draw) % (1 << 63)
        trained = train_once(
            self.folder, self.model, self.dataset, noise, self.epochs, seed=seed, start=self.start,
            recipe=self.recipe, clamp=self.clamp, device=self.device,
        )  # fmt: skip
        return checkpoint.load(trained, self.model)[0]
