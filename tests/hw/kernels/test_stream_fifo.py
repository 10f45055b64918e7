"""The FIFO in RTL: every beat once, in order, and as many waiting as it says."""

import numpy as np
import pytest

from sim.runner import REPOSITORY
from tests.helpers.variants import Variant, simulate

SOURCE = REPOSITORY / "hw" / "kernels" / "stream_fifo.sv"
SIZES = [(1, 3), (3, 8), (37, 20)]
"""Depth and width."""
STALLS = ((0.0, 0.0), (0.0, 0.7), (0.7, 0.0), (0.5, 0.5))


def beats_of(depth: int, width: int):
    return np.random.default_rng(depth).integers(0, 1 << width, 4 * depth + 50)


def variant(depth: int, width: int) -> Variant:
    beats = beats_of(depth, width)
    job = {"beats": beats.reshape(-1, 1).tolist(), "count": len(beats), "in_bits": width}
    jobs = [job | {"idle": idle, "stall": stall} for idle, stall in STALLS]
    return Variant({"DEPTH": depth, "WIDTH": width}, jobs)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    variants = {size: variant(*size) for size in SIZES}
    folder = tmp_path_factory.mktemp("stream_fifo")
    return simulate("stream_fifo", [SOURCE], "stream_fifo_bench", variants, folder)


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "width"), SIZES)
def test_beats_come_out_in_order(depth, width, results):
    beats = beats_of(depth, width).tolist()
    for stalls, out in zip(STALLS, results[depth, width], strict=True):
        assert out["beats"] == beats, stalls
        assert out["waiting"] == depth + 1
