"""A walk prepared from settings: network, images and accelerator."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from flow.callbacks import ProgressCallback, StageClock, no_progress
from flow.compiler.accelerator import Accelerator
from flow.compiler.pipeline import compile_network
from flow.device import CPU, find
from flow.errors import OptionError, about, within
from flow.files import make_folder
from flow.golden import device_check
from flow.models import site_values
from flow.models.network import chosen_sites
from flow.noise import Adc
from flow.noise.hardware.registers import TapSettings
from flow.noise.hardware.sites import TapSite
from flow.noise.hardware.weights import WeightSite, check_kind
from flow.noise.noise_map import NoiseMap
from flow.noise.site import JOINT, MAP, Site
from flow.settings import ADC_PERCENTILE, Unit
from flow.training.checkpoint import Metadata
from flow.training.zoo import TrainedNetwork
from flow.walks.context import WalkContext
from flow.walks.engine.engine import Engine, SerialExecutor
from flow.walks.points.placement import Placement
from flow.walks.points.point import NoisePoint
from flow.walks.points.store import Store
from flow.walks.settings import AcceleratorSettings, HardwareWalkSettings
from flow.walks.walk import Walk

IMAGES = 1000
"""Default images per point in software and in the golden model."""
CALIBRATION_IMAGES = 200
"""Images on which the scale of each tap is verified."""
DEVICE_IMAGES = 8
"""Images on which a device is compared with the processor."""


@dataclass(frozen=True)
class WalkRecipe:
    """Recipe by which another process opens a walk."""

    settings: HardwareWalkSettings
    identity: tuple[tuple[str, str], ...]
    """Identity of the walk, since the content under a name may change."""

    def __call__(self) -> Walk:
        """Open the walk, or return it if it is open."""
        return _prepared_again(self)


@lru_cache(maxsize=4)
def _prepared_again(recipe: WalkRecipe) -> Walk:
    return prepare_walk(recipe.settings, StageClock(), no_progress).walk


@dataclass(frozen=True)
class PreparedWalk:
    """A compiled network with its data, ready for measurement."""

    walk: Walk
    sites: list[str]
    """Sites of the walk."""
    checkpoint: str | None
    """Name of the checkpoint's file; None without one."""
    metadata: Metadata
    folder: Path
    """Folder of the results."""


def prepare_walk(
    settings: HardwareWalkSettings,
    clock: StageClock,
    progress: ProgressCallback,
    engine: Engine | None = None,
    default_images: int = IMAGES,
) -> PreparedWalk:
    """Load a trained network and its images, and compile it.

    Args:
        settings: the user's settings.
        clock: gets the seconds of loading and of compiling.
        progress: called with the progress.
        engine: does the walk's work; this process if not given.
        default_images: default images per point; fewer of a smaller set.

    Raises:
        UserError: the network, data or checkpoint does not exist, or the network cannot be
            compiled.
    """
    device = find(settings.device)
    with clock.stage("load"):
        trained = TrainedNetwork.load(settings, settings.images, default_images)
        sites, noise_map = hardware_sites(trained, settings), settings.read_map
        if noise_map is not None:
            _check_map(noise_map, trained.network.all_sites)
        network, metadata, found = trained.network, trained.metadata, trained.images
        if (settings.hw_images or 0) > len(found):
            raise OptionError(
                "hw_images",
                f"is {settings.hw_images}, more than the {len(found)} images: RTL points are "
                "compared with golden ones on the same images",
            )
        name = _folder_name(settings, trained)
        folder = make_folder(settings.out or settings.build / "walk-hw" / name)
    with clock.stage("compile"):
        tapped = [*sites, *(noise_map.named if noise_map else ())]
        accelerator = compile_trained(trained, tapped, settings, progress)
    identity = {"dataset": found.name, "checkpoint": trained.digest}
    walk = Walk(
        network=network,
        accelerator=accelerator,
        inputs=trained.inputs,
        labels=found.labels,
        placement=placement_of(settings, trained, accelerator, noise_map),
        store=Store(settings.build / "points"),
        build=settings.build,
        identity=identity,
        scope=settings.scope,
        engine=engine or SerialExecutor(),
        recipe=WalkRecipe(settings, (*identity.items(), ("map", repr(noise_map)))),
        device=device,
    )
    with about("noise_map"):
        # σ beyond a register
        walk.context.settings(NoisePoint(MAP, 1.0) if settings.walks_map else NoisePoint("", 0.0))
    _check_device(walk, sites)
    return PreparedWalk(walk, sites, trained.file_name, metadata, folder)


def _folder_name(settings: HardwareWalkSettings, trained: TrainedNetwork) -> str:
    """Return the name of the results folder."""
    name = f"{trained.network.name}-{trained.images.name}"
    if trained.metadata.noise:
        name += f"-trained-{trained.metadata.noise['kind']}"
    name += str(settings.array)
    if settings.noise != settings.default("noise"):
        name += f"-{settings.noise}"
    if settings.noise_map is not None:
        name += f"-map-{settings.noise_map.stem}"
    return name + settings.adc_name


def _check_device(walk: Walk, sites: Sequence[str]) -> None:
    """Raise a UserError if the walk's device computes golden differently from the processor."""
    context = walk.context
    if context.device == CPU:
        return
    device_check.check_arithmetic(context.device)
    noises: dict[str, dict[str, TapSettings]] = {"the network": {}} | {
        f"noise at {site}": context.settings(NoisePoint(site, _tried_level(context, site)))
        for site in sites
    }
    device_check.check_model(context.golden, context.device, context.stream[:DEVICE_IMAGES], noises)


def _tried_level(context: WalkContext, site: str) -> float:
    if context.placement.converter_of is not None:
        return context.any_level(site)
    return min(context.likely_level(site), context.largest_level(site))


def compile_trained(
    trained: TrainedNetwork,
    sites: Sequence[str],
    settings: AcceleratorSettings,
    progress: ProgressCallback,
) -> Accelerator:
    """Compile a network, or open an earlier compilation of the same inputs.

    Args:
        trained: the network; its first images verify the scale of each tap.
        sites: where noise is wanted, if the settings do not tap every accumulator in any case.
        settings: the choice of taps, their kinds, folding and matrix-vector unit.
        progress: called with the progress.

    Raises:
        UserError: it cannot be compiled, or not folded so.
    """
    every = settings.taps_every_accumulator
    progress("compile", 0, 1)
    accelerator = compile_network(
        trained.network,
        trained.inputs[:CALIBRATION_IMAGES],
        sites=[s for s in sites if s not in JOINT and not (every and Site(s).is_accumulator)],
        every_accumulator=every,
        **settings.target,
        mvu=settings.mvu,
        kinds=settings.kinds,
        root=settings.build / "accelerators",
    )
    progress("compile", 1, 1)
    return accelerator


def compile_chosen(settings: AcceleratorSettings, progress: ProgressCallback) -> Accelerator:
    """Compile the network that the user chose; arguments and errors as of `compile_trained`."""
    trained = TrainedNetwork.load(settings, default=IMAGES)
    return compile_trained(trained, hardware_sites(trained, settings), settings, progress)


def hardware_sites(trained: TrainedNetwork, settings: AcceleratorSettings) -> list[str]:
    """Return the sites that the user chose, every ``.acc`` site if none; joint ones last."""
    network, asked = trained.network, settings.sites
    joint = []
    if isinstance(settings, HardwareWalkSettings) and settings.joint:
        joint = [name for name in JOINT if name in asked]
    named = [site for site in asked if site not in joint]
    default = [] if joint else network.accumulator_sites
    return [*chosen_sites(named, network, default), *joint]


def _check_map(noise_map: NoiseMap, known: Sequence[str]) -> None:
    """Raise an OptionError if a map names no site of a network, or noise that no tap has."""
    with about("noise_map"):
        noise_map.check(known)
        for site, noise in noise_map.sites.items():
            if Site(site).is_weight:
                check_kind(noise, site)
            else:
                with within(f"site {site}"):
                    TapSettings.of(noise.scaled(0.0), 1.0, seed=0)


def placement_of(
    settings: HardwareWalkSettings,
    trained: TrainedNetwork,
    accelerator: Accelerator,
    noise_map: NoiseMap | None,
) -> Placement:
    """Return the placement of a walk's noise and converters, and their units."""
    network = trained.network
    sites: dict[str, TapSite | WeightSite] = {**accelerator.sites, **accelerator.weights}

    def size(site: str, unit: Unit) -> float:
        return sites[site].scale if unit == "lsb" else float(getattr(sites[site], unit))

    chosen = settings.converter_bits(network.accumulator_sites)
    converter_of = None
    if chosen or settings.walks_bits:
        ranges = _ranges(settings, trained, accelerator)

        def converter_of(site: str, bits: int) -> Adc:
            return accelerator.sites[site].adc(bits, ranges[site])

    return Placement.of(
        settings.setting, network.accumulator_sites, sites, noise_map, size,
        unit=settings.unit, walks_map=settings.walks_map,
        converters={site: converter_of(site, bits) for site, bits in chosen.items()},
        converter_of=converter_of if settings.walks_bits else None,
    )  # fmt: skip


def _ranges(
    settings: HardwareWalkSettings, trained: TrainedNetwork, accelerator: Accelerator
) -> dict[str, float]:
    """Return the full scale of the converter of each site, in the unit of σ."""
    taps, percentile = accelerator.sites, settings.adc_percentile
    if percentile == ADC_PERCENTILE:
        return {name: site.clip for name, site in taps.items()}
    if percentile == 100:
        return {name: site.range for name, site in taps.items()}
    values = site_values(trained.network, trained.inputs[:CALIBRATION_IMAGES], percentile)
    return {name: values[name].clip for name in taps}
