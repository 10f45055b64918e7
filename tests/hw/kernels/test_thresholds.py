"""Thresholding in RTL against FINN's Python execution of Thresholding, over random shapes."""

import json

import numpy as np
import pytest
from qonnx.core.datatype import DataType

from flow.compiler.finn import register_operators
from sim import streams
from sim.runner import REPOSITORY, run_sim
from tests.helpers.finn_execution import execute

SOURCE = REPOSITORY / "hw" / "kernels" / "thresholds.sv"
PIXELS = 7


def random_type(rng, low_bits: int, high_bits: int) -> DataType:
    signed = bool(rng.integers(2))
    bits = int(rng.integers(low_bits + signed, high_bits + 1))
    return DataType[f"{'' if signed else 'U'}INT{bits}"]


def finn_thresholding(values, thresholds, in_type, out_type, threshold_type, bias, folder):
    """Count the thresholds of whole numbers [pixels, channels] as FINN does."""
    channels, steps = thresholds.shape
    return execute(
        "Thresholding",
        values,
        values.shape,
        folder,
        parameters=[thresholds],
        NumChannels=channels,
        PE=1,
        numSteps=steps,
        inputDataType=in_type.name,
        weightDataType=threshold_type.name,
        outputDataType=out_type.name,
        ActVal=bias,
        numInputVectors=[len(values)],
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_equals_finn(seed, tmp_path):
    rng = np.random.default_rng(seed)
    pe, folds = int(rng.integers(1, 6)), int(rng.integers(1, 5))
    out_bits = int(rng.integers(1, 5))
    steps, bias = 2**out_bits - 1, int(rng.choice([0, -(2 ** (out_bits - 1))]))
    out_type = DataType[f"{'INT' if bias else 'UINT'}{out_bits}"]
    in_type, threshold_type = random_type(rng, 3, 20), random_type(rng, 3, 20)
    bounds = [(int(t.min()), int(t.max())) for t in (in_type, threshold_type)]
    # where both have values, so that comparisons go both ways
    low, high = max(b[0] for b in bounds), min(b[1] for b in bounds)
    thresholds = np.sort(rng.integers(low, high + 1, (pe * folds, steps)), 1)
    values = rng.integers(low, high + 1, (PIXELS, pe * folds))
    # equality, and the ends of the range
    values[0] = thresholds[:, steps // 2]
    values[1], values[2] = bounds[0]
    folder = tmp_path / "finn"
    expected = finn_thresholding(
        values, thresholds, in_type, out_type, threshold_type, bias, folder
    )

    register_operators()
    from flow.compiler.operators.thresholding import memory_text

    (tmp_path / "thresholds.dat").write_text(memory_text(thresholds, pe, threshold_type.bitwidth()))
    for idle, stall in ((0.0, 0.0), (0.4, 0.6)):
        job = {
            "beats": values.reshape(-1, pe).tolist(),
            "count": PIXELS * folds,
            "in_bits": in_type.bitwidth(),
            "idle": idle,
            "stall": stall,
        }
        (tmp_path / "in.json").write_text(json.dumps(job))
        run_sim(
            "thresholds",
            [SOURCE],
            "tests.benches.stream_bench",
            workdir=tmp_path,
            parameters={
                "CHANNELS": pe * folds,
                "PE": pe,
                "STEPS": steps,
                "IN_WIDTH": in_type.bitwidth(),
                "IN_SIGNED": int(in_type.signed()),
                "THRESHOLD_WIDTH": threshold_type.bitwidth(),
                "THRESHOLD_SIGNED": int(threshold_type.signed()),
                "BIAS": bias,
                "OUT_WIDTH": out_bits,
                "FILE": '"thresholds.dat"',
            },
        )
        out = json.loads((tmp_path / "out.json").read_text())
        lanes = np.array([streams.unpack(beat, pe, out_bits, out_type.signed()) for beat in out])
        assert (lanes.reshape(expected.shape) == expected).all(), (idle, stall)
