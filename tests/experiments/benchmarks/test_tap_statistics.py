"""Samples that the tap's RTL draws are what the design asks, and the twin's."""

import numpy as np
import pytest

from flow.experiments.benchmarks import tap_statistics
from flow.noise.gaussian import FRACTION_BITS
from flow.noise.hardware.fixed_point import draw_samples

IMAGES = 625
"""Of 1,600 elements: 10^6 samples."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> list[tap_statistics.Samples]:
    return tap_statistics.draws(IMAGES, tmp_path_factory.mktemp("tap"))


@pytest.mark.slow
def test_statistics(drawn):
    figures = list(tap_statistics.describe(*drawn))
    assert len(figures) == 15
    assert not [figure for figure in figures if not figure.holds]


@pytest.mark.slow
def test_they_are_the_twins(drawn):
    for draw, z in enumerate(drawn):
        for site in range(2):
            size = (IMAGES, tap_statistics.ELEMENTS)
            twin = draw_samples(tap_statistics.SEED, site, draw, 0, *size).numpy()
            assert np.array_equal(z[site] * (1 << FRACTION_BITS), twin)


@pytest.mark.slow
def test_a_worse_distribution_would_be_found(drawn):
    z1, z2 = drawn
    for worse in (z2 * 1.01, z2 + 0.01, np.sign(z2), np.repeat(z2[..., ::2], 2, -1)):
        assert not all(figure.holds for figure in tap_statistics.describe(z1, worse))
