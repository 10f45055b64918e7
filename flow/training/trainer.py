"""Training, with or without noise, that a kill cannot spoil.

Everything random is a function of the seed and the place in the run: the order of the images, their
crops and the dropout of (seed, epoch), the noise of (seed, step). So a run that resumes after a
kill is bit-identical to one that was never stopped, on the same machine with the same number of
threads.
"""

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from flow import data, models
from flow.data.augment import augmented
from flow.errors import UserError
from flow.files import canonical
from flow.models import Network, evaluate
from flow.noise import Noise, TorchSampler, derive_seed
from flow.training import checkpoint
from flow.training.settings import TrainingSettings
from flow.training.zoo import LOCAL, file_name

log = logging.getLogger(__name__)

Samples = tuple[Tensor, Tensor]
"""Network inputs, float32 [N, C, H, W], and labels, int64 [N]."""


@dataclass(frozen=True)
class Progress:
    """State of a training run after an epoch."""

    epoch: int
    """Epochs done."""
    epochs: int
    loss: float
    """Mean cross-entropy of the epoch, nats."""
    accuracy: float
    """Share of training images labelled rightly during the epoch, dropout and noise on."""
    seconds: float
    """How long the epoch took."""


def train(
    model: str,
    dataset: str,
    *,
    noise: Noise | Mapping[str, Noise] | None = None,
    epochs: int = 60,
    seed: int = 0,
    batch: int | None = None,
    lr: float | None = None,
    clamp: bool | None = None,
    augment: bool | None = None,
    spread: float = 0.0,
    start: Path | None = None,
    precision: str = "float32",
    out: Path | None = None,
    resume: bool = True,
    progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Train a network and save it.

    Args:
        model: a full or short name.
        dataset: one of the known sets.
        noise: applied during training, at every site that a walk visits, or by site.
        epochs: passes over the training images.
        seed: of the initial weights and everything else.
        batch: images a step; as the network's recipe says by default, as the next two.
        lr: Adam's step size at the start.
        clamp: whether to hold weights in −1..1.
        augment: whether to shift and mirror images at random; by default as the set says.
        spread: s, by which σ changes from step to step, as `flow.training.settings` says.
        start: a checkpoint to begin with, of this network or of one that differs in its bits
            alone; random weights by default.
        precision: of matrix products, ``float32`` or ``bfloat16``.
        out: the checkpoint to write; by default one that `checkpoint.zoo_path` finds.
        resume: go on from where a run of the same settings stopped.
        progress: called after every epoch.

    Returns:
        The checkpoint's path.

    Raises:
        UserError: a name or number is bad, the images cannot be found, or a file not be written.
    """
    weights = None if start is None else checkpoint.load(start)[0].state_dict()
    settings = TrainingSettings.of(
        model,
        dataset,
        noise,
        epochs,
        seed,
        batch=batch,
        lr=lr,
        clamp=clamp,
        augment=augment,
        spread=spread,
        start=None if start is None else checkpoint.digest_of(start),
        precision=precision,
    )
    out = out or LOCAL / file_name(model, dataset, noise, spread)
    run = _Run(settings)
    if weights is not None:
        try:
            run.network.load_state_dict(weights)
        except RuntimeError as error:
            raise UserError(f"{start} does not fit {run.network.name}: {error}") from error
    shape = run.network.image_shape
    samples, test = _samples(dataset, "train", shape), _samples(dataset, "test", shape)
    state = out.with_name(f"{out.stem}.state.safetensors")
    if resume and state.exists():
        run.resume(state)
    while run.epoch < epochs:
        report = run.train_epoch(samples)
        run.save(state)
        log.info(
            "%s epoch %d/%d loss %.4f accuracy %.4f, %.1f s", out.stem, *asdict(report).values()
        )
        if progress is not None:
            progress(report)
    metadata = replace(run.measure(test), start=None if start is None else start.name)
    checkpoint.save(run.network, out, metadata)
    state.unlink(missing_ok=True)
    return out


def _samples(dataset: str, split: str, shape: tuple[int, int, int]) -> Samples:
    found = data.load(dataset, split)
    return data.to_input(found.images, shape), torch.from_numpy(found.labels)


@contextmanager
def _random(*parts: object) -> Iterator[None]:
    """Seed torch's global generator for a block, and put it back after."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(*parts))
        yield


def _generator(*parts: object) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(*parts))


class _Run:
    """A training run between two epochs."""

    def __init__(self, settings: TrainingSettings) -> None:
        known = data.dataset(settings.dataset)
        self.settings = settings
        self.epoch = 0
        with _random(settings.seed, "weights"):
            network = models.build(settings.model, known.image_shape, known.classes)
        # The layout in which torch's convolutions are fastest on a CPU
        self.network: Network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch lacks the overload
        noise = settings.noise
        if isinstance(noise, Noise):
            noise = dict.fromkeys(self.network.walk_sites, noise)
        self.noise: Mapping[str, Noise] = noise or {}
        """By site."""
        for site in self.noise:
            self.network.tap(site)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=settings.lr, fused=True)

    def train_epoch(self, samples: Samples) -> Progress:
        settings, start = self.settings, time.perf_counter()
        with _random(settings.seed, "epoch", self.epoch):
            order = torch.randperm(len(samples[0]))
            # A last batch of one image has no variance to normalise by
            batches = [b for b in order.split(settings.batch) if len(b) > 1]
            loss, correct = self._train_batches(samples, batches)
        self.epoch += 1
        count = len(order)
        return Progress(
            self.epoch, settings.epochs, loss / count, correct / count, time.perf_counter() - start
        )

    def _train_batches(self, samples: Samples, batches: Sequence[Tensor]) -> tuple[float, int]:
        settings, (inputs, labels) = self.settings, samples
        sampler = TorchSampler(derive_seed(settings.seed, "noise"))
        self.network.set_noise(self.noise, sampler, evaluation=False)
        self.network.train()
        loss_sum, correct, total = 0.0, 0, settings.epochs * len(batches)
        for number, chosen in enumerate(batches):
            step = self.epoch * len(batches) + number
            sampler.start_batch(step * settings.batch)
            if settings.spread:
                z = torch.randn((), generator=_generator(settings.seed, "spread", step)).item()
                factor = abs(1 + settings.spread * z)
                noise = {site: one.scaled(factor) for site, one in self.noise.items()}
                self.network.set_noise(noise, sampler, evaluation=False)
            for group in self.optimiser.param_groups:
                group["lr"] = settings.lr * 0.5 * (1 + math.cos(math.pi * step / total))
            images = inputs[chosen]
            if settings.augment:
                images = augmented(images)
            images = images.contiguous(memory_format=torch.channels_last)
            wanted = labels[chosen]
            dtype = getattr(torch, settings.precision)
            with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
                logits = self.network(images)
            loss = F.cross_entropy(logits, wanted)
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
            for name, parameter in self.network.named_parameters():
                if name.endswith((".linear.weight", ".conv.weight")):
                    parameter.clamp_(-1, 1)

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
        adam = self.optimiser.state_dict()
        adam["state"] = {}
        for key, value in tensors.items():
            if key.startswith("adam."):
                _, index, name = key.split(".")
                adam["state"].setdefault(int(index), {})[name] = value
        self.optimiser.load_state_dict(adam)
        self.epoch = int(fields["epoch"])
        log.info("going on from epoch %d of %s", self.epoch, path)


def estimated_seconds(
    model: str,
    dataset: str,
    epochs: int,
    *,
    noise: Noise | Mapping[str, Noise] | None = None,
    batch: int | None = None,
    precision: str = "float32",
) -> float:
    """Estimate how long training takes, from a few steps on made-up images; takes under a second.

    Args:
        model: a full or short name.
        dataset: one of the known sets; it need not be there.
        epochs: passes over the training images.
        noise: the noise of training.
        batch: images a step; as the network's recipe says by default.
        precision: of matrix products.
    """
    known = data.dataset(dataset)
    settings = TrainingSettings.of(model, dataset, noise, 1, 0, batch=batch, precision=precision)
    run, batch = _Run(settings), settings.batch
    height, width, channels = run.network.image_shape
    warm_up, steps = 3, 10
    with _random("estimate"):
        inputs = torch.rand(batch, channels, height, width) * 2 - 1
        labels = torch.randint(known.classes, (batch,))
        batches = [torch.arange(batch)] * steps
        run._train_batches((inputs, labels), batches[:warm_up])
        start = time.perf_counter()
        run._train_batches((inputs, labels), batches)
        seconds = time.perf_counter() - start
    return seconds / steps * math.ceil(known.train_images / batch) * epochs


def train_once(
    folder: Path,
    model: str,
    dataset: str,
    noise: Mapping[str, Noise],
    epochs: int,
    *,
    seed: int,
    start: Path | None = None,
) -> Path:
    """Train a network, unless the folder holds one that was trained just so.

    Args:
        folder: where such networks are kept.
        model: a full or short name.
        dataset: one of the known sets.
        noise: of training, by site; none for a clean training.
        epochs: passes over the training images.
        seed: of everything random.
        start: the checkpoint to begin with; random weights by default.

    Returns:
        The checkpoint.
    """
    key = {
        "model": model,
        "dataset": dataset,
        "start": None if start is None else checkpoint.digest_of(start),
        "noise": {site: one.to_json() for site, one in noise.items()},
        "epochs": epochs,
        "seed": seed,
    }
    path = folder / f"{hashlib.sha256(canonical(key).encode()).hexdigest()}.safetensors"
    if not path.is_file():
        log.info("training %s with noise at %s", model, ", ".join(noise) or "no site")
        train(model, dataset, noise=noise or None, epochs=epochs, seed=seed, start=start, out=path)
    return path
