"""The LUT matrix-vector unit in RTL against the matrix product."""

import json

import numpy as np
import pytest

from flow.compile.mvau import by_planes
from sim.runner import REPOSITORY, run_sim

SOURCE = REPOSITORY / "hw" / "kernels" / "lut_mvu.sv"
VECTORS = 12

# MW, MH, PE, SIMD, weight bits, activation bits, signed activations
SHAPES = [
    (12, 6, 3, 4, 2, 2, True),
    (80, 4, 4, 80, 2, 2, False),
    (10, 10, 2, 5, 4, 3, False),
    (9, 4, 1, 3, 8, 8, True),
    (16, 8, 8, 1, 3, 1, False),
]


def memory(weights: np.ndarray, pe: int, simd: int, bits: int) -> list[str]:
    """Lay out [MW, MH] as FINN's memory does, then by planes: one word a beat."""
    width, height = weights.shape
    words = []
    for neuron in range(height // pe):
        for synapse in range(width // simd):
            part = weights[synapse * simd : (synapse + 1) * simd, neuron * pe : (neuron + 1) * pe]
            word = 0
            for place, value in enumerate(part.T.ravel()):
                word |= (int(value) & ((1 << bits) - 1)) << (place * bits)
            digits = -(-pe * simd * bits // 4)
            words.append(by_planes(f"{word:0{digits}x}", pe, simd, bits))
    return words


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_matrix_product(shape, tmp_path):
    width, height, pe, simd, weight_bits, act_bits, signed = shape
    rng = np.random.default_rng(width)
    weights = rng.integers(-(1 << weight_bits - 1), 1 << weight_bits - 1, (width, height))
    low = -(1 << act_bits - 1) if signed else 0
    x = rng.integers(low, low + (1 << act_bits), (VECTORS, width))
    expected = x @ weights
    out_bits = int(np.abs(expected).max()).bit_length() + 2
    folds = height // pe
    for idle, stall in ((0.0, 0.0), (0.3, 0.5)):
        job = {
            "beats": x.reshape(-1, simd).tolist(),
            "weights": memory(weights, pe, simd, weight_bits),
            "pe": pe,
            "in_bits": act_bits,
            "out_bits": out_bits,
            "count": VECTORS * folds,
            "interrupt": 2 * folds + 1,
            "idle": idle,
            "stall": stall,
        }
        (tmp_path / "in.json").write_text(json.dumps(job))
        run_sim(
            "lut_mvu",
            [SOURCE],
            "sim.lut_mvu_bench",
            workdir=tmp_path,
            parameters={
                "MW": width,
                "MH": height,
                "PE": pe,
                "SIMD": simd,
                "WEIGHT_WIDTH": weight_bits,
                "ACTIVATION_WIDTH": act_bits,
                "SIGNED_ACTIVATIONS": int(signed),
                "ACCU_WIDTH": out_bits,
            },
        )
        out = np.array(json.loads((tmp_path / "out.json").read_text()))
        assert (out.reshape(VECTORS, height) == expected).all(), (idle, stall)


def test_planes_of_a_word():
    # two rows of two 2-bit elements, lowest first: 1, 2 and 3, 0
    assert by_planes("39", 2, 2, 2) == f"{0b0101_1001:02x}"
