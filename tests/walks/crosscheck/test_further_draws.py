"""Further draws on a made-up network: spent where they decide, and within the budget."""

from collections.abc import Sequence
from itertools import count

import numpy as np
import pytest
from numpy.typing import NDArray

from flow.statistics.logistic import logistic
from flow.statistics.verdict import LEVEL, look_levels
from flow.walks.crosscheck import further_draws
from flow.walks.points.point import NoisePoint, Point
from tests.helpers.synthetic import CLASSES, CLEAN, GUESS

LEVELS = [0.25, 0.5, 1.0, 2.0, 4.0]


class Made:
    """Sides whose μ are known.

    `images_part` is the part of an error that draws share, `spread` the deviation of log μ between
    devices, 0 for noise that is fresh for each image.
    """

    def __init__(
        self,
        hardware: dict[str, float],
        images: int,
        images_part: float = 0.0,
        draws: int = 1,
        rtl: int = 10,
        spread: float = 0.0,
    ) -> None:
        self.hardware, self.images, self.part = hardware, images, images_part
        self.spread = spread
        self.labels: NDArray[np.int64] = np.arange(images) % CLASSES
        self.measured: list[tuple[str, NoisePoint]] = []
        places = [NoisePoint("", 0.0)]
        places += [NoisePoint(s, v, d) for s in hardware for d in range(draws) for v in LEVELS]
        self.points = self.run_models(places)
        self.points += [
            Point(p.site, p.kind, p.sigma, p.seed, "rtl", p.predictions[:rtl], 0)
            for p in self.points
            if p.side == "golden" and p.seed == 0 and rtl
        ]
        self.measured.clear()

    def _side(self, side: str, places: Sequence[NoisePoint]) -> list[Point]:
        found = []
        for place in places:
            self.measured.append((side, place))
            mu = self.hardware[place.site] if place.site and side == "golden" else 1.0
            device = np.random.default_rng([len(side), place.draw, 9]).standard_normal()
            mu *= np.exp(self.spread * device)
            accuracy = float(logistic(place.sigma, mu, 2.0, CLEAN, GUESS)) if place.site else CLEAN
            # the same noise at every level of a draw, as in a walk; without noise, sides are equal
            where = [len(side), *place.site.encode()] if place.site else [0]
            fixed, own = (
                np.random.default_rng([*where, draw]).uniform(size=self.images)
                for draw in (0, 1 + place.draw)
            )
            shared = np.random.default_rng([*where, 7]).uniform(size=self.images) < self.part
            right = np.where(shared, fixed, own) < accuracy
            labels = np.where(right, self.labels, (self.labels + 1) % CLASSES).astype(np.uint8)
            kind = "fixed-pattern" if self.spread else "additive"
            found.append(Point(place.site, kind, place.sigma, place.draw, side, labels))
        return found

    def run_models(self, places: Sequence[NoisePoint]) -> list[Point]:
        return self._side("golden", places) + self._side("software", places)

    def look(self, budget: float = 10.0):
        return further_draws.draw_further(
            self, self.points, GUESS, budget, design="independent", margin=0.1
        )


@pytest.mark.slow
def test_draws_decide_what_they_can() -> None:
    """Undecided at first; more draws bring the words that are true, at the sites they were for."""
    made = Made({"easy": 1.0, "apart": 1.25, "clear": 1.8}, images=700)
    points, check, spent = made.look()
    words = {site.site: site.verdict for site in check.sites}
    assert words == {"easy": "agree", "apart": "disagree", "clear": "disagree"}
    assert set(spent.draws) == {"easy", "apart"}  # at the other, nothing was open
    assert 1 < spent.looks <= 4 and spent.ended == "every site is decided"
    assert check.level in look_levels() and check.level < LEVEL
    for site in check.sites:
        assert site.figures.draws == 1 + spent.draws.get(site.site, 0)
    assert len(points) == len(made.points) + len(made.measured)


@pytest.mark.slow
def test_draw_numbers_go_on_and_nothing_is_measured_twice() -> None:
    made = Made({"easy": 1.0}, images=600, draws=2)
    _, check, spent = made.look()
    assert len(set(made.measured)) == len(made.measured)
    draws = sorted({place.draw for _, place in made.measured})
    assert draws == list(range(2, 2 + spent.draws["easy"]))
    assert check.sites[0].figures.draws in (8, 32, 64)  # fixed sizes, whatever the figures are


def test_no_budget_no_draws_and_all_of_the_level() -> None:
    made = Made({"easy": 1.0}, images=600)
    points, check, spent = made.look(0.0)
    assert not made.measured and points == made.points and check.level == LEVEL
    assert spent.looks == 1 and spent.draws == {} and "no budget" in spent.ended


@pytest.mark.slow
def test_the_budget_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which each reading takes 20 s: the first chunks fit, the others do not."""
    clock = count(step=20)
    monkeypatch.setattr(further_draws.time, "monotonic", lambda: next(clock))
    made = Made({"easy": 1.0, "other": 1.0}, images=300)
    _, check, spent = made.look(1.0)
    assert sum(spent.draws.values()) == 2 and spent.ended == "the budget was spent"
    assert check.verdict == "undecided" and spent.looks == 2


def test_no_draws_where_images_are_missing() -> None:
    """Nearly all of the error is the images': the site is left, and the images are named."""
    made = Made({"easy": 1.0}, images=600, images_part=0.9, draws=4)
    _, check, spent = made.look()
    need = check.sites[0].to_json()["need"]
    assert not made.measured and "would not decide" in spent.ended
    assert need["draws"] is None and need["images"] > 600


def test_no_draws_where_the_hardware_is_not_known() -> None:
    for rtl in (0, 10):
        made = Made({"easy": 1.0}, images=600, rtl=rtl)
        if rtl:
            made.points = [
                Point(p.site, p.kind, p.sigma, p.seed, p.side, p.predictions, 1 if p.site else 0)
                if p.side == "rtl"
                else p
                for p in made.points
            ]
        _, check, spent = made.look()
        assert not spent.draws and check.verdict == ("disagree" if rtl else "undecided")


@pytest.mark.slow
def test_devices_are_drawn_until_they_decide() -> None:
    """From one device, of which nothing follows, to as many as it takes."""
    made = Made({"easy": 1.0}, images=1000, spread=0.1)
    _, check, spent = made.look()
    assert check.sites[0].verdict == "agree" and check.sites[0].figures.devices in (16, 64)
    assert spent.looks > 2 and spent.ended == "every site is decided"


def test_a_fixed_device_is_not_drawn_again() -> None:
    made = Made({"easy": 1.0}, images=600, spread=0.1)
    again = [
        Point(p.site, p.kind, p.sigma, 1, p.side, p.predictions)
        for p in made.points
        if p.site and p.side != "rtl"
    ]
    made.points += again
    _, check, spent = made.look()
    assert not made.measured and "would not decide" in spent.ended
    assert check.verdict == "undecided" and "it is fixed" in check.sites[0].reason
