"""A common step of two streams: exact where a ratio is small, and near it elsewhere."""

import numpy as np
import pytest

from flow.models.steps import MOST_GAIN, common_multiples, common_step, common_steps


@pytest.mark.parametrize(
    ("left", "right", "gains"),
    [(0.25, 0.25, (1, 1)), (0.3, 0.1, (3, 1)), (0.1, 0.25, (2, 5)), (0.7, 0.3, (7, 3))],
)
def test_ratios_of_small_numbers_are_exact(left, right, gains):
    # as float32 holds them
    left, right = float(np.float32(left)), float(np.float32(right))
    found, step = common_step(left, right)
    assert found == gains
    assert step * found[0] == pytest.approx(left, rel=2**-22)
    assert step * found[1] == pytest.approx(right, rel=2**-22)


def test_other_ratios_are_near():
    rng = np.random.default_rng(0)
    for left, right in np.exp(rng.normal(size=(200, 2)) * 2):
        gains, step = common_step(left, right)
        assert min(gains) >= 1 and max(gains) <= MOST_GAIN
        assert np.allclose(np.multiply(gains, step), (left, right), rtol=2**-15, atol=0)
    assert common_step(1.0, 1e9)[0] == (1, 10**9)


def test_steps_of_channels_may_be_negative():
    left, right = np.array([0.5, -0.25, 3.0]), np.array([-0.125])
    gains, step = common_steps(left, right)
    assert gains.tolist() == [[4, -2, 24], [-1, -1, -1]]
    assert np.array_equal(gains * step, [left, [-0.125] * 3])


def test_steps_of_several_streams_are_multiples_of_one():
    assert common_multiples([0.1, 0.25, 0.1])[0] == [2, 5, 2]
    for steps in np.exp(np.random.default_rng(1).normal(size=(50, 3))):
        gains, step = common_multiples(steps)
        assert np.allclose(np.multiply(gains, step), steps, rtol=2**-11, atol=0)
        assert max(gains) <= 1 << 14
        # as near as the readers' bits allow
        gains, step = common_multiples(steps, [1023, 511, 1023])
        if max(gains) <= 1023:
            assert gains[1] <= 511
            assert np.allclose(np.multiply(gains, step), steps, rtol=2**-6.5, atol=0)
    assert common_multiples([0.3, 0.17, 1.0], [100, 100, 100])[0] == [30, 17, 100]
    # others are too far off
    assert common_multiples([0.3, 0.17], [2, 2]) == common_multiples([0.3, 0.17])
