"""How much a walk measures for a point where the user does not say."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from flow.compiler.accelerator import Accelerator
from flow.noise import shared_by_images
from flow.noise.site import JOINT
from flow.walks.settings import HardwareWalkSettings

SMALL = 4096
"""Cycles per image up to which a network is small."""
MOST_DRAWS = 8
"""Noise draws of devices, in a small network twice as many; independent ones of a site with little
behind it."""
MOST_LABELS = 16_000
"""Labels of a point at a site with little behind it: the more images, the fewer draws of each."""


@dataclass(frozen=True)
class Effort:
    """Effort of a point."""

    draws: Mapping[str, int]
    """By site: noise draws in software and in the golden model."""
    hw_images: int
    """Images in RTL."""

    @classmethod
    def of(
        cls,
        settings: HardwareWalkSettings,
        accelerator: Accelerator,
        images: int,
        shared: Callable[[str], bool] | None = None,
    ) -> "Effort":
        """Return the requested effort, or a default that takes minutes.

        Sides with common random numbers need few draws. Independent ones need more, most at a site
        with little behind it, where a draw is cheap and the noise of few values tells draws apart;
        many images need few draws. Where a draw is one device for all images, it gets the most; a
        device that the user has fixed, which further draws repeat, one.

        Args:
            settings: the user's settings.
            accelerator: the network in hardware.
            images: how many there are.
            shared: whether images share noise at a site; as its kind has it if not given.
        """
        small = accelerator.manifest["cycles_per_image"] <= SMALL
        hw_images = 128 if small else 64
        asked = None if settings.draws == "independent" else settings.draws
        if settings.design == "independent":
            draws = _independent_draws(accelerator, 4 if small else 1, images)
        else:
            draws = dict.fromkeys(accelerator.sites, asked or (2 if small else 1))
        most = 1 if settings.device_seed is not None else 2 * MOST_DRAWS if small else MOST_DRAWS
        draws |= dict.fromkeys(JOINT, min(draws.values()))
        shared = shared or partial(shared_by_images, kind=settings.noise)
        of_device = [site for site in (*draws, *accelerator.weights) if shared(site)]
        draws |= dict.fromkeys(of_device, asked or most)
        return cls(draws, settings.hw_images or min(hw_images, images))


def _independent_draws(accelerator: Accelerator, least: int, images: int) -> dict[str, int]:
    """Return the draws of each site where software has random numbers of its own."""
    values = {name: site.pixels * site.channels for name, site in accelerator.sites.items()}
    draws, behind, every = {}, 0, sum(values.values())
    enough = min(MOST_DRAWS, math.ceil(MOST_LABELS / images))
    for name in reversed(values):
        behind += values[name]
        draws[name] = max(least, min(enough, every // behind))
    return draws
