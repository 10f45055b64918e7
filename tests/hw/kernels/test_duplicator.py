"""The stream duplicator in RTL against FINN's Python execution, over random shapes."""

import json

import numpy as np
import pytest

from sim import streams
from sim.runner import REPOSITORY, run_sim
from tests.helpers.finn_execution import operator

SOURCE = REPOSITORY / "hw" / "kernels" / "duplicator.sv"
VECTORS = 40


@pytest.mark.slow
@pytest.mark.parametrize(("outputs", "bits", "signed"), [(2, 4, False), (3, 7, True), (1, 9, True)])
def test_equals_finn(outputs, bits, signed, tmp_path):
    rng = np.random.default_rng(bits)
    pe, folds = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    low = -(1 << bits - 1) if signed else 0
    values = rng.integers(low, low + (1 << bits), (VECTORS, pe * folds))
    names = [f"out{i}" for i in range(outputs)]
    node = operator(
        "DuplicateStreams",
        ["in"],
        tmp_path / "finn",
        outputs=names,
        NumChannels=pe * folds,
        PE=pe,
        NumOutputStreams=outputs,
        inputDataType=f"{'' if signed else 'U'}INT{bits}",
        numInputVectors=[VECTORS],
    )
    context = {"in": values.astype(np.float32)}
    node.execute_node(context, None)
    beats = [streams.pack(beat, bits) for beat in values.reshape(-1, pe).tolist()]
    # all as fast as they can, all stalling, and one that lags far behind
    for idle, stall in ((0.0, [0.0] * 3), (0.4, [0.6] * 3), (0.0, [0.0, 0.9, 0.5])):
        job = {"beats": beats, "idle": idle, "stall": stall[:outputs]}
        (tmp_path / "in.json").write_text(json.dumps(job))
        run_sim(
            "duplicator",
            [SOURCE],
            "tests.benches.duplicator_bench",
            workdir=tmp_path,
            parameters={"OUTPUTS": outputs, "WIDTH": pe * bits},
        )
        out = json.loads((tmp_path / "out.json").read_text())
        for name, taken in zip(names, out, strict=True):
            lanes = np.array([streams.unpack(beat, pe, bits, signed) for beat in taken])
            assert (lanes.reshape(values.shape) == context[name]).all(), (name, idle, stall)
