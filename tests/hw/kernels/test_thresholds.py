"""Thresholding in RTL against FINN's Python execution of Thresholding, over random shapes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from qonnx.core.datatype import DataType

from flow import hdl
from flow.compiler.finn import register_operators
from sim import streams
from sim.runner import REPOSITORY
from tests.helpers.finn_execution import execute
from tests.helpers.variants import STALLS, Variant, simulate

SOURCE = REPOSITORY / "hw" / "kernels" / "thresholds.sv"
PIXELS = 7


def random_type(rng, low_bits: int, high_bits: int) -> DataType:
    signed = bool(rng.integers(2))
    bits = int(rng.integers(low_bits + signed, high_bits + 1))
    return DataType[f"{'' if signed else 'U'}INT{bits}"]


def finn_thresholding(values, thresholds, in_type, out_type, threshold_type, bias, folder, **more):
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
        **more,
    )


@dataclass(frozen=True)
class Case:
    """One kernel of random shape, its thresholds and its random input."""

    pe: int
    folds: int
    bias: int
    in_type: DataType
    threshold_type: DataType
    out_type: DataType
    thresholds: npt.NDArray[np.int64]
    """[channels, steps]."""
    values: npt.NDArray[np.int64]
    """[pixels, channels]."""
    falls: list[int]
    """A 1 for each step that falls; empty if none does."""
    falling: list[int]
    """A 1 for each channel that falls; empty if none does."""

    @classmethod
    def of(cls, seed: int) -> "Case":
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
        falls = rng.integers(0, 2, steps).tolist() if seed % 3 else []
        falling = rng.integers(0, 2, pe * folds).tolist() if seed % 2 else []
        types = in_type, threshold_type, out_type
        return cls(pe, folds, bias, *types, thresholds, values, falls, falling)

    def variant(self, memory: Path) -> Variant:
        """Write the thresholds, and return the kernel that reads them."""
        register_operators()
        from flow.compiler.operators.thresholding import memory_text

        memory.write_text(memory_text(self.thresholds, self.pe, self.threshold_type.bitwidth()))
        job = {
            "beats": self.values.reshape(-1, self.pe).tolist(),
            "count": len(self.values) * self.folds,
            "in_bits": self.in_type.bitwidth(),
        }
        parameters = {
            "CHANNELS": self.pe * self.folds,
            "PE": self.pe,
            "STEPS": self.thresholds.shape[1],
            "IN_WIDTH": self.in_type.bitwidth(),
            "IN_SIGNED": int(self.in_type.signed()),
            "THRESHOLD_WIDTH": self.threshold_type.bitwidth(),
            "THRESHOLD_SIGNED": int(self.threshold_type.signed()),
            "BIAS": self.bias,
            "OUT_WIDTH": self.out_type.bitwidth(),
            "FILE": f'"{memory.name}"',
        }
        if self.falls:
            parameters["FALLS"] = hdl.packed(self.falls, 1)
        if self.falling:
            parameters["FALLING"] = hdl.packed(self.falling, 1)
        return Variant(parameters, [job | stalls for stalls in STALLS])


CASES = [Case.of(seed) for seed in range(6)]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("thresholds")
    variants = {n: one.variant(folder / f"thresholds_{n}.dat") for n, one in enumerate(CASES)}
    return simulate("thresholds", [SOURCE], "stream_bench", variants, folder)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(len(CASES)))
def test_equals_finn(seed, results, tmp_path):
    case = CASES[seed]
    expected = finn_thresholding(
        case.values,
        case.thresholds,
        case.in_type,
        case.out_type,
        case.threshold_type,
        case.bias,
        tmp_path / "finn",
        **{name: one for name, one in (("Falls", case.falls), ("Falling", case.falling)) if one},
    )
    bits, signed = case.out_type.bitwidth(), case.out_type.signed()
    for stalls, out in zip(STALLS, results[seed], strict=True):
        lanes = np.array([streams.unpack(beat, case.pe, bits, signed) for beat in out])
        assert (lanes.reshape(expected.shape) == expected).all(), stalls
