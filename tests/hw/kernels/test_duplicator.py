"""The stream duplicator in RTL against FINN's Python execution, over random shapes."""

import numpy as np
import pytest

from sim import streams
from sim.runner import REPOSITORY
from tests.helpers.finn_execution import operator
from tests.helpers.variants import Variant, simulate

SOURCE = REPOSITORY / "hw" / "kernels" / "duplicator.sv"
VECTORS = 40
SHAPES = [(2, 4, False), (3, 7, True), (1, 9, True)]
"""Outputs, bits of a value, and whether it is signed."""
STALLS = ((0.0, [0.0] * 3), (0.4, [0.6] * 3), (0.0, [0.0, 0.9, 0.5]))
"""All as fast as they can, all stalling, and one that lags far behind."""


def stimulus(bits: int, signed: bool):
    """Elements a beat, and values [vectors, channels]."""
    rng = np.random.default_rng(bits)
    pe, folds = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    low = -(1 << bits - 1) if signed else 0
    return pe, rng.integers(low, low + (1 << bits), (VECTORS, pe * folds))


def variant(outputs: int, bits: int, signed: bool) -> Variant:
    pe, values = stimulus(bits, signed)
    beats = [streams.pack(beat, bits) for beat in values.reshape(-1, pe).tolist()]
    jobs = [{"beats": beats, "idle": idle, "stall": stall[:outputs]} for idle, stall in STALLS]
    return Variant({"OUTPUTS": outputs, "WIDTH": pe * bits}, jobs)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    variants = {shape[0]: variant(*shape) for shape in SHAPES}
    folder = tmp_path_factory.mktemp("duplicator")
    return simulate("duplicator", [SOURCE], "duplicator_bench", variants, folder)


@pytest.mark.slow
@pytest.mark.parametrize(("outputs", "bits", "signed"), SHAPES)
def test_equals_finn(outputs, bits, signed, results, tmp_path):
    pe, values = stimulus(bits, signed)
    names = [f"out{i}" for i in range(outputs)]
    node = operator(
        "DuplicateStreams",
        ["in"],
        tmp_path / "finn",
        outputs=names,
        NumChannels=values.shape[1],
        PE=pe,
        NumOutputStreams=outputs,
        inputDataType=f"{'' if signed else 'U'}INT{bits}",
        numInputVectors=[VECTORS],
    )
    context = {"in": values.astype(np.float32)}
    node.execute_node(context, None)
    for stalls, out in zip(STALLS, results[outputs], strict=True):
        for name, taken in zip(names, out, strict=True):
            lanes = np.array([streams.unpack(beat, pe, bits, signed) for beat in taken])
            assert (lanes.reshape(values.shape) == context[name]).all(), (name, stalls)
