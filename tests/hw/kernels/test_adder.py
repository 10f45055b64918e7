"""The adder in RTL against FINN's Python execution of an addition, over random shapes."""

import json

import numpy as np
import pytest
from qonnx.core.datatype import DataType

from sim import streams
from sim.runner import REPOSITORY, run_sim
from tests.helpers.finn_execution import operator

SOURCE = REPOSITORY / "hw" / "kernels" / "adder.sv"
VECTORS = 30


def extremes(datatype: DataType) -> np.ndarray:
    return np.array([int(datatype.min()), int(datatype.max())])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("left", "right"),
    [("INT4", "UINT4"), ("UINT4", "INT4"), ("INT3", "INT7"), ("UINT1", "UINT8"), ("UINT9", "INT2")],
)
def test_equals_finn(left, right, tmp_path):
    rng = np.random.default_rng(len(left) + len(right))
    pe, folds = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    shape = (VECTORS, pe * folds)
    types = [DataType[left], DataType[right]]
    a, b = (rng.integers(low, high + 1, shape) for low, high in map(extremes, types))
    # the largest and the smallest sum among them
    for row, end in enumerate((0, 1)):
        a[row], b[row] = (extremes(one)[end] for one in types)
    node = operator(
        "AddStreams",
        ["a", "b"],
        tmp_path / "finn",
        lhs_shape=shape,
        rhs_shape=shape,
        out_shape=shape,
        lhs_dtype=left,
        rhs_dtype=right,
        out_dtype="INT32",
        PE=pe,
    )
    out_type = node._derive_out_dtype(None)
    context = {"a": a.astype(np.float32), "b": b.astype(np.float32)}
    node.execute_node(context, None)
    expected = context["out"].astype(np.int64)
    assert out_type.allowed(expected.min()) and out_type.allowed(expected.max())

    for idle, stall in ((0.0, 0.0), (0.5, 0.5)):
        job = {
            "a_axis": a.reshape(-1, pe).tolist(),
            "b_axis": b.reshape(-1, pe).tolist(),
            "in_bits": [one.bitwidth() for one in types],
            "idle": idle,
            "stall": stall,
        }
        (tmp_path / "in.json").write_text(json.dumps(job))
        run_sim(
            "adder",
            [SOURCE],
            "tests.benches.adder_bench",
            workdir=tmp_path,
            parameters={
                "PE": pe,
                "A_WIDTH": types[0].bitwidth(),
                "A_SIGNED": int(types[0].signed()),
                "B_WIDTH": types[1].bitwidth(),
                "B_SIGNED": int(types[1].signed()),
                "OUT_WIDTH": out_type.bitwidth(),
            },
        )
        out = json.loads((tmp_path / "out.json").read_text())
        lanes = [streams.unpack(beat, pe, out_type.bitwidth(), out_type.signed()) for beat in out]
        assert (np.array(lanes).reshape(shape) == expected).all(), (idle, stall)
