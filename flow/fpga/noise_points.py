"""Noise settings under which hardware is compared with golden."""

from flow.compiler.accelerator import Accelerator
from flow.noise import Noise
from flow.noise.hardware.registers import TapSettings

KIND = "mixed"
"""Kind of noise, which draws both samples of an element."""
SEED = 1


def points(accelerator: Accelerator) -> dict[str, dict[str, TapSettings]]:
    """Return noise settings by name: none, noise at each site, and at all sites."""
    each = {
        site: TapSettings.of(Noise.at(KIND, tap.std), tap.scale, SEED, image_base=0)
        for site, tap in accelerator.sites.items()
    }
    alone = {site: {site: setting} for site, setting in each.items()}
    return {"clean": {}, **alone, "every site": each}
