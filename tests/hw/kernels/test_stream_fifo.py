"""The FIFO in RTL: every beat once, in order, and as many waiting as it says."""

import json

import numpy as np
import pytest

from sim.runner import REPOSITORY, run_sim

SOURCE = REPOSITORY / "hw" / "kernels" / "stream_fifo.sv"


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "width"), [(1, 3), (3, 8), (37, 20)])
def test_beats_come_out_in_order(depth, width, tmp_path):
    beats = np.random.default_rng(depth).integers(0, 1 << width, 4 * depth + 50)
    for idle, stall in ((0.0, 0.0), (0.0, 0.7), (0.7, 0.0), (0.5, 0.5)):
        job = {
            "beats": beats.reshape(-1, 1).tolist(),
            "count": len(beats),
            "in_bits": width,
            "idle": idle,
            "stall": stall,
        }
        (tmp_path / "in.json").write_text(json.dumps(job))
        run_sim(
            "stream_fifo",
            [SOURCE],
            "tests.benches.stream_bench,tests.benches.stream_fifo_bench",
            workdir=tmp_path,
            parameters={"DEPTH": depth, "WIDTH": width},
        )
        assert json.loads((tmp_path / "out.json").read_text()) == beats.tolist(), (idle, stall)
        assert json.loads((tmp_path / "waiting.json").read_text()) == depth + 1
