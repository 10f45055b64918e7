"""Python API: networks with taps, walks, compilation and training from a script or a notebook.

Every function does what the command of its name does, with networks and images that Python holds:
equal seeds give equal results. What they raise is a `flow.UserError` of one sentence.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from flow import data, models
from flow.callbacks import ProgressCallback, no_progress
from flow.compiler.accelerator import Accelerator
from flow.compiler.pipeline import compile_network
from flow.data.samples import Samples
from flow.errors import UserError
from flow.experiments import hardware_walk, software_walk
from flow.experiments.settings import SoftwareWalkSettings
from flow.files import replacing
from flow.models import Network
from flow.models.qonnx.network import ImportedNetwork, open_network
from flow.models.qonnx.python_factory import write_qonnx
from flow.models.traced import TracedNetwork
from flow.noise import Additive, Noise
from flow.noise.hardware.registers import TapSettings
from flow.quiet import silenced_libraries
from flow.report import files
from flow.report.plots import software_walk as software_plots
from flow.report.plots import walk_hw as hardware_plots
from flow.settings import AUTO
from flow.training import checkpoint as checkpoints
from flow.training.checkpoint import Metadata
from flow.training.settings import TrainingSettings
from flow.training.trainer import Progress, train_network
from flow.training.zoo import TrainedNetwork, find_checkpoint, load_trained
from flow.walks.engine.dask import DaskExecutor
from flow.walks.loading import CALIBRATION_IMAGES
from flow.walks.points.noise_setting import NoiseSetting, distinct
from flow.walks.settings import HardwareWalkSettings
from flow.walks.summaries import HardwareWalkSummary, SoftwareWalkSummary

ADDITIVE = Additive()
Shape = tuple[int, int, int]
"""(H, W, C) of images."""


@dataclass(frozen=True)
class Walk:
    """A finished walk in software: its summary, its points, its pictures.

    ``walk["conv1.acc"].midpoint`` is the midpoint noise level of a site with its 95 % interval.
    """

    summary: SoftwareWalkSummary
    points: pd.DataFrame
    """Table of the points: one row per site, kind, σ, seed and side."""
    folder: Path
    """Folder in which the walk left ``summary.json``, ``curves.parquet`` and its pictures."""

    def __getitem__(self, site: str) -> Any:
        """Return what was found at a site.

        Raises:
            UserError: the site was not walked; the message names the nearest.
        """
        return self.summary[site]

    def __iter__(self) -> Iterator[str]:
        """Yield the sites in the order of the data."""
        return iter(self.summary)

    def to_pandas(self) -> pd.DataFrame:
        """Return the points: one row per site, kind, σ, seed and side, with counts and interval."""
        return self.points.copy()

    def figures(self) -> "dict[str, software_plots.Figure]":
        """Return the pictures by name: ``curves`` (accuracy over σ) and ``midpoints`` (μ)."""
        return {
            "curves": software_plots.plot_curves(self.summary, self.points),
            "midpoints": software_plots.plot_midpoints(self.summary),
        }


@dataclass(frozen=True)
class HardwareWalk(Walk):
    """A finished walk in software and in hardware, with its cross-check."""

    summary: HardwareWalkSummary  # type: ignore[assignment]  # another schema, the same face

    @property
    def verdict(self) -> str:
        """Whether software and hardware agree: ``agree``, ``disagree`` or ``undecided``."""
        return self.summary.verdict

    def figures(self) -> "dict[str, software_plots.Figure]":
        """Return the pictures by name: ``curves``, accuracy over σ of every side."""
        told = self.summary.model_dump(mode="json")
        return {"curves": hardware_plots.plot_curves(told, self.points)}

    def report(self, path: str | Path) -> Path:
        """Write the report, one HTML file that needs no other.

        Raises:
            UserError: the file cannot be written.
        """
        told = self.summary.model_dump(mode="json")
        with TemporaryDirectory() as scratch, replacing(Path(path)) as temporary:
            page = files.write_report(files.Finished(Path(scratch), told, self.points))
            temporary.write_bytes(page.read_bytes())
        return Path(path)


def tap(
    model: nn.Module | str | Path, *, name: str | None = None, image_shape: Shape | None = None
) -> Network:
    """Return a network with a tap behind every operation that noise may disturb.

    Args:
        model: any torch module, float or of Brevitas, which is not changed and shares its
            parameters with the network; or the path of a QONNX file.
        name: name of the network in results; the class or the file's name by default.
        image_shape: (H, W, C) of the images, for a QONNX network that takes them flat.

    Raises:
        UserError: the module cannot be traced, with the line in its code; it has no operation that
            noise can disturb; or the file holds no network that is supported.
    """
    if isinstance(model, Network):
        return model
    if not isinstance(model, nn.Module):
        network: Network = open_network(Path(model), image_shape or (0, 0, 0))
        network.name = name or network.name
        return network
    traced = TracedNetwork(model, name)
    for path, reason in traced.skipped:
        warnings.warn(f"{traced.name}: no noise at {path}: {reason}", stacklevel=2)
    return traced


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
        into: network or module of your own, which gets the weights of the checkpoint.

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
    _set_mode(network, training=False)
    return network


def checkpoint(network: Network, path: str | Path) -> Path:
    """Write the weights of a network to a safetensors file, which `load` reads.

    Raises:
        UserError: the file cannot be written.
    """
    told = Metadata(network.name, "", None, 0, 0, 0.0, 0)
    return checkpoints.save(network, Path(path), told)


def walk(
    network: Network | nn.Module,
    images: Any,
    labels: Any = None,
    *,
    noise: Noise | str | Sequence[Noise | str] = ADDITIVE,
    sites: Sequence[str] = (),
    levels: Sequence[float] | Literal["auto"] = AUTO,
    seed: int = 0,
    progress: ProgressCallback = no_progress,
    **options: Any,
) -> Walk:
    """Walk noise through a network in software: find the midpoint of each site and of all.

    Args:
        network: the network, from `tap` or `load`, in evaluation mode.
        images: floats [N, …] as the network takes them; bytes, which it sees as −1..1; or a
            ``Dataset`` or ``DataLoader`` of images and labels.
        labels: whole numbers [N] from 0; not given with a ``Dataset`` or ``DataLoader``.
        noise: kind of noise, as an object with its options or by its name, or several kinds; levels
            do not count.
        sites: sites to walk; by default every site of a float network, the accumulators of a
            quantised one, and all of them together as ``global``.
        levels: noise levels σ; searched for at each site by default.
        seed: seed of the noise.
        progress: called with the stage, the steps done and in all.
        options: further settings of ``walk`` by their names, such as ``seeds``,
            ``precision_of_mu``, ``max_seconds``, ``out`` or ``build`` (docs/settings.md).

    Raises:
        UserError: the network and its images do not fit, or a setting is unknown; points already
            measured are kept.
    """
    samples = Samples.of(images, labels)
    kinds = [noise] if isinstance(noise, Noise | str) else noise
    settings = SoftwareWalkSettings(
        sites=tuple(sites), levels=_levels(levels), seed=seed, **options
    )
    trained = _trained(network, samples, settings.build)
    name = f"{trained.network.name}-{samples.name}-{trained.digest[:8]}"
    settings = settings.changed(out=settings.out or settings.build / "walk" / name)
    asked = distinct([_setting(one, seed) for one in kinds])
    with silenced_libraries():
        summary = software_walk.walk(settings, progress, trained=trained, kinds=asked)
    return Walk(summary, _points(summary.folder), Path(summary.folder))


def walk_hw(
    network: Network | nn.Module,
    images: Any,
    labels: Any = None,
    *,
    noise: Noise | str = ADDITIVE,
    sites: Sequence[str] = (),
    levels: Sequence[float] | Literal["auto"] = AUTO,
    seed: int = 0,
    jobs: int = 1,
    progress: ProgressCallback = no_progress,
    **options: Any,
) -> HardwareWalk:
    """Compile a network, walk noise through it in software and in RTL, and compare the two.

    Args:
        network: a quantised network: a Brevitas module, one from `tap` or `load`.
        images: as for `walk`.
        labels: as for `walk`.
        noise: kind of noise, as an object with its options or by its name; levels do not count.
        sites: sites to walk; the accumulators by default.
        levels: noise levels σ; searched for at each site by default.
        seed: seed of the noise.
        jobs: worker processes. With more than one, a script must guard its code with
            ``if __name__ == "__main__"``, since each worker imports it.
        progress: called with the stage, the steps done and in all.
        options: further settings of ``walk-hw`` by their names, such as ``draws``, ``hw_images``,
            ``cycles``, ``budget``, ``out`` or ``build`` (docs/settings.md).

    Raises:
        UserError: as for `walk`; or the network cannot be compiled.
    """
    samples = Samples.of(images, labels)
    build = Path(options.get("build", HardwareWalkSettings.default("build")))
    kind = _setting(noise, seed)
    # a kind without a twin is told before anything is written
    TapSettings.of(kind.noise(0.0), 1.0, seed)
    settings = HardwareWalkSettings(
        **_as_files(network, samples, build),
        **HardwareWalkSettings.options_of(kind),
        sites=tuple(sites),
        levels=_levels(levels),
        seed=seed,
        **options,
    )
    with silenced_libraries(), ExitStack() as stack:
        engine = stack.enter_context(DaskExecutor(jobs, folder=build)) if jobs > 1 else None
        summary = hardware_walk.walk_hw(settings, progress, engine=engine)
    folder = Path(summary.report or "").parent
    return HardwareWalk(summary, _points(folder), folder)


def compile(
    network: Network | nn.Module,
    images: Any,
    *,
    sites: Sequence[str] = (),
    build: str | Path = "build",
    **options: Any,
) -> Accelerator:
    """Compile a quantised network to RTL with noise taps, or open what was compiled before.

    Args:
        network: a Brevitas module, or a quantised network from `tap` or `load`.
        images: images on which the scale of each tap is verified, as for `walk`, without labels.
        sites: sites with taps besides the accumulators.
        build: folder of what is built.
        options: further arguments of `flow.compiler.pipeline.compile_network`, such as ``cycles``,
            ``fps`` or ``mvu``.

    Raises:
        UserError: the network cannot be compiled, or not folded so; the message names the node.
    """
    calibration = Samples.of(images, np.zeros(len(images), dtype=np.int64))
    found = _fitted(network, calibration, Path(build))
    with silenced_libraries():
        return compile_network(
            found,
            _inputs(found, calibration)[:CALIBRATION_IMAGES],
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
    progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Network:
    """Train a network where it is, with or without noise, and return it in evaluation mode.

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
            which the same call resumes.
        progress: called after every epoch.
        options: further settings of a training: ``clamp``, ``spread``, ``augment``, ``precision``.

    Raises:
        UserError: the network cannot be trained, a setting is unknown, or a file cannot be written.
    """
    samples = Samples.of(images, labels)
    measured = samples if test is None else Samples.of(test)
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
    _check_labels(trained, samples)
    usual = {"clamp": trained.recipe.clamp and not isinstance(trained, TracedNetwork)}
    settings = TrainingSettings(
        model=given.name, dataset=samples.name, noise=noise, epochs=epochs, seed=seed, batch=batch,
        lr=lr, start=given.digest, **(usual | options),
    )  # fmt: skip
    train_network(
        trained,
        (_inputs(trained, samples), torch.from_numpy(samples.labels)),
        (_inputs(trained, measured), torch.from_numpy(measured.labels)),
        settings,
        out=None if checkpoint is None else Path(checkpoint),
        progress=progress,
    )
    _set_mode(given, training=False)
    low, high = samples.inputs.aminmax()
    given.image_range = float(low), float(high)
    return given


def _setting(noise: Noise | str, seed: int) -> NoiseSetting:
    return (
        NoiseSetting(noise, seed=seed) if isinstance(noise, str) else NoiseSetting.of(noise, seed)
    )


def _points(folder: str | Path) -> pd.DataFrame:
    return pd.read_parquet(Path(folder) / "curves.parquet")


def _levels(levels: Sequence[float] | Literal["auto"]) -> Any:
    return levels if isinstance(levels, str) else tuple(levels)


def _set_mode(network: Network, *, training: bool) -> None:
    network.train(training)
    if isinstance(network, TracedNetwork):
        network.model.train(training)


def _trained(network: Network | nn.Module, samples: Samples, build: Path) -> TrainedNetwork:
    """Return a network and its images as a walk takes them."""
    found = _fitted(network, samples, build)
    return TrainedNetwork(
        checkpoint=None,
        network=found,
        metadata=Metadata(found.name, samples.name, None, 0, 0, 0.0, 0),
        images=samples.image_set,
        inputs=_inputs(found, samples),
        digest=found.digest,
    )


def _fitted(network: Network | nn.Module, samples: Samples, build: Path) -> Network:
    """Return a network that takes these images; one of Brevitas' modules goes through QONNX.

    Raises:
        UserError: it is in training mode, on another device or of another type than float32, or
            does not take the images.
    """
    found = tap(network)
    source = found.model if isinstance(found, TracedNetwork) else found
    if source.training:
        raise UserError(f"{found.name} is in training mode: call .eval() on it first")
    for name, value in source.state_dict().items():
        if value.device.type != "cpu":
            raise UserError(
                f"{found.name} is on {value.device}: bring it to the processor with .cpu()"
            )
        if value.is_floating_point() and value.dtype != torch.float32:
            raise UserError(f"{name} of {found.name} is {value.dtype}: call .float() on it")
    if isinstance(found, TracedNetwork):
        if found.quantised:
            shape = samples.image_set.images.shape[1:]
            with silenced_libraries():
                path = write_qonnx(found.model, found.name, found.name, shape, build / "own")
                found = open_network(path, shape)
        else:
            found.fit_to(samples.inputs)
    _check_labels(found, samples)
    _check_range(found, samples)
    return found


def _inputs(network: Network, samples: Samples) -> Tensor:
    """Return images as a network takes them."""
    if isinstance(network, TracedNetwork):
        return samples.inputs
    return data.to_input(samples.image_set.images, network.image_shape)


def _as_files(network: Network | nn.Module, samples: Samples, build: Path) -> dict[str, Any]:
    """Write a network and its images to files, and return the settings that name them.

    Worker processes open them there, as those of the command line.
    """
    found = _fitted(network, samples, build)
    own = build / "own"
    dataset = str(samples.write(own))
    if isinstance(found, ImportedNetwork):
        return {"model": str(found.file), "dataset": dataset}
    if isinstance(found, TracedNetwork) or found.name not in models.names():
        raise UserError(
            f"{found.name} has no quantised weights, so there is no hardware of it: walk it in "
            "software with flow.walk, or give a Brevitas module"
        )
    path = own / f"{found.name}-{found.digest[:16]}.safetensors"
    told = Metadata(found.name, dataset, None, 0, 0, 0.0, 0)
    checkpoints.save(found, path, told)
    return {"model": found.name, "dataset": dataset, "checkpoint": path}


def _check_labels(network: Network, samples: Samples) -> None:
    largest = int(samples.labels.max())
    if largest >= network.classes:
        raise UserError(
            f"the labels go up to {largest}, {network.name} tells {network.classes} classes apart: "
            "give its own labels"
        )


def _check_range(network: Network, samples: Samples) -> None:
    """Warn about images on another scale than those that the network has seen."""
    if network.image_range is None:
        return
    low, high = network.image_range
    first, last = (float(value) for value in samples.inputs.aminmax())
    width = high - low
    outside = max(low - first, last - high) > 0.1 * width
    if outside or last - first <= 0.5 * width:
        warnings.warn(
            f"the images lie in {first:.3g}..{last:.3g}, {network.name} has seen {low:.3g}.."
            f"{high:.3g}: bring them to its scale",
            stacklevel=4,
        )
