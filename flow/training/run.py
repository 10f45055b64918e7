"""A training run between two epochs, whose state a file keeps.

Everything random is a function of the seed and the place in the run. The order of the images, their
crops and the dropout depend on (seed, epoch), the noise on (seed, step). So a run that resumes
after a kill is bit-identical to one that was never stopped, on the same processor with the same
number of threads. On another device, dropout has the device's random numbers, and all others are
those of the processor. What is written is the same for every device.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from flow.data.augment import augmented
from flow.device import CPU
from flow.errors import UserError
from flow.models import Network, evaluate
from flow.models.network import channels_last
from flow.noise import Noise, TorchSampler, derive_seed
from flow.training import checkpoint
from flow.training.settings import TrainingSettings

log = logging.getLogger(__name__)

Samples = tuple[Tensor, Tensor]
"""Network inputs, float32 [N, C, H, W], and labels, int64 [N]."""


@dataclass(frozen=True)
class Progress:
    """State of a training run after an epoch."""

    epoch: int
    """Number of finished epochs."""
    epochs: int
    loss: float
    """Mean cross-entropy of the epoch, nats."""
    accuracy: float
    """Share of training images labelled rightly during the epoch, with dropout and noise."""
    seconds: float
    """Time that the epoch took."""


@dataclass(frozen=True)
class Start:
    """A checkpoint whose weights a training begins with."""

    path: Path
    weights: Mapping[str, Tensor]
    zero_to_one: bool
    digest: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a checkpoint; UserError as for `checkpoint.load`."""
        network, _ = checkpoint.load(path)
        return cls(path, network.state_dict(), network.zero_to_one, checkpoint.digest_of(path))

    def load_into(self, network: Network) -> None:
        """Give a network these weights and range of images; UserError if they do not fit."""
        network.zero_to_one = self.zero_to_one
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            raise UserError(f"{self.path} does not fit {network.name}: {error}") from error


@contextmanager
def seeded(*parts: object) -> Iterator[None]:
    """Seed torch's global generator for a block, and restore it afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(*parts))
        yield


def _generator(*parts: object) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(*parts))


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """Weigh classes in the loss by how rare they are, and the last, of unknown words, still less.

    The paper's code does so for keywords: 1 − p_c, the last one divided by 3.6, where p_c is the
    share of class c in the training set.

    Args:
        labels: int64 [N] of the training set.
        classes: number of classes.

    Returns:
        float32 [classes], which add up to 1.
    """
    weights = 1 - torch.bincount(labels, minlength=classes) / len(labels)
    weights[-1] /= 3.6
    return weights / weights.sum()


class TrainingRun:
    """A training run between two epochs, on a device to which the network is moved."""

    def __init__(
        self,
        settings: TrainingSettings,
        network: Network,
        start: Start | None = None,
        device: torch.device = CPU,
    ) -> None:
        self.settings, self.start, self.device = settings, start, device
        self.epoch = 0
        # The layout in which torch's convolutions are fastest on a CPU
        network.zero_to_one = settings.zero_to_one or network.zero_to_one
        self.network: Network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch lacks the overload
        noise = settings.noise
        if isinstance(noise, Noise):
            noise = dict.fromkeys(self.network.walk_sites, noise)
        self.noise: Mapping[str, Noise] = noise or {}
        """By site."""
        for site in self.noise:
            self.network.tap(site)
        # Going through a network's modules by their names takes longer than limiting its weights
        self.limited = [
            weight
            for name, weight in self.network.named_parameters()
            if name.endswith((".linear.weight", ".conv.weight"))
        ]
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=settings.lr, fused=True)

    def finish(
        self,
        samples: Samples,
        test: Samples,
        out: Path | None,
        *,
        resume: bool,
        progress: Callable[[Progress], None] | None,
    ) -> checkpoint.Metadata:
        """Train the epochs that are left, and bring the network to the processor.

        With a checkpoint to write, the state is saved after each epoch.
        """
        samples = samples[0].to(self.device), samples[1].to(self.device)
        state = None if out is None else out.with_name(f"{out.stem}.state.safetensors")
        if resume and state is not None and state.exists():
            self.resume(state)
        while self.epoch < self.settings.epochs:
            report = self.train_epoch(samples)
            if state is not None:
                self.save(state)
            name = self.settings.model if out is None else out.stem
            log.info(
                "%s epoch %d/%d loss %.4f accuracy %.4f, %.1f s", name, *asdict(report).values()
            )
            if progress is not None:
                progress(report)
        found = self.measure(test)
        self.network.to(CPU)
        if out is not None and state is not None:
            checkpoint.save(self.network, out, found)
            state.unlink(missing_ok=True)
        return found

    def train_epoch(self, samples: Samples) -> Progress:
        settings, start = self.settings, time.perf_counter()
        with seeded(settings.seed, "epoch", self.epoch):
            order = torch.randperm(len(samples[0])).to(self.device)
            # A last batch of one image has no variance to normalise by
            batches = [b for b in order.split(settings.batch) if len(b) > 1]
            loss, correct = self.train_batches(samples, batches)
        self.epoch += 1
        count = len(order)
        return Progress(
            self.epoch, settings.epochs, loss / count, correct / count, time.perf_counter() - start
        )

    def train_batches(self, samples: Samples, batches: Sequence[Tensor]) -> tuple[float, int]:
        settings, (inputs, labels) = self.settings, samples
        sampler = TorchSampler(derive_seed(settings.seed, "noise"))
        self.network.set_noise(self.noise, sampler, evaluation=False)
        self.network.train()
        loss_sum, correct, total = 0.0, 0, settings.epochs * len(batches)
        weight = class_weights(labels, self.network.classes) if settings.weighted else None
        for number, chosen in enumerate(batches):
            step = self.epoch * len(batches) + number
            sampler.start_batch(step * settings.batch)
            if settings.spread:
                z = torch.randn((), generator=_generator(settings.seed, "spread", step)).item()
                factor = abs(1 + settings.spread * z)
                noise = {site: one.scaled(factor) for site, one in self.noise.items()}
                self.network.set_noise(noise, sampler, evaluation=False)
            done = self.epoch / settings.epochs if settings.schedule == "epoch" else step / total
            for group in self.optimiser.param_groups:
                group["lr"] = settings.lr * 0.5 * (1 + math.cos(math.pi * done))
            images = inputs[chosen]
            if settings.augment:
                images = augmented(images, border=settings.border)
            images = channels_last(images)
            wanted = labels[chosen]
            dtype = getattr(torch, settings.precision)
            with torch.autocast(self.device.type, dtype, enabled=dtype is not torch.float32):
                logits = self.network(images)
            loss = F.cross_entropy(logits, wanted, weight)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            if settings.clamp:
                self._clamp_weights()
            loss_sum += loss.item() * len(chosen)
            correct += int((logits.argmax(1) == wanted).sum())
        self.network.clear_noise()
        return loss_sum, correct

    def _clamp_weights(self) -> None:
        with torch.no_grad():
            for weight in self.limited:
                weight.clamp_(-1, 1)

    def measure(self, test: Samples) -> checkpoint.Metadata:
        settings, (inputs, labels) = self.settings, test
        right = labels.numpy()
        accuracy = float(np.mean(evaluate(self.network, inputs) == right))
        noisy = None
        if self.noise:
            sampler = TorchSampler(settings.seed)
            predicted = evaluate(self.network, inputs, noise=self.noise, sampler=sampler)
            noisy = float(np.mean(predicted == right))
        return checkpoint.Metadata(
            model=settings.model,
            dataset=settings.dataset,
            noise=settings.noise.to_json() if isinstance(settings.noise, Noise) else None,
            noise_by_site=(
                {site: noise.to_json() for site, noise in self.noise.items()}
                if isinstance(settings.noise, Mapping)
                else None
            ),
            spread=settings.spread,
            epochs=settings.epochs,
            seed=settings.seed,
            accuracy=accuracy,
            n=len(right),
            noisy_accuracy=noisy,
            start=None if self.start is None else self.start.path.name,
            recipe=settings.recipe,
        )

    def _fields(self) -> dict[str, str]:
        noise = {site: one.to_json() for site, one in self.noise.items()}
        settings = dict(self.settings) | {"noise": noise}
        return {"settings": json.dumps(settings), "epoch": str(self.epoch)}

    def save(self, path: Path) -> None:
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        for index, values in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{key}": value for key, value in values.items()}
        checkpoint.write_tensors(tensors, path, self._fields())

    def resume(self, path: Path) -> None:
        tensors, fields = checkpoint.read_tensors(path)
        if fields.get("settings") != self._fields()["settings"]:
            raise UserError(
                f"{path} is of a run with other settings: finish that one, or delete the file"
            )
        network = {k.removeprefix("network."): v for k, v in tensors.items() if k[0] == "n"}
        self.network.load_state_dict(network)
        # Brevitas makes its constants again, on the processor
        self.network.to(self.device)
        adam = self.optimiser.state_dict()
        adam["state"] = {}
        for key, value in tensors.items():
            if key.startswith("adam."):
                _, index, name = key.split(".")
                adam["state"].setdefault(int(index), {})[name] = value
        self.optimiser.load_state_dict(adam)
        self.epoch = int(fields["epoch"])
        log.info("resuming after epoch %d of %s", self.epoch, path)
