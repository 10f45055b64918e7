"""Walks in Python: in software alone, or in software and hardware, with their cross-check."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pandas as pd
from torch import Tensor, nn

from flow.api.inputs import as_files, trained_network
from flow.callbacks import ProgressCallback, no_progress
from flow.data.samples import Samples
from flow.errors import OptionError
from flow.experiments import bits_walk, hardware_walk, software_walk
from flow.experiments.settings import SoftwareWalkSettings
from flow.files import replacing
from flow.models import Network
from flow.models.metric import Metric
from flow.noise import Additive, Noise
from flow.noise.hardware.registers import TapSettings
from flow.noise.noise_map import NoiseMap
from flow.quiet import silenced_libraries
from flow.report import files
from flow.report.plots import bits as bits_plots
from flow.report.plots import software_walk as software_plots
from flow.report.plots import walk_hw as hardware_plots
from flow.settings import AUTO, Unit
from flow.walks.engine.dask import DaskExecutor
from flow.walks.points.noise_setting import NoiseSetting, distinct
from flow.walks.settings import HardwareWalkSettings
from flow.walks.summaries import BitsWalkSummary, HardwareWalkSummary, SoftwareWalkSummary

ADDITIVE = Additive()
NoiseMapLike = Mapping[str, Noise] | str | Path | None
"""Noise by site, a noise map's file, or none."""
Bits = int | str | Sequence[int] | None
"""Bits of ADCs: a number, several, or a range in words such as ``1-8``."""


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
        """Return the results at a site.

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
        return str(self.summary.verdict)

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
            page = files.write_report(files.Results(Path(scratch), told, self.points))
            temporary.write_bytes(page.read_bytes())
        return Path(path)


@dataclass(frozen=True)
class BitsWalk(Walk):
    """A finished walk of ADC bits.

    ``walk["conv1.acc"].best`` are the fewest bits of a site that lose no more than allowed.
    """

    summary: BitsWalkSummary  # type: ignore[assignment]  # another schema, the same face

    @property
    def verdict(self) -> str | None:
        """Whether software and hardware agree; None in software alone."""
        return self.summary.verdict

    def figures(self) -> "dict[str, software_plots.Figure]":
        """Return the pictures by name: ``curves``, accuracy over bits of every side."""
        return {"curves": bits_plots.plot(self.summary)}


def walk(
    network: Network | nn.Module,
    images: Any,
    labels: Any = None,
    *,
    noise: Noise | str | Sequence[Noise | str] = ADDITIVE,
    sites: Sequence[str] = (),
    levels: Sequence[float] | Literal["auto"] = AUTO,
    unit: Unit = "real",
    noise_map: NoiseMapLike = None,
    seed: int = 0,
    adc: Bits = None,
    metric: Callable[[Tensor, Tensor], Any] | str | None = None,
    floor: float = 0.0,
    progress: ProgressCallback = no_progress,
    **options: Any,
) -> Walk:
    """Walk noise through a network in software: find the midpoint of each site and of all.

    Args:
        network: the network, from `tap` or `load`, in evaluation mode.
        images: floats [N, …] as the network takes them; bytes, which it sees as −1..1; or a
            ``Dataset`` or ``DataLoader`` of images and labels.
        labels: whole numbers [N] from 0; not given with a ``Dataset`` or ``DataLoader``, or if
            there are none. With a metric, any numbers [N, …].
        noise: kind of noise, as an object with its options or by its name, or several kinds; levels
            do not count.
        sites: sites to walk; by default every site of a float network, the accumulators of a
            quantised one, and all of them together as ``global``.
        levels: noise levels σ; searched for at each site by default.
        unit: unit of the levels: ``real``, that of the layer's output; ``std`` or ``range`` of the
            site's values; or ``lsb``.
        noise_map: noise at every point: by site, or a YAML file. With
            ``sites=["map"]`` it is walked as one site, and the level is a factor on it.
        seed: seed of the noise.
        adc: bits of an ADC at every site of a walk; several, such as ``"1-8"`` or ``range(1, 9)``,
            are walked in place of σ, and the result is a `BitsWalk`.
        metric: function of outputs and labels, or else images, that values each output, 0 to 1, or
            ``file.py:function``; whether the label is right, if not given.
        floor: value of the metric that counts as lost.
        progress: called with the stage, the steps done and in total.
        options: further settings of ``walk`` by their names, such as ``seeds``,
            ``rows``, ``input_bits``, ``precision_of_mu``, ``max_seconds``, ``out`` or ``build``
            (docs/reference/settings.md).

    Raises:
        UserError: the network and its images do not fit, or a setting is unknown; points already
            measured are kept.
    """
    samples = Samples.of(images, labels, any_targets=metric is not None)
    judged_by = None if metric is None else Metric.made(metric, floor)
    kinds = [noise] if isinstance(noise, Noise | str) else noise
    settings = SoftwareWalkSettings(
        sites=tuple(sites), levels=_levels(levels), seed=seed,
        **_placed(unit, noise_map, adc, options),
    )  # fmt: skip
    trained = trained_network(network, samples, settings.build, judged_by).tiled(settings.array)
    name = f"{trained.network.name}-{samples.name}-{trained.digest[:8]}"
    name += f"-{judged_by.name}" if judged_by else ""
    settings = settings.changed(out=settings.out or settings.build / "walk" / name)
    asked = distinct([_setting(one, seed) for one in kinds])
    if settings.walks_bits:
        _refuse_kind(asked[0])
        with silenced_libraries():
            bits = bits_walk.walk(settings, progress, trained=trained)
        folder = Path(bits.report).parent
        return BitsWalk(bits, _points(folder), folder)
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
    unit: Unit = "real",
    noise_map: NoiseMapLike = None,
    seed: int = 0,
    adc: Bits = None,
    jobs: int = 1,
    progress: ProgressCallback = no_progress,
    **options: Any,
) -> HardwareWalk | BitsWalk:
    """Compile a network, walk noise through it in software and in RTL, and compare the two.

    Args:
        network: a quantised network: a module of Brevitas' layers or one that rounds its weights
            and activations itself, or one from `tap` or `load`.
        images: as for `walk`.
        labels: as for `walk`.
        noise: kind of noise, as an object with its options or by its name; levels do not count.
        sites: sites to walk, or ``global`` for all accumulators together; each accumulator by
            default.
        levels: noise levels σ; searched for at each site by default.
        unit: as for `walk`.
        noise_map: as for `walk`.
        seed: seed of the noise.
        adc: as for `walk`.
        jobs: worker processes. With more than one, a script must guard its code with
            ``if __name__ == "__main__"``, since each worker imports it.
        progress: called with the stage, the steps done and in total.
        options: further settings of ``walk-hw`` by their names, such as ``draws``, ``hw_images``,
            ``cycles``, ``rows``, ``input_bits``, ``budget``, ``out`` or ``build``
            (docs/reference/settings.md).

    Raises:
        UserError: as for `walk`; or the network cannot be compiled.
    """
    samples = Samples.of(images, labels)
    build = Path(options.get("build", HardwareWalkSettings.default("build")))
    kind = _setting(noise, seed)
    # a kind without a twin is refused before anything is written
    TapSettings.of(kind.noise(0.0), 1.0, seed)
    settings = HardwareWalkSettings(
        **as_files(network, samples, build),
        **HardwareWalkSettings.options_of(kind),
        sites=tuple(sites),
        levels=_levels(levels),
        seed=seed,
        **_placed(unit, noise_map, adc, options),
    )
    with silenced_libraries(), ExitStack() as stack:
        engine = stack.enter_context(DaskExecutor(jobs, folder=build)) if jobs > 1 else None
        if settings.walks_bits:
            bits = bits_walk.walk_hw(settings, progress, engine=engine)
            folder = Path(bits.report).parent
            return BitsWalk(bits, _points(folder), folder)
        summary = hardware_walk.walk_hw(settings, progress, engine=engine)
    folder = Path(summary.report or "").parent
    return HardwareWalk(summary, _points(folder), folder)


def _refuse_kind(setting: NoiseSetting) -> None:
    """Raise an OptionError if a walk of ADC bits was given a kind of noise."""
    if setting.kind != ADDITIVE.kind:
        raise OptionError("noise", "given, but ADC bits are walked: give noise by a noise map")


def _points(folder: str | Path) -> pd.DataFrame:
    return pd.read_parquet(Path(folder) / "curves.parquet")


def _setting(noise: Noise | str, seed: int) -> NoiseSetting:
    return (
        NoiseSetting(noise, seed=seed) if isinstance(noise, str) else NoiseSetting.of(noise, seed)
    )


def _placed(
    unit: Unit, noise_map: NoiseMapLike, adc: Bits, options: dict[str, Any]
) -> dict[str, Any]:
    """Return options with the unit and the file of a noise map, which is written if it has none."""
    if isinstance(noise_map, Mapping):
        folder = Path(options.get("build", HardwareWalkSettings.default("build"))) / "noise-maps"
        noise_map = NoiseMap.of(noise_map).write(folder)
    return options | {"unit": unit, "noise_map": noise_map, "adc": adc}


def _levels(levels: Sequence[float] | Literal["auto"]) -> Any:
    return levels if isinstance(levels, str) else tuple(levels)
