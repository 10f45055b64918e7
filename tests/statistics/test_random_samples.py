"""Figures of random samples, where there are few in a row."""

import numpy as np

from flow.statistics.random_samples import figures


def test_rows_of_one_sample_have_figures_without_neighbours():
    samples = np.random.default_rng(0).normal(size=(1000, 1)).astype(np.float32)
    found = {figure.name: figure for figure in figures(samples)}
    assert all(figure.holds for figure in found.values())
    assert "correlation of neighbouring rows" in found
    assert not any("squares" in name for name in found)
