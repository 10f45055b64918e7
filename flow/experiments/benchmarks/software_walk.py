"""Speed of the walk in software against the straightforward way, in one run on one machine.

Straightforward: each point (site, σ) is a forward of the whole network over all images, as
``evaluate`` does it, a thousand images at a time. Ours, on the same points: the clean part once,
samples shared by the levels. And ours as the ``walk`` command does it: levels searched for, images
only as the interval needs them. The straightforward way is timed on every ``STRIDE``th level of
each site and counted for all (a point's time does not depend on σ); there the accuracies are
compared.
"""

import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from flow.callbacks import no_progress
from flow.experiments import software_walk
from flow.experiments.benchmarks.measure import Figure
from flow.experiments.benchmarks.settings import BenchWalkSettings
from flow.experiments.settings import SoftwareWalkSettings
from flow.models import evaluate, site_values, suitable_batch
from flow.noise import Noise, TorchSampler
from flow.statistics.estimate import Estimate
from flow.training.zoo import TrainedNetwork
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.point import NoisePoint
from flow.walks.software import BLOCK, Inference

LEVELS = 20
STRIDE = 5


@dataclass(frozen=True)
class Found:
    """Measurements."""

    points: int
    images: int
    straightforward: float
    """Seconds for all points, from those timed."""
    timed: int
    """Points timed the straightforward way."""
    grid: float
    """Seconds of ours for the same points."""
    searched: float
    """Seconds that the ``walk`` command measures, with global noise and every point stored."""
    searched_images: int
    widest: float
    """Widest half interval of μ that the search left, as a share of μ."""
    differing: int
    """Number of timed points whose accuracies differ beyond 95 % of sampling error."""
    largest: float
    """Largest difference in accuracy between both ways."""
    memory: float
    """Largest resident memory of the whole run, GB."""


def run(settings: BenchWalkSettings) -> Found:
    """Measure.

    Args:
        settings: settings of a walk with one kind of noise and levels ``auto``.
    """
    trained = TrainedNetwork.load(settings, settings.images, recipe=settings.recipe)
    network, inputs, images = trained.network, trained.inputs, trained.images
    with tempfile.TemporaryDirectory() as folder:
        own = SoftwareWalkSettings(**dict(settings) | {"out": Path(folder) / "walk"})
        walked = software_walk.walk(own, no_progress)
    (setting,) = settings.kinds
    (kind,) = walked.kinds.values()
    grid = {
        site: np.geomspace(entry.levels[0].sigma, entry.levels[-1].sigma, LEVELS)
        for site, entry in kind.sites.items()
    }
    started = time.perf_counter()
    ours = _ours(network, inputs, setting, grid)
    took = time.perf_counter() - started
    straight, differences = [], []
    sampler = TorchSampler(setting.seed + 1)  # other samples: only sampling error may differ
    for site, levels in grid.items():
        for sigma in levels[::STRIDE]:
            noise: dict[str, Noise] = {site: setting.noise(float(sigma))}
            started = time.perf_counter()
            labels = evaluate(network, inputs, noise=noise, sampler=sampler)
            straight.append(time.perf_counter() - started)
            one, two = (
                (row == images.known_labels).astype(float)
                for row in (ours[site, float(sigma)], labels)
            )
            error = (one - two).std() / np.sqrt(len(one))
            differences.append((abs(one.mean() - two.mean()), error))
    gaps, errors = np.array(differences).T
    points = LEVELS * len(grid)
    return Found(
        points=points,
        images=len(inputs),
        straightforward=float(np.mean(straight)) * points,
        timed=len(straight),
        grid=took,
        searched=walked.seconds["walk"],
        searched_images=walked.images_evaluated,
        widest=max(_width(entry.midpoint) for entry in kind.entries.values()),
        differing=int((gaps > ndtri(0.975) * np.maximum(errors, 1e-9)).sum()),
        largest=float(gaps.max()),
        memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    )


def figures(runs: list[Found], settings: BenchWalkSettings) -> list[Figure]:
    """Return the seconds of each way, and our speed-up, over several runs."""
    name = (
        f"walk in software, {settings.model} on {settings.dataset}, {runs[0].points} points of "
        f"{runs[0].images} images"
    )
    ways = {
        "a full forward per point": [found.straightforward for found in runs],
        "ours, the same points": [found.grid for found in runs],
        "ours, searched levels": [found.searched for found in runs],
    }
    naive, *faster = ways
    ratios = {
        f"{way} : {naive}, times faster": [
            a / b for a, b in zip(ways[naive], ways[way], strict=True)
        ]
        for way in faster
    }
    return [
        *(Figure.of(f"{name}: {way}", "s", values) for way, values in ways.items()),
        *(Figure.of(f"{name}: {way}", "ratio", values) for way, values in ratios.items()),
    ]


def _ours(network, inputs, setting: NoiseSetting, grid) -> dict[tuple[str, float], np.ndarray]:
    batch = suitable_batch(max(one.count for one in site_values(network, inputs[:1]).values()))
    measure = Inference(network, inputs, setting, batch)
    places = [NoisePoint(site, float(sigma)) for site, levels in grid.items() for sigma in levels]
    noises = {place: {place.site: setting.noise(place.sigma)} for place in places}
    blocks = [measure(block, noises) for block in range(-(-len(inputs) // BLOCK))]
    return {(p.site, p.sigma): np.concatenate([found[p] for found in blocks]) for p in places}


def _width(mu: Estimate | None) -> float:
    middle, low, high = mu or (None, None, None)
    if middle is None or low is None or high is None:
        return 0.0
    return max(high / middle - 1, 1 - low / middle)
