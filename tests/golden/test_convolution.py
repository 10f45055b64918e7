"""Golden's convolutions, on floats and on bytes, against sums of integers."""

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from flow.golden.layers import ByteConvolution, Convolution, Window


def integers(a: np.ndarray, weights: np.ndarray, window: Window) -> np.ndarray:
    """int64 [N, OH, OW, MH]."""
    reach = [d * (k - 1) + 1 for k, d in zip(window.kernel, window.dilation, strict=True)]
    views = sliding_window_view(a, reach, (1, 2))
    views = views[:, :: window.stride[0], :: window.stride[1]]
    views = views[..., :: window.dilation[0], :: window.dilation[1]]
    return np.einsum("nhwcij,ocij->nhwo", views, weights)


CASES = {
    "8 bits, signed": (-128, 127, 1, Window((3, 3), (1, 1), (1, 1))),
    "8 bits, unsigned": (0, 255, 7, Window((3, 2), (2, 1), (1, 1))),
    "2 bits": (-1, 1, 1, Window((3, 3), (1, 1), (1, 1))),
    "4 bits, dilated": (0, 15, 7, Window((2, 3), (1, 2), (2, 1))),
    "largest weights": (-128, 127, 64, Window((3, 3), (1, 1), (1, 1))),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("channels", [1, 3, 64])
def test_equals_sums_of_integers(case, channels):
    low, high, largest, window = CASES[case]
    rng = np.random.default_rng(1)
    a = rng.integers(low, high + 1, (4, 9, 8, channels))
    a[0], a[1] = high, low
    weights = rng.integers(-largest, largest + 1, (10, channels, *window.kernel))
    weights[0], weights[1] = largest, -largest
    filters = torch.from_numpy(weights).float().contiguous(memory_format=torch.channels_last)
    floats = Convolution("unit", ("a",), "acc", filters, window)
    bytes_ = ByteConvolution.of(floats, low, high)
    assert isinstance(bytes_, ByteConvolution)
    expected = integers(a, weights, window)
    for layer in (floats, bytes_):
        assert np.array_equal(layer(torch.from_numpy(a).float()).numpy(), expected)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("channels", [1, 3, 64])
def test_depth_wise_equals_sums_of_integers(case, channels):
    low, high, largest, window = CASES[case]
    rng = np.random.default_rng(2)
    a = rng.integers(low, high + 1, (4, 9, 8, channels))
    a[0], a[1] = high, low
    weights = rng.integers(-largest, largest + 1, (channels, 1, *window.kernel))
    weights[0] = largest
    filters = torch.from_numpy(weights).float()
    layer = Convolution("unit", ("a",), "acc", filters, window, depth_wise=True)
    assert ByteConvolution.of(layer, low, high) is layer
    whole = np.zeros((channels, channels, *window.kernel), np.int64)
    whole[range(channels), range(channels)] = weights[:, 0]
    expected, values = integers(a, whole, window), torch.from_numpy(a).float()
    for same in (layer, layer.with_matrix(layer.matrix)):
        assert np.array_equal(same(values).numpy(), expected)
        assert np.array_equal(same._by_products(values).numpy(), expected)
    assert layer.matrix.shape == (weights[0].size, channels)


@pytest.mark.parametrize(("low", "high", "largest"), [(-256, 255, 1), (0, 255, 65), (0, 3, 128)])
def test_what_does_not_fit_bytes_stays_in_float(low, high, largest):
    floats = Convolution(
        "unit", ("a",), "acc", torch.full((2, 3, 3, 3), largest), CASES["2 bits"][3]
    )
    assert ByteConvolution.of(floats, low, high) is floats
