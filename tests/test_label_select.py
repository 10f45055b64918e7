"""Label select in RTL against FINN's Python execution, ties included."""

import json

import numpy as np
import pytest
from finn_execution import execute

from sim.runner import REPOSITORY, run_sim

SOURCE = REPOSITORY / "hw" / "kernels" / "label_select.sv"


def finn_labels(values, k, tmp_path):
    out = execute(
        "LabelSelect",
        values,
        (len(values), k),
        tmp_path / "finn",
        Labels=values.shape[1],
        PE=1,
        K=k,
        inputDataType="INT16",
        numInputVectors=[len(values)],
    )
    return out.ravel().tolist()


@pytest.mark.parametrize(
    ("labels", "pe", "k", "bits", "signed"),
    [(10, 5, 1, 3, True), (10, 2, 3, 4, False), (12, 1, 12, 16, True)],
)
def test_equals_finn(labels, pe, k, bits, signed, tmp_path):
    # few bits, so that many values tie
    low = -(1 << bits - 1) if signed else 0
    values = np.random.default_rng(4).integers(low, low + (1 << bits), (40, labels))
    expected = finn_labels(values, k, tmp_path)
    for idle, stall in ((0.0, 0.0), (0.4, 0.6)):
        job = {
            "beats": values.reshape(-1, pe).tolist(),
            "count": len(expected),
            "in_bits": bits,
            "idle": idle,
            "stall": stall,
        }
        (tmp_path / "in.json").write_text(json.dumps(job))
        run_sim(
            "label_select",
            [SOURCE],
            "sim.stream_bench",
            workdir=tmp_path,
            parameters={
                "LABELS": labels, "PE": pe, "K": k, "IN_WIDTH": bits, "IN_SIGNED": int(signed),
            },
        )  # fmt: skip
        assert json.loads((tmp_path / "out.json").read_text()) == expected
