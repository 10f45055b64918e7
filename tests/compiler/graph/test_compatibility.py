"""Bounds by which a layer is found to fit."""

from itertools import product

import numpy as np
import pytest
import torch

from flow.compiler.graph.compatibility import _largest_accumulator
from flow.models.planes import Grid
from flow.models.qonnx.streams import Weights


@pytest.mark.parametrize("ends", [(0, 3), (-2, 1), (-4, 3)])
def test_the_largest_accumulator_is_the_largest_of_any_partial_sum(ends):
    matrix = np.random.default_rng(0).integers(-3, 4, (3, 4))
    weights = Weights(torch.from_numpy(matrix).float(), torch.ones(3), 3)
    # a value left out of a partial sum counts as 0
    inputs = np.array(list(product(sorted({*ends, 0}), repeat=4)))
    assert _largest_accumulator(weights, Grid(1.0, *ends, False)) == np.abs(inputs @ matrix.T).max()
