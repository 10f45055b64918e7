"""Width converter in RTL: bits stay, for widths that divide and that do not, a beat a clock."""

import numpy as np
import pytest

from sim import streams
from sim.runner import REPOSITORY
from tests.helpers.variants import STALLS, Variant, simulate

SOURCE = REPOSITORY / "hw" / "kernels" / "dwc_axi.sv"
WIDTHS = [(1, 1), (24, 3), (3, 24), (10, 4), (6, 15), (416, 52), (8, 128), (7, 9), (9, 7), (13, 8)]
"""Of the stream in and the stream out."""


def bits_of(in_bits: int, out_bits: int):
    rng = np.random.default_rng(in_bits)
    return rng.integers(0, 2, 4 * int(np.lcm(in_bits, out_bits)))


def variant(in_bits: int, out_bits: int) -> Variant:
    bits = bits_of(in_bits, out_bits)
    job = {
        "beats": bits.reshape(-1, in_bits).tolist(),
        "count": len(bits) // out_bits,
        "in_bits": 1,
    }
    # a beat a clock on the narrower side, and the first and last beats' way through
    most = len(bits) // min(in_bits, out_bits) + 4
    smooth, *others = STALLS
    jobs = [job | smooth | {"clocks": most}, *(job | stalls for stalls in others)]
    return Variant({"IBITS": in_bits, "OBITS": out_bits}, jobs)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    variants = {widths: variant(*widths) for widths in WIDTHS}
    folder = tmp_path_factory.mktemp("dwc_axi")
    return simulate("dwc_axi", [SOURCE], "stream_bench", variants, folder)


@pytest.mark.slow
@pytest.mark.parametrize(("in_bits", "out_bits"), WIDTHS)
def test_bits_stay_in_order(in_bits, out_bits, results):
    bits = bits_of(in_bits, out_bits)
    for stalls, out in zip(STALLS, results[in_bits, out_bits], strict=True):
        found = np.concatenate([streams.unpack(beat, out_bits, 1, False) for beat in out])
        assert (found == bits).all(), stalls
