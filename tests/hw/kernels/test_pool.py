"""Pooling in RTL against FINN's Python execution of Pool, over random shapes."""

import json

import numpy as np
import pytest
from qonnx.core.datatype import DataType

from sim import streams
from sim.runner import REPOSITORY, run_sim
from tests.helpers.finn_execution import execute

SOURCE = REPOSITORY / "hw" / "kernels" / "pool.sv"
SIDE = 3
"""Pixels along an edge of the output."""


def finn_pool(values, function, kernel, in_type, out_type, folder):
    """Pool whole numbers [pixels, places, channels] to [pixels, channels] as FINN does."""
    pixels, _, channels = values.shape
    sides = [SIDE, pixels // SIDE]
    out = execute(
        "Pool",
        values.reshape(1, *sides, -1),
        (1, *sides, channels),
        folder,
        Channels=channels,
        PE=1,
        KernelSize=list(kernel),
        Function=function,
        OutImgDims=sides,
        InputDataType=in_type,
        OutputDataType=out_type,
    )
    return out.reshape(pixels, channels)


@pytest.mark.slow
@pytest.mark.parametrize("function", ["MaxPool", "AccPool", "QuantAvgPool"])
@pytest.mark.parametrize("seed", range(3))
def test_equals_finn(function, seed, tmp_path):
    rng = np.random.default_rng(seed)
    kernel = rng.integers(1, 5, 2)
    places, pe, folds = int(kernel.prod()), int(rng.integers(1, 7)), int(rng.integers(1, 4))
    bits, signed = int(rng.integers(1, 9)), bool(seed % 2)
    in_type = f"{'' if signed else 'U'}INT{max(bits, 1 + signed)}"
    low, high = (int(f()) for f in (DataType[in_type].min, DataType[in_type].max))
    bits = DataType[in_type].bitwidth()
    values = rng.integers(low, high + 1, (SIDE * SIDE, places, pe * folds))
    sum_bits = bits + places.bit_length()
    out_bits = {"MaxPool": bits, "AccPool": sum_bits, "QuantAvgPool": max(bits, 2)}[function]
    shift = 0
    if function == "QuantAvgPool":
        # FINN's shift brings the largest sum, taken as unsigned, to the output's bits
        shift = max(0, ((2**bits - 1) * places).bit_length() - out_bits)
    out_type = f"{'' if signed else 'U'}INT{out_bits}"
    expected = finn_pool(values, function, kernel, in_type, out_type, tmp_path / "finn")

    # pixels, places, folds, lanes → pixels, folds, places, lanes: FINN's depthwise order
    beats = values.reshape(-1, places, folds, pe).transpose(0, 2, 1, 3).reshape(-1, pe)
    for idle, stall in ((0.0, 0.0), (0.4, 0.6)):
        job = {
            "beats": beats.tolist(),
            "count": SIDE * SIDE * folds,
            "in_bits": bits,
            "idle": idle,
            "stall": stall,
        }
        (tmp_path / "in.json").write_text(json.dumps(job))
        run_sim(
            "pool",
            [SOURCE],
            "tests.benches.stream_bench",
            workdir=tmp_path,
            parameters={
                "PE": pe,
                "WINDOW": places,
                "SUM": int(function != "MaxPool"),
                "SHIFT": shift,
                "IN_WIDTH": bits,
                "IN_SIGNED": int(signed),
                "OUT_WIDTH": out_bits,
            },
        )
        out = json.loads((tmp_path / "out.json").read_text())
        lanes = np.array([streams.unpack(beat, pe, out_bits, signed) for beat in out])
        assert (lanes.reshape(expected.shape) == expected).all(), (idle, stall)
