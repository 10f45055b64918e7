"""The verdict on a walk of ADC bits, and the fewest bits."""

import numpy as np
import pytest

from flow.statistics.midpoint import Curve
from flow.walks.crosscheck.bits import fewest_bits, judge


def curve(accuracies: dict[int, float], clean: float = 0.9, images: int = 1000) -> Curve:
    """A curve whose images are right from the first on, so that all are paired."""

    def right(share: float) -> np.ndarray:
        return (np.arange(images) < round(share * images)).astype(np.float32)

    return Curve(
        levels=np.array(sorted(accuracies), dtype=float),
        correct=np.stack([right(accuracies[bits]) for bits in sorted(accuracies)]),
        clean=right(clean),
        seeds=np.ones(len(accuracies)),
    )


def test_the_fewest_bits_and_their_interval():
    falling = {1: 0.2, 2: 0.5, 3: 0.88, 4: 0.893, 5: 0.9, 6: 0.9}
    found = fewest_bits(curve(falling), 0.01)
    assert (found.value, found.low, found.high) == (4, 4, 5)
    assert str(found) == "4 [4, 5]"
    assert str(fewest_bits(curve(falling), 0.5)) == "2"
    few = fewest_bits(curve(falling, images=100), 0.01)
    assert few.value == 4 and few.low == 3 and few.high is None
    assert str(few) == "4 [3, > 6]"
    never = fewest_bits(curve({1: 0.1, 2: 0.2}), 0.01)
    assert never.value is never.low is None and str(never) == "> 2"


def test_a_dip_counts():
    """Bits above the fewest all lose little."""
    assert fewest_bits(curve({3: 0.9, 4: 0.7, 5: 0.9}), 0.01).value == 5


def test_the_interval_covers():
    """The truth is 5 bits; two of a hundred intervals miss it on either side at most."""
    rng = np.random.default_rng(7)
    truth = {3: 0.80, 4: 0.885, 5: 0.895, 6: 0.8985, 7: 0.8999, 8: 0.9}
    missed, count = 0, 400
    for _ in range(count):
        uniform = rng.random(1000)
        rows = np.stack([uniform < share for share in truth.values()]).astype(np.float32)
        found = fewest_bits(
            Curve(np.array([*truth], float), rows, (uniform < 0.9) * 1.0, np.ones(len(truth))),
            0.01,
        )
        missed += not ((found.low or 99) <= 5 <= (found.high or 99))
    assert missed / count < 0.05


@pytest.mark.parametrize(
    ("flipped", "images", "verdict"),
    [(0, 1000, "agree"), (2, 1000, "agree"), (60, 1000, "disagree"), (5, 500, "undecided"),
     (0, 30, "undecided")],
)  # fmt: skip
def test_verdicts(flipped, images, verdict):
    software = np.ones(images)
    golden = software.copy()
    golden[:flipped] = 0
    said, reason = judge([(software, software), (software, golden)], 0.01, sites=4)
    assert said == verdict and "± 1" in reason
