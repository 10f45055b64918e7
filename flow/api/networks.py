"""Networks in Python: with taps, from files, compiled, trained."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from flow.api.inputs import check_labels, fitted, inputs_of, set_mode
from flow.api.tapping import tap
from flow.compiler.accelerator import Accelerator
from flow.compiler.pipeline import compile_network
from flow.data.samples import Samples
from flow.errors import UserError
from flow.models import Network
from flow.models.planes import Array
from flow.models.qonnx.network import ImportedNetwork
from flow.models.tiles import tile
from flow.models.traced import TracedNetwork
from flow.noise import Noise
from flow.quiet import silenced_libraries
from flow.training import checkpoint as checkpoints
from flow.training.checkpoint import Metadata
from flow.training.settings import TrainingSettings
from flow.training.trainer import Progress, train_network
from flow.training.zoo import find_checkpoint, load_trained
from flow.walks.loading import CALIBRATION_IMAGES


def load(
    model: str | Path,
    dataset: str = "fashion-mnist",
    *,
    training_noise: str | None = None,
    into: nn.Module | None = None,
) -> Network:
    """Return a trained network: one that ships, one that was trained here, or a checkpoint.

    Args:
        model: name of a network, such as ``tfc`` or ``cnv-w2a2``; or the path of a checkpoint.
        dataset: data set that the named network was trained on.
        training_noise: kind of noise that it was trained with; none by default.
        into: your own network or module, which gets the weights of the checkpoint.

    Raises:
        UserError: there is no such checkpoint, or it does not fit.
    """
    path = Path(model)
    if path.suffix != ".safetensors":
        found = find_checkpoint(str(model), dataset, training_noise)
        return load_trained(found, str(model), dataset)[0]
    if into is None:
        return checkpoints.load(path)[0]
    network = tap(into)
    checkpoints.load_into(network, path)
    set_mode(network, training=False)
    return network


def checkpoint(network: Network, path: str | Path) -> Path:
    """Write the weights of a network to a safetensors file, which `load` reads.

    Raises:
        UserError: the file cannot be written.
    """
    told = Metadata(network.name, "", None, 0, 0, 0.0, 0)
    return checkpoints.save(network, Path(path), told)


def compile(
    network: Network | nn.Module,
    images: Any,
    *,
    sites: Sequence[str] = (),
    rows: int | None = None,
    input_bits: int | None = None,
    build: str | Path = "build",
    **options: Any,
) -> Accelerator:
    """Compile a quantised network to RTL with noise taps, or open an earlier compilation.

    Args:
        network: a module with quantised weights and activations, or a quantised network from `tap`
            or `load`.
        images: images on which the scale of each tap is verified, as for `walk`, without labels.
        sites: sites with taps besides the accumulators.
        rows: rows of a tile, at whose sums a layer of more rows has its tap; no tiles if None.
        input_bits: bits of the array's inputs, with a pass, and a sum with its tap, for each such
            plane of wider activations; those of the activations if None.
        build: folder for the results.
        options: further arguments of `flow.compiler.pipeline.compile_network`, such as ``cycles``,
            ``fps`` or ``mvu``.

    Raises:
        UserError: the network cannot be compiled or folded as requested; the message names where.
    """
    calibration = Samples.of(images)
    found = fitted(network, calibration, Path(build), hardware=True)
    if array := Array(rows, input_bits):
        found = tile(found, array)
    with silenced_libraries():
        return compile_network(
            found,
            inputs_of(found, calibration)[:CALIBRATION_IMAGES],
            sites=sites,
            root=Path(build) / "accelerators",
            **options,
        )


def train(
    network: Network | nn.Module,
    images: Any,
    labels: Any = None,
    *,
    noise: Noise | Mapping[str, Noise] | None = None,
    epochs: int = 10,
    batch: int = 128,
    lr: float = 1e-3,
    seed: int = 0,
    test: Any = None,
    checkpoint: str | Path | None = None,
    device: str = "cpu",
    progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Network:
    """Train a network in place, with or without noise, and return it in evaluation mode.

    Args:
        network: a torch module, or a network from `tap`, whose module is trained.
        images: images to train on, as for `walk`.
        labels: their labels, as for `walk`.
        noise: noise at every site that a walk visits, or by site; none by default.
        epochs: passes over the images.
        batch: images per step.
        lr: step size of Adam at the start; it falls to 0 along a cosine.
        seed: seed of the images' order and of the noise.
        test: images and labels to measure the accuracy on, a pair, ``Dataset`` or ``DataLoader``;
            those of the training by default.
        checkpoint: safetensors file to write. The state after each epoch is kept beside it, from
            which the same call resumes, on any device.
        device: device of the training, such as ``cuda``; the network returns to the processor.
        progress: called after every epoch.
        options: further settings of a training: ``clamp``, ``spread``, ``augment``, ``precision``.

    Raises:
        UserError: the network cannot be trained, a setting is unknown, or a file cannot be written.
    """
    samples = Samples.of(images, labels)
    measured = samples if test is None else Samples.of(test)
    given, trained = _trainable(network, samples)
    usual = {"clamp": trained.recipe.clamp and not isinstance(trained, TracedNetwork)}
    settings = TrainingSettings(
        model=given.name, dataset=samples.name, noise=noise, epochs=epochs, seed=seed, batch=batch,
        lr=lr, start=given.digest, **(usual | options),
    )  # fmt: skip
    train_network(
        trained,
        (inputs_of(trained, samples), torch.from_numpy(samples.known_labels)),
        (inputs_of(trained, measured), torch.from_numpy(measured.known_labels)),
        settings,
        device=device,
        out=None if checkpoint is None else Path(checkpoint),
        progress=progress,
    )
    set_mode(given, training=False)
    low, high = samples.inputs.aminmax()
    given.image_range = float(low), float(high)
    return given


def _trainable(network: Network | nn.Module, samples: Samples) -> tuple[Network, Network]:
    """Return the given network, and one with the same parameters in training mode.

    Raises:
        UserError: it has no parameters, or does not take these images or labels.
    """
    given = tap(network)
    if isinstance(given, ImportedNetwork):
        raise UserError(
            f"{given.name} was read from a file and has no parameters to train: train the module "
            "that it was exported from"
        )
    trained = given
    if isinstance(given, TracedNetwork):
        trained = TracedNetwork(given.model, given.name, training=True)
        trained.fit_to(samples.inputs)
        given.fit_to(samples.inputs)
    check_labels(trained, samples)
    return given, trained
