"""Draws by torch are NumPy's, bit for bit."""

import numpy as np
import pytest
import torch

from flow.device import CPU
from flow.noise import torch_draws
from flow.noise.gaussian import TABLE, entries, gaussian
from flow.noise.philox import noise_words
from flow.noise.quantile_table import QuantileTable

SKEWED = QuantileTable.of(-np.log(np.linspace(1, 0.001, 1000, dtype=np.float32))).entries
PLACES = [
    (0, 0, 0, 0, 7, 3),
    (0xFEDCBA9876543210, 3, 1, 0xFFFFFFFE, 5, 1001),
    ((1 << 64) - 1, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 3, 4097),
    (7, 5, 1 << 15, 12, 1, 4),
]


@pytest.mark.parametrize("place", PLACES)
def test_words_and_samples_are_numpy_s(place, monkeypatch):
    words = noise_words(*place)
    assert np.array_equal(torch_draws.noise_words(*place, CPU).numpy(), words)
    # several steps
    monkeypatch.setattr(torch_draws, "_SHARE", 2000)
    for table in (TABLE, SKEWED):
        z = torch_draws.samples(*place, table, CPU)
        assert z.dtype == torch.int32 and np.array_equal(z.numpy(), gaussian(words, table))


def test_every_segment_and_both_of_its_ends():
    """Words of every length, and those that float32 would round up into the next segment."""
    ones = [(1 << k) - 1 << shift for k in range(1, 33) for shift in range(33 - k)]
    powers = [(1 << k) + d for k in range(32) for d in (-1, 0, 1)]
    edges = [m + d for m in range(0, 1 << 31, 1 << 22) for d in (-1, 0, 1) if m + d >= 0]
    words = np.array([*ones, *powers, *edges], dtype=np.int64)
    words = np.concatenate([words, words ^ 1 << 31]) & 0xFFFFFFFF
    for table in (TABLE, SKEWED):
        found = torch_draws.gaussian(torch.from_numpy(words), torch.from_numpy(entries(table)))
        assert np.array_equal(found.numpy(), gaussian(words.astype(np.uint32), table))
