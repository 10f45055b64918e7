"""What the user may choose of a walk in software and in RTL, and how much is measured for it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flow import data, models
from flow.compiler.accelerator import Accelerator
from flow.compiler.folding.target import Target, read
from flow.errors import UserError
from flow.noise import shared_by_images
from flow.noise.hardware.registers import TapSettings
from flow.rtl.scope import FULL
from flow.rtl.scope import check as check_scope
from flow.walk.levels import parse_levels
from flow.walk.points.noise_setting import NoiseChoice, Setting

SMALL = 4096
"""Cycles per image up to which a network is small."""
MOST_DRAWS = 8
"""Noise draws of a site with little behind it, and of devices; in a small network twice as many."""
MOST_LABELS = 16_000
"""Labels of a point at a site with little behind it: the more images, the fewer draws of each."""


@dataclass(frozen=True)
class Settings(NoiseChoice):
    """What the user may choose."""

    model: str = "tfc"
    dataset: str = "fashion-mnist"
    noise: str = "additive"
    levels: str = "auto"
    images: int | None = None
    """Test images of a point in software and in the golden model; when not given, 2,000, or all
    where a set has fewer."""
    draws: int | None = None
    """Independent noise draws of a point in software and in the golden model; see `Effort`."""
    hw_images: int | None = None
    """Test images of a point in RTL; see `Effort`."""
    sites: str = ""
    """Names with commas between; every ``.acc`` site when empty."""
    training_noise: str = ""
    """Kind of noise the checkpoint was trained with; clean when empty."""
    checkpoint: str = ""
    """A checkpoint file in place of the zoo's."""
    cycles: int | None = None
    """Target of cycles per image for the folding; of this and the next two, at most one."""
    fps: float | None = None
    """Target of images a second at 200 MHz."""
    folding: str = ""
    """A FINN folding file; the folding's default when empty."""
    budget: float = 10.0
    """Minutes for further noise draws at sites that are undecided; 0: none."""
    ablation: bool = False
    """Whether to go from software to RTL step by step at every site; else where they differ."""
    scope: str = FULL
    """What of the network RTL simulates at a noisy site: ``full`` or, from there on, ``site``."""
    mvu: str = "lut"
    """Matrix-vector unit: ``lut`` (ours, for few bits) or ``dsp`` (FINN's)."""
    out: Path | None = None
    """Results folder; one below `build` named by network, set and noise when not given."""
    build: Path = field(default_factory=lambda: Path("build"))

    def __post_init__(self) -> None:
        check_scope(self.scope)
        models.resolve(self.model)
        data.dataset(self.dataset)
        # rates, tables and seeds that no register holds, whatever the site
        TapSettings.of(self.setting.noise(0.0), 1.0, self.seed)
        for name in ("images", "draws", "hw_images"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} is {value}: give 1 or more")
        if not 0 <= self.budget < float("inf"):
            raise UserError(
                f"the budget is {self.budget:g}: give the minutes for further draws, or 0 for none"
            )
        parse_levels(self.levels)
        _ = self.target

    @property
    def setting(self) -> Setting:
        """The noise, all but its level."""
        return self.of_kinds([self.noise])[0]

    @property
    def target(self) -> dict[str, Any]:
        """The folding's target, as ``compile_network`` takes it."""
        nodes = read(Path(self.folding)) if self.folding else None
        target = Target(self.cycles, self.fps, nodes)
        return {"cycles": target.cycles, "fps": target.fps, "nodes": target.nodes}


@dataclass(frozen=True)
class Effort:
    """How much is measured for a point."""

    draws: Mapping[str, int]
    """By site: noise draws in software and in the golden model."""
    hw_images: int
    """Images in RTL."""

    @classmethod
    def of(cls, settings: Settings, accelerator: Accelerator, images: int) -> "Effort":
        """Return what the user asked for, and else what takes minutes.

        A small network gets more, and so does a site with little behind it, where a draw is cheap
        and the noise of few values tells draws apart; many images need few draws. Where a draw is
        one device for all images, it gets the most; a device that the user has fixed, which further
        draws repeat, one.

        Args:
            settings: the user's choice.
            accelerator: the network in hardware.
            images: how many there are.
        """
        small = accelerator.manifest["cycles_per_image"] <= SMALL
        least, hw_images = (4, 128) if small else (1, 64)
        values = {name: site.pixels * site.channels for name, site in accelerator.sites.items()}
        draws, behind, every = {}, 0, sum(values.values())
        enough = min(MOST_DRAWS, math.ceil(MOST_LABELS / images))
        for name in reversed(values):
            behind += values[name]
            draws[name] = settings.draws or max(least, min(enough, every // behind))
        most = 1 if settings.device is not None else 2 * MOST_DRAWS if small else MOST_DRAWS
        shared = [s for s in (*draws, *accelerator.weights) if shared_by_images(s, settings.noise)]
        draws |= dict.fromkeys(shared, settings.draws or most)
        return cls(draws, settings.hw_images or min(hw_images, images))
