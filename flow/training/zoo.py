"""The trained network and the requested sites of a walk."""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flow import data, models
from flow.data import ImageSet
from flow.data.custom import CustomImages
from flow.data.reference import Reference
from flow.errors import OptionError, UserError, about, unknown
from flow.models import Judge, Levels, Network, evaluate_groups
from flow.models.metric import Metric
from flow.models.planes import Array
from flow.models.qonnx.input_quantiser import InputQuantiser
from flow.models.qonnx.network import ImportedNetwork, open_network
from flow.models.tiles import tile
from flow.noise import CLEAN, KINDS, Noise, TorchSampler, class_of
from flow.paths import ZOO
from flow.training import checkpoint
from flow.training.checkpoint import Metadata, load
from flow.training.settings import TrainedSettings
from flow.user_code import is_user_code


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network, with test images of its data set."""

    checkpoint: Path | None
    """File of the network; None if it is in memory alone."""
    network: Network
    metadata: Metadata
    images: ImageSet
    inputs: Tensor
    """float32 [N, C, H, W], the images as the network takes them."""
    digest: str
    """Hash of the network with its weights."""
    metric: Metric | None = None
    """Metric that replaces the label of each output."""

    @property
    def file_name(self) -> str | None:
        """Name of the network's file; None if it is in memory alone."""
        return None if self.checkpoint is None else self.checkpoint.name

    @cached_property
    def reference(self) -> Reference:
        """Labels of the images, or else those that the network gives without noise.

        The latter are the processor's, so that they are the same whatever device walks.
        """
        if self.metric is not None:
            return Reference.of_metric(self.metric.name, self.metric.floor, len(self.images))
        if self.images.labels is not None:
            return Reference.of_labels(self.images.labels, self.network.classes)
        clean = Levels([{}], TorchSampler(0))
        ((predictions,),) = evaluate_groups(self.network, self.inputs, [clean])
        return Reference.of_network(predictions)

    @property
    def targets(self) -> Tensor:
        """Targets of a metric: ``y``, or without it the images, [N, …]."""
        images = self.images
        y = images.targets if images.labels is None else images.labels
        return self.inputs if y is None else torch.from_numpy(y)

    @property
    def judge(self) -> Judge | None:
        """Function that measures outputs by the metric; None without one."""
        metric, targets = self.metric, self.targets
        if metric is None:
            return None
        return lambda outputs, rows: metric(outputs, targets[rows])

    @property
    def image_range(self) -> tuple[float, float] | None:
        """Values of a black and a white pixel at the site ``input``; None if none are defined.

        They are not where channels are standardised, or where the images are floats already.
        """
        if self.network.zero_to_one:
            return 0.0, 1.0
        standardised = self.images.images.dtype != np.uint8 or self.images.images.shape[-1] != 1
        return None if standardised else (-1.0, 1.0)

    @classmethod
    def load(
        cls,
        settings: TrainedSettings,
        images: int | None = None,
        default: int | None = None,
        recipe: str | None = None,
        metric: Metric | None = None,
    ) -> "TrainedNetwork":
        """Load the network and images of the settings.

        Args:
            settings: the user's settings.
            images: requested number of images.
            default: largest number if none is requested; the whole set if None.
            recipe: recipe of the training; the network's own if None.
            metric: what is measured of each output, which then needs to be no scores of classes.

        Raises:
            UserError: there is no such checkpoint, it is of another network or data set, or the
                set has fewer images.
        """
        path = find_checkpoint(
            settings.model, settings.dataset, settings.training_noise, settings.checkpoint, recipe
        )
        with about("checkpoint") if settings.checkpoint else nullcontext():
            network, metadata = load_trained(
                path, settings.model, settings.dataset, settings.input_quant, metric is None
            )
        found = data.load(
            settings.dataset, "test", images or default, any_targets=metric is not None
        )
        if images is not None and len(found) < images:
            raise OptionError(
                "images", f"is {images}, but {found.source} has {len(found)}: give fewer"
            )
        inputs = input_of(network, found.images)
        digest = network.digest if settings.input_quant else checkpoint.digest_of(path)
        trained = cls(path, network, metadata, found, inputs, digest, metric)
        return trained.tiled(settings.array)

    def tiled(self, array: Array) -> "TrainedNetwork":
        """Return the same network, computed on an analog array; itself if none is given.

        Raises:
            OptionError: the network cannot be computed on such an array.
        """
        if not array:
            return self
        with about("rows" if array.rows else "input_bits"):
            network = tile(self.network, array)
        return replace(self, network=network, digest=f"{self.digest}{array}")


def find_checkpoint(
    model: str,
    dataset: str,
    noise: str | None = None,
    given: Path | None = None,
    recipe: str | None = None,
) -> Path:
    """Return the checkpoint of a network.

    Args:
        model: a full or short name; a user's own network is in the file that it names.
        dataset: data set of the training.
        noise: the kind of noise it was trained with; clean when not given.
        given: a file in place of what is shipped or was trained here.
        recipe: recipe of the training; the network's own if None.

    Raises:
        UserError: it has to be trained first.
    """
    if models.is_custom(model):
        for option, value in (("checkpoint", given), ("training_noise", noise)):
            if value is not None:
                raise OptionError(option, f"is {value}, but {model} holds its own weights")
        return Path(model)
    if given is not None:
        return given
    path = zoo_path(model, dataset, noise, recipe)
    if path is None:
        raise UserError(
            f"there is no checkpoint of {models.resolve(model)} on {dataset}"
            + (f" trained with {noise} noise" if noise else "")
            + (f" by the recipe {recipe}" if recipe else "")
            + ": train one with `noisewalk train"
            + (f" --recipe {recipe}`" if recipe else "`")
        )
    return path


def load_trained(
    path: Path,
    model: str,
    dataset: str,
    input_quant: str | None = None,
    classifies: bool = True,
) -> tuple[Network, Metadata]:
    """Read a checkpoint that must be of this network and set; anything else is a UserError.

    Args:
        path: the checkpoint, or the file of a user's own network.
        model: name of the network, or the path of a user's own.
        dataset: the set.
        input_quant: quantiser to put before a user's own network, as the user wrote it.
        classifies: whether its outputs must be scores of classes.
    """
    if models.is_custom(model):
        return _load_own(path, dataset, input_quant, classifies)
    network, metadata = checkpoint.load(path, model)
    if metadata.dataset != dataset:
        raise OptionError(
            "dataset",
            f"is {dataset}, but {path} was trained on {metadata.dataset}: give that, or another "
            "checkpoint",
        )
    return network, metadata


def _load_own(
    path: Path, dataset: str, input_quant: str | None, classifies: bool
) -> tuple[Network, Metadata]:
    """Open a user's own network, and check that a set's images and labels suit it."""
    known = data.dataset(dataset)
    asked = None if input_quant is None else InputQuantiser.parse(input_quant)
    if asked is not None and asked.low is None:
        low, high = data.to_input(data.load(dataset, "test", any_targets=True).images).aminmax()
        asked = asked.over(float(low), float(high))
    network = open_network(path, known.image_shape, asked, classifies=classifies)
    if classifies and known.classes > network.classes:
        two = "a single score, of a binary classifier or a regression"
        several = two if network.single else network.classes
        raise UserError(
            f"{dataset} has {known.classes} classes, but {path} has {several}: take "
            "another data set or network"
        )
    input_of(network, data.load(dataset, "test", 1, any_targets=True).images)
    return network, Metadata(network.name, dataset, None, 0, 0, 0.0, 0)


def input_of(network: Network, images: CustomImages) -> Tensor:
    """Return images as a network takes them, float32 [N, C, H, W].

    Floats may also have the shape that a network's file itself takes.

    Raises:
        UserError: the images have another shape.
    """
    if isinstance(network, ImportedNetwork) and images.dtype != "uint8":
        own = network.from_own_layout(images)
        if own is not None:
            return own
    return data.to_input(images, network.image_shape)


LOCAL = Path("build/checkpoints")


def file_name(
    model: str,
    dataset: str,
    noise: Noise | Mapping[str, Noise] | None,
    spread: float = 0.0,
    recipe: str | None = None,
) -> str:
    """Return the name of the checkpoint of this network, set, noise and recipe of training."""
    spreading = f"-spread-{spread:g}" if spread else ""
    name = f"{models.resolve(model)}_{dataset}_{noise_name(noise)}{spreading}"
    return f"{name}{_recipe_name(recipe)}.safetensors"


def _recipe_name(recipe: str | None) -> str:
    return f"-recipe-{recipe}" if recipe else ""


def noise_name(noise: Noise | Mapping[str, Noise] | None) -> str:
    """Return a short name of a noise, for file names: ``clean``, ``additive-4@conv0.acc``."""
    if noise is None:
        return CLEAN
    if not isinstance(noise, Noise):
        name = "+".join(f"{noise_name(one)}@{site}" for site, one in noise.items()) or CLEAN
        # what most file systems take, with room for the rest of the name
        long = hashlib.sha256(name.encode()).hexdigest()[:16]
        return name if len(name) <= 120 else f"{name[:100]}…{long}"
    return noise.name


def zoo_path(
    model: str, dataset: str, noise: Noise | str | None = None, recipe: str | None = None
) -> Path | None:
    """Find a checkpoint, shipped or trained here.

    Args:
        model: a full or short name.
        dataset: the set it was trained on.
        noise: the noise of training; a kind alone means the level that ships, or the first there.
            A user's kind may be named as ``file.py:MyNoise``, for a checkpoint that was trained
            with the code as it is, or by its name alone, for one trained with any.
        recipe: recipe of the training; the network's own if None.

    Returns:
        The file, or None if there is none: then it has to be trained.
    """
    if isinstance(noise, str):
        kind, code = noise, ""
        if is_user_code(noise):
            made = class_of(noise)
            kind, code = made.kind, f"-{made.origin.code}" if made.origin else ""
        end = _recipe_name(recipe)
        pattern = f"{models.resolve(model)}_{dataset}_{kind}-[0-9]*{code}{end}.safetensors"
        names = [
            [
                path
                for path in finished(folder, pattern)
                if not _special(path.stem.removesuffix(end))
            ]
            for folder in (ZOO, LOCAL)
        ]
        path = next((found[0] for found in names if found), None)
        if path is None and not code and kind not in KINDS:
            raise unknown("noise", noise, KINDS)
        return path
    paths = [folder / file_name(model, dataset, noise, recipe=recipe) for folder in (ZOO, LOCAL)]
    return next((path for path in paths if path.exists()), None)


def _special(name: str) -> bool:
    """Whether a file belongs to noise that differs by site or step, or to a recipe."""
    return any(mark in name for mark in ("@", "-spread-", "-recipe-"))


def finished(folder: Path, pattern: str = "*.safetensors") -> list[Path]:
    """Return the checkpoints of a folder in order of their names, without states of runs."""
    return sorted(path for path in folder.glob(pattern) if ".state." not in path.name)


def write_index(folder: Path = ZOO) -> Path:
    """Write ``index.json``: what every checkpoint of a folder says about itself, and its interval.

    Returns:
        The index file.
    """
    entries = []
    for path in finished(folder):
        _, metadata = load(path)
        low, high = metadata.interval
        entry = {"file": path.name, **asdict(metadata), "interval": [round(low, 4), round(high, 4)]}
        entries.append(entry)
    index = folder / "index.json"
    temporary = index.with_name(f".{index.name}.{os.getpid()}")
    temporary.write_text(json.dumps(entries, indent=1) + "\n")
    os.replace(temporary, index)
    return index
