"""Training, with or without noise, that a kill cannot spoil (`flow.training.run`)."""

import hashlib
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import torch

from flow import data, models
from flow.device import CPU, find
from flow.device import key as device_key
from flow.files import canonical
from flow.models import Network
from flow.noise import Noise
from flow.training import checkpoint
from flow.training.paper import RecipeName
from flow.training.run import Progress, Samples, Start, TrainingRun, seeded
from flow.training.settings import TrainingSettings
from flow.training.zoo import LOCAL, file_name

log = logging.getLogger(__name__)


def train(
    model: str,
    dataset: str,
    *,
    noise: Noise | Mapping[str, Noise] | None = None,
    recipe: RecipeName | None = None,
    epochs: int | None = None,
    seed: int = 0,
    batch: int | None = None,
    lr: float | None = None,
    clamp: bool | None = None,
    augment: bool | None = None,
    spread: float = 0.0,
    start: Path | None = None,
    precision: str = "float32",
    device: str = "cpu",
    out: Path | None = None,
    resume: bool = True,
    progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Train a network and save it.

    Args:
        model: a full or short name.
        dataset: one of the known sets.
        noise: noise during training, for every site that a walk visits, or by site.
        recipe: ``paper`` to train as the public code of the paper; the network's own by default.
        epochs: passes over the training images; 60 by default, or as the recipe says.
        seed: seed of the initial weights and of everything else that is random.
        batch: images per step; by default as the recipe says, as for the next two.
        lr: Adam's step size at the start.
        clamp: whether weights are limited to −1..1.
        augment: whether images are shifted and mirrored at random; by default as the set says.
        spread: spread s of σ from step to step (`flow.training.settings`).
        start: checkpoint to begin with, of this network or of one that differs only in its bits;
            random weights by default.
        precision: precision of matrix products, ``float32`` or ``bfloat16``.
        device: device of the training, by a name that `flow.device.find` knows.
        out: checkpoint to write; by default one that `flow.training.zoo.zoo_path` finds.
        resume: whether to continue a run of the same settings that was stopped.
        progress: called after every epoch.

    Returns:
        The checkpoint's path.

    Raises:
        UserError: a name or number is bad, images are not found, or a file cannot be written.
    """
    first = None if start is None else Start.read(start)
    settings = TrainingSettings.of(
        model, dataset, noise, epochs, seed, recipe, batch=batch, lr=lr, clamp=clamp,
        augment=augment, spread=spread, start=first and first.digest, precision=precision,
    )  # fmt: skip
    out = out or LOCAL / file_name(model, dataset, noise, spread, recipe)
    run = TrainingRun(settings, _built(settings, first), first, find(device))
    shape = run.network.image_shape
    samples, test = _samples(dataset, "train", shape), _samples(dataset, "test", shape)
    run.finish(samples, test, out, resume=resume, progress=progress)
    return out


def train_network(
    network: Network,
    samples: Samples,
    test: Samples,
    settings: TrainingSettings,
    *,
    device: str = "cpu",
    out: Path | None = None,
    resume: bool = True,
    progress: Callable[[Progress], None] | None = None,
) -> checkpoint.Metadata:
    """Train a network in place; in the end it is on the processor.

    Args:
        network: the network, which is changed.
        samples: images and labels to train on.
        test: images and labels to measure the accuracy on.
        settings: settings of the training.
        device: device of the training, by a name that `flow.device.find` knows.
        out: checkpoint to write, beside which the state is kept after each epoch; none by default.
        resume: whether to continue a run of the same settings that was stopped.
        progress: called after every epoch.

    Returns:
        What a checkpoint of the network says about it.

    Raises:
        UserError: a site does not exist, or a file cannot be read or written.
    """
    run = TrainingRun(settings, network, device=find(device))
    return run.finish(samples, test, out, resume=resume, progress=progress)


def _samples(dataset: str, split: str, shape: tuple[int, int, int]) -> Samples:
    return _read_samples(dataset, split, shape, os.environ.get("DATA_DIR"))


@lru_cache(maxsize=2)
def _read_samples(
    dataset: str, split: str, shape: tuple[int, int, int], folder: str | None
) -> Samples:
    """Read a split once for all trainings of a walk; decoding takes seconds."""
    found = data.load(dataset, split, data_dir=folder)
    return data.to_input(found.images, shape), torch.from_numpy(found.known_labels)


def _built(settings: TrainingSettings, start: Start | None = None) -> Network:
    """Return a network with the weights that a training begins with."""
    known = data.dataset(settings.dataset)
    with seeded(settings.seed, "weights"):
        network = models.build(settings.model, known.image_shape, known.classes)
    if start is not None:
        start.load_into(network)
    return network


def estimated_seconds(
    model: str,
    dataset: str,
    epochs: int,
    *,
    recipe: RecipeName | None = None,
    noise: Noise | Mapping[str, Noise] | None = None,
    batch: int | None = None,
    precision: str = "float32",
    device: str = "cpu",
) -> float:
    """Estimate the seconds of a training, from a few steps on made-up images, in under a second.

    Args:
        model: a full or short name.
        dataset: one of the known sets; its images need not be there.
        epochs: passes over the training images.
        recipe: recipe of the training; the network's own by default.
        noise: noise during training.
        batch: images per step; by default as the network's recipe says.
        precision: precision of matrix products.
        device: device of the training, by a name that `flow.device.find` knows.
    """
    known = data.dataset(dataset)
    settings = TrainingSettings.of(
        model, dataset, noise, 1, 0, recipe, batch=batch, precision=precision
    )
    run = TrainingRun(settings, _built(settings), device=find(device))
    batch = settings.batch
    height, width, channels = run.network.image_shape
    warm_up, steps = 3, 10
    with seeded("estimate"):
        inputs = (torch.rand(batch, channels, height, width) * 2 - 1).to(run.device)
        labels = torch.randint(known.classes, (batch,)).to(run.device)
        batches = [torch.arange(batch, device=run.device)] * steps
        run.train_batches((inputs, labels), batches[:warm_up])
        start = time.perf_counter()
        run.train_batches((inputs, labels), batches)
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
    recipe: RecipeName | None = None,
    clamp: bool | None = None,
    device: torch.device = CPU,
) -> Path:
    """Train a network, unless the folder holds one that was trained in the same way.

    Args:
        folder: folder of such networks.
        model: a full or short name.
        dataset: one of the known sets.
        noise: noise during training, by site; empty for a training without noise.
        epochs: passes over the training images.
        seed: seed of everything random.
        start: checkpoint to begin with; random weights by default.
        recipe: recipe of the training; the network's own by default.
        clamp: whether weights are limited to −1..1; by default as the network needs it.
        device: device of the training.

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
        **device_key(device),
    }
    # defaults are not in the key, as in folders of earlier versions
    key |= {name: one for name, one in (("recipe", recipe), ("clamp", clamp)) if one is not None}
    path = folder / f"{hashlib.sha256(canonical(key).encode()).hexdigest()}.safetensors"
    if not path.is_file():
        log.info("training %s with noise at %s", model, ", ".join(noise) or "no site")
        train(
            model, dataset, noise=noise or None, recipe=recipe, epochs=epochs, seed=seed,
            start=start, clamp=clamp, out=path, device=str(device),
        )  # fmt: skip
    return path
