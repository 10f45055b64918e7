"""Width converter in RTL: the bits of the stream stay, for widths that divide and that do not."""

import json

import numpy as np
import pytest

from sim import streams
from sim.runner import REPOSITORY, run_sim

SOURCE = REPOSITORY / "hw" / "kernels" / "dwc_axi.sv"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("in_bits", "out_bits"),
    [(1, 1), (24, 3), (3, 24), (10, 4), (6, 15), (416, 52), (8, 128), (7, 9)],
)
def test_bits_stay_in_order(in_bits, out_bits, tmp_path):
    rng = np.random.default_rng(in_bits)
    bits = rng.integers(0, 2, 4 * int(np.lcm(in_bits, out_bits)))
    for idle, stall in ((0.0, 0.0), (0.4, 0.6)):
        job = {
            "beats": bits.reshape(-1, in_bits).tolist(),
            "count": len(bits) // out_bits,
            "in_bits": 1,
            "idle": idle,
            "stall": stall,
        }
        (tmp_path / "in.json").write_text(json.dumps(job))
        run_sim(
            "dwc_axi",
            [SOURCE],
            "tests.benches.stream_bench",
            workdir=tmp_path,
            parameters={"IBITS": in_bits, "OBITS": out_bits},
        )
        out = json.loads((tmp_path / "out.json").read_text())
        found = np.concatenate([streams.unpack(beat, out_bits, 1, False) for beat in out])
        assert (found == bits).all(), (idle, stall)
