"""A walk made ready from settings: network, images and accelerator."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from flow import data
from flow.callbacks import ProgressCallback, StageClock, no_progress
from flow.compiler.accelerator import Accelerator
from flow.compiler.pipeline import compile_network
from flow.data import ImageSet
from flow.errors import OptionError
from flow.files import make_folder
from flow.models import Network
from flow.models.network import chosen_sites
from flow.noise.site import Site
from flow.training import checkpoint
from flow.training.checkpoint import Metadata
from flow.training.zoo import open_trained
from flow.walk.engine.engine import Engine, SerialExecutor
from flow.walk.points.store import Store
from flow.walk.settings import AcceleratorSettings, HardwareWalkSettings
from flow.walk.walk import Walk


@dataclass(frozen=True)
class WalkRecipe:
    """How another process opens a walk."""

    settings: HardwareWalkSettings
    identity: tuple[tuple[str, str], ...]
    """Of the walk: what lies under a name may change."""

    def __call__(self) -> Walk:
        """Open it, or take what was opened before."""
        return _prepared_again(self)


@lru_cache(maxsize=4)
def _prepared_again(opening: WalkRecipe) -> Walk:
    return prepare_walk(opening.settings, StageClock(), no_progress).walk


@dataclass(frozen=True)
class PreparedWalk:
    """A network with its data, compiled, ready to be measured."""

    walk: Walk
    sites: list[str]
    """Those asked for."""
    checkpoint: Path
    metadata: Metadata
    folder: Path
    """For results."""


def prepare_walk(
    settings: HardwareWalkSettings,
    clock: StageClock,
    progress: ProgressCallback,
    engine: Engine | None = None,
) -> PreparedWalk:
    """Load a trained network and its images, and compile it.

    Args:
        settings: the user's choice.
        clock: gets the seconds of loading and of compiling.
        progress: called with the progress.
        engine: does the walk's work; this process if not given.

    Raises:
        UserError: what is asked for does not exist, or the network cannot be compiled.
    """
    with clock.stage("load"):
        loaded = Loaded.of(settings, settings.images)
        network, metadata, found = loaded.network, loaded.metadata, loaded.images
        if (settings.hw_images or 0) > len(found):
            raise OptionError(
                "hw_images",
                f"is {settings.hw_images}, more than the {len(found)} images: RTL points are "
                "compared with golden ones on the same images",
            )
        name = f"{network.name}-{found.name}"
        if metadata.noise:
            name += f"-trained-{metadata.noise['kind']}"
        if settings.noise != settings.default("noise"):
            name += f"-{settings.noise}"
        folder = make_folder(settings.out or settings.build / "walk-hw" / name)
    with clock.stage("compile"):
        accelerator = loaded.compiled(settings, progress)
    identity = {"dataset": found.name, "checkpoint": checkpoint.digest_of(loaded.checkpoint)}
    walk = Walk(
        network=network,
        accelerator=accelerator,
        inputs=loaded.inputs,
        labels=found.labels,
        setting=settings.setting,
        store=Store(settings.build / "points"),
        build=settings.build,
        identity=identity,
        scope=settings.scope,
        engine=engine or SerialExecutor(),
        opening=WalkRecipe(settings, tuple(identity.items())),
    )
    return PreparedWalk(walk, loaded.sites, loaded.checkpoint, metadata, folder)


IMAGES = 2000


CALIBRATION_IMAGES = 200


@dataclass(frozen=True)
class Loaded:
    """A trained network with its images."""

    checkpoint: Path
    network: Network
    metadata: Metadata
    images: ImageSet
    inputs: Tensor
    """float32 [N, C, H, W], the images as the network takes them."""
    sites: list[str]
    """Those asked for."""

    @classmethod
    def of(cls, settings: AcceleratorSettings, images: int | None = None) -> "Loaded":
        """Load what the user chose.

        Args:
            settings: the choice.
            images: how many of the set; 2,000, or all of a smaller one, if None.

        Raises:
            UserError: it does not exist, or the set has fewer images.
        """
        path, network, metadata = open_trained(settings)
        found = data.load(settings.dataset, "test", images or IMAGES)
        if images is not None and len(found) < images:
            raise OptionError(
                "images", f"is {images}, {found.source} has {len(found)}: ask for fewer"
            )
        inputs = data.to_input(found.images, network.image_shape)
        sites = chosen_sites(settings.sites, network, network.accumulator_sites)
        return cls(path, network, metadata, found, inputs, sites)

    def compiled(self, settings: AcceleratorSettings, progress: ProgressCallback) -> Accelerator:
        """Compile the network, or open what was compiled from the same things.

        Raises:
            UserError: it cannot be compiled, or not folded so.
        """
        progress("compile", 0, 1)
        accelerator = compile_network(
            self.network,
            self.inputs[:CALIBRATION_IMAGES],
            sites=[s for s in self.sites if not Site(s).is_accumulator],
            **settings.target,
            mvu=settings.mvu,
            root=settings.build / "accelerators",
        )
        progress("compile", 1, 1)
        return accelerator
