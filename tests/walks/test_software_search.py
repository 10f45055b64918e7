"""The search for levels in software, of made-up networks whose midpoints are known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import ndtri

from flow.noise import derive_seed
from flow.statistics.level_search import Search
from flow.statistics.logistic import logistic
from flow.walks import software
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.points.placement import Placement
from flow.walks.points.store import Store
from flow.walks.software import Budget, SoftwareWalk
from flow.walks.summaries.software import GLOBAL
from tests.helpers.synthetic import CLASSES, CLEAN, GUESS


class Classifier:
    """Right with the probability of a logistic of known μ; an image's difficulty is its own."""

    spread = 0.0
    """Deviation of log μ between noise draws."""

    def __init__(self, truth: dict[str, tuple[float, float]], labels, seed: int) -> None:
        self.truth, self.labels, self.seed, self.calls = truth, labels, seed, []
        self.difficulty = np.random.default_rng(seed).standard_normal(len(labels))

    def __call__(self, block, noises):
        rows = slice(block * software.BLOCK, (block + 1) * software.BLOCK)
        labels, difficulty = self.labels[rows], self.difficulty[rows]
        self.calls += [(block, place) for place in noises]
        found = {}
        for place in noises:
            share = CLEAN
            if place.site:
                mu, k = self.truth[place.site]
                mu *= np.exp(self.spread * np.random.default_rng(place.draw).standard_normal())
                share = float(logistic(place.sigma, mu, k, CLEAN, GUESS))
            key = [self.seed, block, place.draw, derive_seed(place.site, place.sigma)]
            noise = np.random.default_rng(key).standard_normal(len(labels))
            hit = np.sqrt(0.5) * (difficulty + noise) < ndtri(share)
            found[place] = np.where(hit, labels, (labels + 1) % CLASSES).astype(np.uint8)
        return found


def made(
    truth, folder: Path, images: int = 3000, budget: Budget | None = None, seed: int = 0
) -> SoftwareWalk:
    labels = np.random.default_rng(seed).integers(0, CLASSES, images)
    return SoftwareWalk(
        labels=labels,
        inputs=torch.zeros(images, 1, 1, 1),
        placement=Placement(
            NoiseSetting("additive", seed=seed), [site for site in truth if site != GLOBAL]
        ),
        measure=Classifier(truth, labels, seed),
        store=Store(folder),
        identity={},
        budget=budget or Budget(),
    )


def searches(walk: SoftwareWalk, truth, **changes) -> dict[str, Search]:
    options = {
        "guess": GUESS, "images": [1000, 2000, 3000], "draws": 2, "precision": 0.05,
    } | changes  # fmt: skip
    return {site: Search(**options) for site in truth}


@pytest.mark.parametrize("kind", ["additive", "fixed-pattern"])
def test_a_search_is_precise_with_devices_in_its_interval(tmp_path, kind):
    """One device is precise about itself alone: where images share their noise, more are drawn."""
    truth = {"a": (1.0, 2.0)}
    walk = made(truth, tmp_path)
    walk.placement, walk.measure.spread = Placement(NoiseSetting(kind)), 0.15
    (search,) = (found := searches(walk, truth, draws=12, precision=0.12)).values()
    walk.run(found, lambda ended: None)
    assert search.state == "precise"
    if kind == "additive":
        assert search.wanted.draws == 1 and search.midpoint.devices is None
    else:
        assert search.wanted.draws == search.midpoint.devices > 4
        assert search.midpoint.lo < 1 < search.midpoint.hi
        assert search.images_used == 1000  # it is not images that were missing


@pytest.mark.slow
def test_further_images_go_to_the_levels_around_half_way(tmp_path):
    truth = {"a": (1.0, 2.0)}
    walk = made(truth, tmp_path, images=8000)
    options = {"images": range(1000, 8001, 1000), "precision": 0.02, "hint": 3.0}
    (search,) = (found := searches(walk, truth, **options)).values()
    walk.run(found, lambda ended: None)
    efforts = search.wanted.efforts
    many = [level for level, effort in efforts.items() if effort.images > 1000]
    assert len(efforts) >= 8 and 2 <= len(many) <= 4
    assert search.images_used == search.wanted.images == 8000
    after = next(place for place, level in enumerate(efforts) if level > search.midpoint.mu)
    assert {effort.images for effort in list(efforts.values())[after - 1 : after + 1]} == {8000}
    assert walk.budget.used < 8000 * 2 * 2 + 4 * 1000 * 12


@pytest.mark.slow
def test_known_midpoints_are_recovered_however_far_from_the_hint(tmp_path):
    truth = {"a": (0.02, 2.0), "b": (1.0, 3.0), "c": (500.0, 1.5), "steep": (3.0, 40.0)}
    truth |= {"never": (1e7, 2.0), "at once": (1e-7, 2.0), GLOBAL: (0.3, 4.0)}
    walk = made(truth, tmp_path)
    found = searches(walk, truth)
    walk.run(found, lambda ended: None)
    for site, (mu, k) in truth.items():
        search = found[site]
        if site in ("never", "at once"):
            assert search.state == "bound" and search.midpoint.mu is None
            assert search.midpoint.bound == ("above" if site == "never" else "below")
            assert search.images_used == 1000  # more images would not have told more
            continue
        assert search.midpoint.mu == pytest.approx(mu, rel=0.2 / k), site
        assert search.state in ("precise", "exhausted")
        if search.state == "precise":
            assert search.midpoint.hi / search.midpoint.mu <= 1.05
        assert search.midpoint.misfit < 0.06
    assert found["steep"].state == found["b"].state == "precise"


@pytest.mark.slow
def test_intervals_cover_although_the_search_stops_when_they_are_narrow(tmp_path):
    """95 % of 120; the limit is 3 binomial standard errors below."""
    truth = {f"s{i}": (float(np.exp(0.02 * i)), 1.5 + 0.02 * i) for i in range(120)}
    walk = made(truth, tmp_path, seed=3)
    found = searches(walk, truth, precision=0.08, draws=1)
    walk.run(found, lambda ended: None)
    held = [s.midpoint.lo <= truth[n][0] <= s.midpoint.hi for n, s in found.items()]
    assert np.mean(held) >= 0.89
    images = {s.images_used for s in found.values()}
    assert len(images) > 1, "images are dropped where the interval is narrow already"


def test_budget_of_images_ends_a_walk_with_what_is_known(tmp_path):
    truth = {"a": (1.0, 2.0), "b": (2.0, 2.0)}
    walk = made(truth, tmp_path, 20_000, Budget(images=60_000))
    found = searches(walk, truth, images=list(range(1000, 20_001, 1000)), precision=1e-3)
    walk.run(found, lambda ended: None)
    assert {search.state for search in found.values()} == {"budget"}
    assert 60_000 <= walk.budget.used < 60_000 + 2 * 24 * 1000
    assert all(search.midpoint.mu is not None for search in found.values())
