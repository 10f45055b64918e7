"""Points of a made-up network whose midpoints are known."""

from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from flow.statistics.logistic import logistic
from flow.statistics.midpoint import Curve
from flow.walks.crosscheck.check import cross_check
from flow.walks.points.point import Point

CLEAN, CLASSES = 0.88, 10
GUESS = 1 / CLASSES

independent_check = partial(cross_check, design="independent", margin=0.1, resamples=199)
"""The cross-check of golden against software with random numbers of its own.

Its intervals are of 199 resamples: their ends vary by 3 % of the width more than those of 999.
"""


def right(rng: np.random.Generator, images: int, accuracy: NDArray, shared: float) -> NDArray:
    """Which images are right at each accuracy, bool [points, images].

    Each point has exactly its accuracy in the mean; `shared` (0 to 1) is the correlation of an
    image's difficulty between points (a Gaussian copula).
    """
    image = rng.standard_normal(images)
    point = rng.standard_normal((len(accuracy), images))
    return ndtr(np.sqrt(shared) * image + np.sqrt(1 - shared) * point) < accuracy[:, None]


def levels_around(mu: float, k: float, count: int = 9) -> NDArray:
    """Levels over the middle 96 % of the fall."""
    return np.geomspace(mu / 49 ** (1 / k), mu * 49 ** (1 / k), count)


def curve(
    rng: np.random.Generator,
    mu: float,
    k: float,
    levels: NDArray,
    *,
    images: int = 2000,
    shared: float = 0.5,
    draws: int = 1,
) -> Curve:
    accuracy = logistic(levels, mu, k, CLEAN, GUESS)
    points = np.concatenate([[CLEAN], np.tile(accuracy, draws)])
    rows = right(rng, images, points, shared).astype(np.float32)
    correct = rows[1:].reshape(draws, len(levels), images).mean(axis=0)
    return Curve(levels, correct, rows[0], np.full(len(levels), draws))


def walk(
    sites: Mapping[str, tuple[float, float]],
    *,
    shift: Mapping[str, float] | None = None,
    levels: NDArray | None = None,
    images: int = 2000,
    rtl: int = 128,
    seed: int = 0,
) -> tuple[list[Point], NDArray[np.int64]]:
    """All sides of a walk, and the labels.

    Args:
        sites: (μ, k) of each.
        shift: factor on μ of the hardware's sides, by site.
        levels: of every site; `levels_around` μ if not given.
        images: of software and golden.
        rtl: images of the RTL side, equal to golden.
        seed: of everything.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, images)
    image = rng.standard_normal(images)
    points: list[Point] = []

    def predict(accuracy: float, draw: NDArray) -> NDArray[np.uint8]:
        hit = ndtr(np.sqrt(0.5) * (image + draw)) < accuracy
        return np.where(hit, labels, (labels + 1) % CLASSES).astype(np.uint8)

    def add(site: str, sigma: float, mu: float, k: float) -> None:
        ours, theirs = rng.standard_normal((2, images))
        if not site:
            ours = theirs
        software = float(logistic(sigma, mu, k, CLEAN, GUESS))
        hardware = float(logistic(sigma, mu * (shift or {}).get(site, 1.0), k, CLEAN, GUESS))
        golden = predict(hardware, theirs)
        sides = {
            "software": predict(software, ours),
            "software-hwdraws": predict(software, theirs),
            "golden": golden,
            "rtl": golden[:rtl],
        }
        points.extend(
            Point(site, "additive", sigma, 0, side, predictions, 0 if side == "rtl" else None)
            for side, predictions in sides.items()
            if predictions.size
        )

    add("", 0.0, 1.0, 1.0)
    for site, (mu, k) in sites.items():
        for sigma in levels_around(mu, k) if levels is None else levels:
            add(site, float(sigma), mu, k)
    return points, labels


DEVICE_SPREAD = 0.18
"""Deviation of log μ between devices: at k = 2 one of 0.07 in the accuracy near the midpoint."""


def device_walk(
    devices: int,
    *,
    shift: float = 1.0,
    site: str = "fc0.weight",
    kind: str = "additive",
    spread: float = DEVICE_SPREAD,
    images: int = 300,
    rtl: int = 0,
    seed: int = 0,
) -> tuple[list[Point], NDArray[np.int64]]:
    """All sides of a walk at one site whose images share their noise, and the labels.

    Args:
        devices: of each side; software with the hardware's draws has the hardware's.
        shift: μ of the hardware; that of software is 1.
        site: the tap.
        kind: of noise.
        spread: deviation of log μ between devices.
        images: of software and golden.
        rtl: images of the RTL side, of the first device, equal to golden.
        seed: of everything.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, images)
    image = rng.standard_normal(images)
    points: list[Point] = []

    def add(side: str, where: str, sigma: float, draw: int, hit: NDArray) -> None:
        predictions = np.where(hit, labels, (labels + 1) % CLASSES).astype(np.uint8)
        points.append(Point(where, kind, sigma, draw, side, predictions))
        if side == "golden" and rtl and draw == 0:
            points.append(Point(where, kind, sigma, 0, "rtl", predictions[:rtl], 0))

    clean = ndtr(np.sqrt(0.5) * (image + rng.standard_normal(images))) < CLEAN
    for side, mu in (("software", 1.0), ("golden", shift)):
        names = [side] if side == "software" else [side, "software-hwdraws"]
        add(side, "", 0.0, 0, clean)
        for draw in range(devices):
            own = mu * np.exp(spread * rng.standard_normal())
            # an image is easy or hard for a device as well, and so at every level
            ease = ndtr(np.sqrt(0.5) * (image + rng.standard_normal(images)))
            for sigma in levels_around(1.0, 2.0):
                hit = ease < float(logistic(sigma, own, 2.0, CLEAN, GUESS))
                for name in names:
                    add(name, site, float(sigma), draw, hit)
    return points, labels
