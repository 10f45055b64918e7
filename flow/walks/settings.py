"""The user's settings of walks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from flow.errors import OptionError, about
from flow.settings import (
    ADC_PERCENTILE,
    AUTO,
    OPTIONS_OF_NOISE,
    Bits,
    Count,
    Levels,
    Names,
    Seed,
    Settings,
    Unit,
)
from flow.statistics.verdict import MARGIN, Design
from flow.training.settings import DeviceSettings, TrainedSettings

if TYPE_CHECKING:
    from flow.noise.noise_map import NoiseMap
    from flow.walks.points.noise_setting import NoiseSetting


class NoiseOptions(Settings):
    """Options of the noise beyond kind and levels, for all commands."""

    sites: Names = ()
    """Noise sites; the default ones if none is given"""
    order: Literal["mul-add", "add-mul"] = "mul-add"
    """Order of mixed noise: multiply then add, or add then multiply"""
    ratio: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Additive share r of mixed noise: σₐ = σ · r, σₘ = σ · (1 − r)"""
    executions: Annotated[int, Field(ge=1, le=64)] | None = None
    """Executions of a noisy layer, whose outputs are averaged; 1 if not given"""
    device_seed: Seed | None = None
    """Seed of the device, for fixed-pattern noise; if not given, each draw is another device"""
    gain_rate: float | None = None
    """Change of the gain over 1,000 images, for drift"""
    sigma_rate: float | None = None
    """Relative change of σ over 1,000 images, for drift"""
    samples: Path | None = None
    """File of measured samples, for empirical noise"""
    seed: Seed = 0
    """Seed of the noise"""
    unit: Unit = "real"
    """Unit of noise levels: real, lsb, std or range of the site's values"""
    noise_map: Path | None = None
    """Noise map, a YAML file: its noise is at every point; with sites map, the map is walked"""
    adc: Bits | None = None
    """ADC bits at every accumulator, such as 6; several, such as 1-8, are walked instead of σ"""
    adc_percentile: Annotated[float, Field(gt=0, le=100)] = ADC_PERCENTILE
    """Range of the ADC, a percentile of the site's absolute values; 100 for the full scale"""
    loss: Annotated[float, Field(gt=0, lt=100)] = 1.0
    """Percentage points of accuracy that the fewest bits may lose, in a walk of ADC bits"""

    no_levels: ClassVar[Mapping[str, str]] = {
        "noise": "noise comes from a noise map",
        "levels": "they are the levels",
        "unit": "the levels are bits",
    }
    """Options that do not apply to a walk of ADC bits, with the reason."""

    def check(self) -> None:
        """Read the map, and check that it is walked alone, and the options of an ADC."""
        from flow.noise.site import MAP

        super().check()
        self._check_adc()
        _ = self.read_map
        if self.noise_map is None and self.walks_map:
            raise OptionError("sites", "has map, but there is none: give its file", ("noise_map",))
        if self.walks_map and self.sites != (MAP,):
            raise OptionError(
                "sites",
                "has map and others: its curve begins without noise and theirs with the noise of "
                "the map, so walk them in two runs",
            )
        if self.walks_map and self.unit != "real":
            raise OptionError("unit", "given, but the level of a map is a factor: leave it out")

    def _check_adc(self) -> None:
        """Check the options of an ADC, and those that it excludes."""
        from flow.noise.adc import check_bits

        with about("adc"):
            for bits in self.adc or ():
                check_bits(bits)
        if self.adc_percentile != self.default("adc_percentile") and not (
            self.adc or self.walks_bits or (self.read_map and self.read_map.adc)
        ):
            raise OptionError("adc_percentile", "given, but no site has an ADC: give its bits")
        if self.walks_bits:
            for name, why in self.no_levels.items():
                has = name in type(self).model_fields
                if has and getattr(self, name) != self.default(name):
                    raise OptionError(name, f"given, but ADC bits are walked, and {why}")
            if self.walks_map:
                raise OptionError("sites", "has map, but the bits of a map are its own")
            if self.executions is not None:
                raise OptionError("executions", "given, but ADC bits are walked: leave it out")
        elif "adc" in self.options() and self.loss != self.default("loss"):
            raise OptionError(
                "loss", "applies to a walk of ADC bits: give several bits, such as 1-8"
            )

    @property
    def walks_bits(self) -> bool:
        """Whether the bits of an ADC are walked in place of a noise level."""
        return self.adc is not None and len(self.adc) > 1

    def check_no_bits_walk(self) -> None:
        """Raise an OptionError if several numbers of bits are given, but none are walked."""
        if self.walks_bits:
            raise OptionError(
                "adc", "has several numbers, which only walk and walk-hw walk: give one"
            )

    def converter_bits(self, accumulators: Sequence[str]) -> dict[str, int]:
        """Return the bits of the converters in place at every point, by site.

        Args:
            accumulators: sites that have a converter if the user chose one number of bits.
        """
        of_all = self.adc if self.adc and not self.walks_bits else ()
        noise_map = self.read_map
        found = {site: bits for bits in of_all for site in accumulators}
        return found | dict(noise_map.adc if noise_map else {})

    @property
    def adc_name(self) -> str:
        """What the converters of a walk add to the name of its folder."""
        if self.adc is None:
            return ""
        share = self.adc_percentile
        of_range = "" if share == self.default("adc_percentile") else f"-of-{share:g}"
        return "-adc" + f"-{self.adc[0]}" * (not self.walks_bits) + of_range

    @property
    def walks_map(self) -> bool:
        """Whether the noise map is walked as one site."""
        from flow.noise.site import MAP

        return MAP in self.sites

    @property
    def read_map(self) -> "NoiseMap | None":
        """The noise map; UserError if it cannot be read."""
        from flow.noise.noise_map import NoiseMap

        if self.noise_map is None:
            return None
        with about("noise_map"):
            return NoiseMap.read(self.noise_map)

    def of_kinds(self, kinds: Sequence[str]) -> "list[NoiseSetting]":
        """Return the noise of each kind, each with those options that it has.

        Raises:
            OptionError: a kind is unknown or lacks an option, or an option is none of any kind's.
        """
        from flow.noise import Noise
        from flow.walks.points.noise_setting import NoiseSetting, distinct

        names = ("executions", "device_seed", "gain_rate", "sigma_rate", "samples")
        chosen = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        given = {
            OPTIONS_OF_NOISE.get(name, name): str(value) if isinstance(value, Path) else value
            for name, value in chosen.items()
        }
        with about("noise"):
            known = {kind: Noise.options_of(kind) for kind in kinds}
        for name in given:
            if not any(name in options for options in known.values()):
                raise OptionError(_option(name), f"is no option of {' or '.join(kinds)} noise")
        found = []
        for kind, options in known.items():
            own = {name: value for name, value in given.items() if name in options}
            with about(*(self._own(own) or ["noise"])):
                found.append(NoiseSetting(kind, self.order, self.ratio, self.seed, own))
        if self.unit != "real" and not any(one.made.adds for one in found):
            said = f"given, but {' or '.join(kinds)} noise is relative: leave it out"
            raise OptionError("unit", said)
        with about("noise"):
            return distinct(found)

    @staticmethod
    def options_of(setting: "NoiseSetting") -> dict[str, Any]:
        """Return the options that request a noise of one kind."""
        own = {_option(name): value for name, value in setting.options.items()}
        return {"noise": setting.kind, "order": setting.order, "ratio": setting.ratio, **own}

    @staticmethod
    def _own(options: Mapping[str, Any]) -> list[str]:
        """Return the options that a kind has for itself, as the user knows them."""
        return [_option(name) for name in options if name != "executions"]


def _option(name: str) -> str:
    """Return the user's name of an option that a kind of noise has."""
    return next((option for option, own in OPTIONS_OF_NOISE.items() if own == name), name)


class AcceleratorSettings(TrainedSettings):
    """Options that determine the accelerator of a network."""

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = (
        *TrainedSettings.exclusive,
        ("cycles", "fps", "folding"),
    )
    taps_every_accumulator: ClassVar[bool] = True
    """Whether each .acc site has a tap, whichever sites are chosen."""

    sites: Names = ()
    """Noise sites, such as fc0.acc,fc1.weight,fc1.act; every .acc site if none is given"""
    cycles: Count | None = None
    """Target of the folding: clock cycles per image"""
    fps: Annotated[float, Field(gt=0, le=200e6)] | None = None
    """Target of the folding: images per second at 200 MHz"""
    folding: Path | None = None
    """FINN folding file, in place of a target"""
    mvu: Literal["lut", "dsp"] = "lut"
    """Matrix-vector unit: this project's, made of LUTs, or FINN's, made of DSPs"""
    kinds: Names = ()
    """Kinds of noise, executions and adc for which taps are built; all if none is given"""
    build: Path = Path("build")
    """Folder of everything that is built"""

    def check(self) -> None:
        """Read the folding file, and check that taps can be built for the kinds."""
        from flow.noise.hardware import kinds

        super().check()
        _ = self.target
        with about("kinds"):
            kinds.parts_of(self.kinds)

    @property
    def target(self) -> dict[str, Any]:
        """The folding's target, as ``compile_network`` takes it."""
        from flow.compiler.folding import target as folding_target

        nodes = None
        if self.folding is not None:
            with about("folding"):
                nodes = folding_target.read(self.folding)
        return {"cycles": self.cycles, "fps": self.fps, "nodes": nodes}


class HardwareWalkSettings(NoiseOptions, DeviceSettings, AcceleratorSettings):
    """A walk in software and in RTL."""

    joint: ClassVar[bool] = True
    """Whether sites can be global or map, at which several sites are noisy together."""

    noise: str = "additive"
    """Kind of noise: additive, multiplicative, mixed, fixed-pattern, drift or empirical"""
    sites: Names = ()
    """Noise sites, such as fc0.acc,fc1.weight,global (all .acc); each .acc site if none is given"""
    levels: Levels = AUTO
    """Noise levels σ, or multiples of the site's midpoint, such as 0.5mu,1mu; auto searches"""
    images: Count | None = None
    """Test images per point in software; if not given, 1,000, or all of a smaller set"""
    draws: Count | Literal["independent"] | None = None
    """Noise draws per point, 1 or 2 if not given; or independent, without common random numbers"""
    hw_images: Count | None = None
    """Test images per point in RTL; if not given, 128, or 64 in a large network"""
    budget: Annotated[float, Field(ge=0)] = 10.0
    """Minutes for further noise draws at undecided sites; 0 for none"""
    margin: Annotated[float, Field(gt=0, lt=1)] = MARGIN
    """Largest relative difference in μ that is too small to matter: 0.05 is 5 %"""
    ablation: bool = False
    """Step-by-step comparison from software to RTL at all sites; by default where they differ"""
    scope: Literal["full", "site"] = "full"
    """Simulated part of the network: all of it, or only what noise at the site can reach"""
    out: Path | None = None
    """Results folder; if not given, one in build/ named by network, data set and noise"""

    no_levels: ClassVar[Mapping[str, str]] = {
        **NoiseOptions.no_levels,
        "draws": "a converter draws no random numbers",
        "budget": "there are no further noise draws",
        "margin": "sides are compared within the points of loss",
        "ablation": "there is no μ to compare",
    }

    def check(self) -> None:
        """Check that the noise exists and fits the registers."""
        from flow.noise.hardware.kinds import require
        from flow.noise.hardware.registers import TapSettings

        super().check()
        for name, what in (("noise_map", "noise of a map"), ("adc", "an ADC")):
            if getattr(self, name) is not None and self.scope != "full":
                raise OptionError(
                    "scope", f"is site, but {what} is elsewhere as well: leave it out"
                )
        (setting,) = self.of_kinds([self.noise])
        with about(*(self._own(setting.options) or ["noise"])):
            # rates and tables that no register holds, whatever the site
            TapSettings.of(setting.noise(0.0), 1.0, self.seed)
        if self.kinds:
            with about("kinds"):
                require(self.kinds_needed, self.kinds)

    @property
    def kinds_needed(self) -> list[str]:
        """What taps must be built for; see `flow.noise.hardware.kinds`."""
        from flow.noise.hardware.kinds import ADC, needed

        found = needed(self.setting.noise(0.0)) + [ADC] * (self.adc is not None)
        noises = self.read_map.sites.values() if self.read_map else ()
        return [*found, *(kind for noise in noises for kind in needed(noise))]

    @property
    def design(self) -> Design:
        """Random numbers of the two sides that each site compares."""
        return "independent" if self.draws == "independent" else "common"

    @property
    def setting(self) -> "NoiseSetting":
        """The noise, except its level."""
        return self.of_kinds([self.noise])[0]


class EngineSettings(Settings):
    """Options of the engine."""

    jobs: Count | None = None
    """Worker processes, one per core if not given; 1 computes everything in one process"""
    scheduler: str | None = None
    """Address of a running Dask cluster, such as tcp://host:8786, or slurm"""
