"""Where the RTL first differs from golden, at a point of a walk."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from flow.rtl import simulate
from flow.rtl.divergence import Localisation, localise
from flow.rtl.scope import SITE
from flow.walks.points.point import NoisePoint
from flow.walks.walk import Walk


def localise_point(
    walk: Walk, place: NoisePoint, images: int, workdir: Path, **options: Any
) -> Localisation:
    """Simulate a single point of a walk again, and find its first difference.

    Args:
        walk: the walk, with its simulator.
        place: the point.
        images: number of images, from the first on.
        workdir: takes the simulator's files, and ``WAVEFORM``.
        options: as for ``localise``.

    Raises:
        RuntimeError: the simulator failed.
    """
    point = "without noise"
    if place.sigma:
        kind = walk.context.placement.kind
        point = f"{kind} noise of σ {place.sigma:.4g} at {place.site}"
    hardware = walk.context.designs.at(place.site)
    accelerator, golden = hardware.accelerator, hardware.golden
    if hardware.scope == SITE:
        point += f", simulated from behind {hardware.begins} on"
    held = simulate.images_held(accelerator)
    for first in range(0, images, held):
        stream = hardware.feed(walk.context.stream[first : min(first + held, images)])
        noise = walk.context.settings(place, first)
        (rtl,), _ = simulate.simulate(accelerator, hardware.simulation, stream, [noise], workdir)
        found = localise(
            accelerator, golden, stream, noise, rtl, workdir, first_image=first, **options
        )
        if found is not None:
            return replace(found, point=point)
    return Localisation(f"the point's {images:,} images without the points before it", None, point)
