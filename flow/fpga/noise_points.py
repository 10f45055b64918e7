"""Noise settings under which hardware is compared with golden."""

from flow.compiler.accelerator import Accelerator
from flow.noise import Noise
from flow.noise.hardware.kinds import parts_of
from flow.noise.hardware.registers import TapSettings

SEED = 1


def points(accelerator: Accelerator) -> dict[str, dict[str, TapSettings]]:
    """Return noise settings by name: none, noise at each site, and at all sites."""
    # mixed noise draws both samples of an element, where taps can
    kind = "mixed" if "multiplies" in parts_of(accelerator.manifest["kinds"]) else "additive"
    each = {
        site: TapSettings.of(
            Noise.at(kind, tap.std), tap.scale, SEED, image_base=0, sigma_bits=tap.sigma_bits
        )
        for site, tap in accelerator.sites.items()
    }
    alone = {site: {site: setting} for site, setting in each.items()}
    return {"clean": {}, **alone, "every site": each}
