"""Networks and images in memory, in the form that walks and compilation take."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flow import models
from flow.api.tapping import tap
from flow.data.samples import Samples
from flow.errors import UserError
from flow.models import Network
from flow.models.metric import Metric
from flow.models.qonnx.fake_quantisers import is_quantised_by_torch, refuses_evaluation
from flow.models.qonnx.network import ImportedNetwork, open_network
from flow.models.qonnx.python_factory import write_qonnx
from flow.models.traced import TracedNetwork, is_quantised
from flow.quiet import silenced_libraries
from flow.training import checkpoint as checkpoints
from flow.training.checkpoint import Metadata
from flow.training.zoo import TrainedNetwork, input_of


def trained_network(
    network: Network | nn.Module, samples: Samples, build: Path, metric: Metric | None = None
) -> TrainedNetwork:
    """Return a network and its images as a walk takes them."""
    found = fitted(network, samples, build, classifies=metric is None)
    return TrainedNetwork(
        checkpoint=None,
        network=found,
        metadata=Metadata(found.name, samples.name, None, 0, 0, 0.0, 0),
        images=samples.image_set,
        inputs=inputs_of(found, samples),
        digest=found.digest,
        metric=metric,
    )


def fitted(
    network: Network | nn.Module,
    samples: Samples,
    build: Path,
    *,
    classifies: bool = True,
    hardware: bool = False,
) -> Network:
    """Return a network that takes these images.

    A module of Brevitas' layers goes through QONNX, and for hardware any module does.

    Raises:
        UserError: it is in training mode, on another device or of another type than float32, or
            does not take the images.
    """
    source = network.model if isinstance(network, TracedNetwork) else network
    name = network.name if isinstance(network, Network) else type(network).__name__
    if source.training and not refuses_evaluation(source):
        raise UserError(f"{name} is in training mode: call .eval() on it first")
    for key, value in source.state_dict().items():
        if not isinstance(value, Tensor):
            continue
        if value.device.type != "cpu":
            raise UserError(f"{name} is on {value.device}: move it to the processor with .cpu()")
        if value.is_floating_point() and value.dtype != torch.float32:
            raise UserError(f"{key} of {name} is {value.dtype}: call .float() on it")
    if isinstance(source, Network):
        found = source
    elif hardware or is_quantised(source) or is_quantised_by_torch(source):
        shape = samples.image_set.images.shape[1:]
        with silenced_libraries():
            path = write_qonnx(source, name, name, shape, build / "own")
            found = open_network(path, shape, classifies=classifies)
    else:
        found = tap(network)
        assert isinstance(found, TracedNetwork)
        found.fit_to(samples.inputs, classifies=classifies)
    if classifies:
        check_labels(found, samples)
    _check_range(found, samples)
    return found


def inputs_of(network: Network, samples: Samples) -> Tensor:
    """Return images as a network takes them."""
    if isinstance(network, TracedNetwork):
        return samples.inputs
    return input_of(network, samples.image_set.images)


def as_files(network: Network | nn.Module, samples: Samples, build: Path) -> dict[str, Any]:
    """Write a network and its images to files, and return the settings that name them.

    Worker processes open them there.
    """
    found = fitted(network, samples, build, hardware=True)
    own = build / "own"
    dataset = str(samples.write(own))
    if isinstance(found, ImportedNetwork):
        return {"model": str(found.file), "dataset": dataset}
    if found.name not in models.names():
        raise UserError(
            f"{found.name} has no quantised weights, so it has no hardware: walk it in "
            "software with flow.walk, or give a Brevitas module"
        )
    path = own / f"{found.name}-{found.digest[:16]}.safetensors"
    told = Metadata(found.name, dataset, None, 0, 0, 0.0, 0)
    checkpoints.save(found, path, told)
    return {"model": found.name, "dataset": dataset, "checkpoint": path}


def set_mode(network: Network, *, training: bool) -> None:
    network.train(training)
    if isinstance(network, TracedNetwork):
        network.model.train(training)


def check_labels(network: Network, samples: Samples) -> None:
    if samples.labels is None:
        return
    largest = int(samples.labels.max())
    if largest >= network.classes:
        raise UserError(
            f"the labels go up to {largest}, but {network.name} has {network.classes} classes: "
            f"give labels from 0 to {network.classes - 1}"
        )


def _check_range(network: Network, samples: Samples) -> None:
    """Warn about images on another scale than the training images."""
    if network.image_range is None:
        return
    low, high = network.image_range
    first, last = (float(value) for value in samples.inputs.aminmax())
    width = high - low
    outside = max(low - first, last - high) > 0.1 * width
    if outside or last - first <= 0.5 * width:
        warnings.warn(
            f"the images lie in {first:.3g}..{last:.3g}, but {network.name} was trained on "
            f"{low:.3g}..{high:.3g}: scale them alike",
            stacklevel=4,
        )
