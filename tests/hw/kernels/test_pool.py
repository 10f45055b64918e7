"""Pooling in RTL against FINN's Python execution of Pool, over random shapes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from qonnx.core.datatype import DataType

from sim import streams
from sim.runner import REPOSITORY
from tests.helpers.finn_execution import execute
from tests.helpers.variants import STALLS, Variant, simulate

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


@dataclass(frozen=True)
class Case:
    """One kernel of random shape and its random input."""

    function: str
    kernel: tuple[int, int]
    pe: int
    folds: int
    in_type: str
    out_type: str
    shift: int
    values: npt.NDArray[np.int64]
    """[pixels, places, channels]."""

    @classmethod
    def of(cls, function: str, seed: int) -> "Case":
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
        return cls(function, tuple(kernel), pe, folds, in_type, out_type, shift, values)

    @property
    def variant(self) -> Variant:
        in_type, places = DataType[self.in_type], self.values.shape[1]
        # pixels, places, folds, lanes → pixels, folds, places, lanes: FINN's depthwise order
        beats = self.values.reshape(-1, places, self.folds, self.pe).transpose(0, 2, 1, 3)
        job = {
            "beats": beats.reshape(-1, self.pe).tolist(),
            "count": SIDE * SIDE * self.folds,
            "in_bits": in_type.bitwidth(),
        }
        parameters = {
            "PE": self.pe,
            "WINDOW": places,
            "SUM": int(self.function != "MaxPool"),
            "SHIFT": self.shift,
            "IN_WIDTH": in_type.bitwidth(),
            "IN_SIGNED": int(in_type.signed()),
            "OUT_WIDTH": DataType[self.out_type].bitwidth(),
        }
        return Variant(parameters, [job | stalls for stalls in STALLS])


CASES = {(f, s): Case.of(f, s) for f in ("MaxPool", "AccPool", "QuantAvgPool") for s in range(3)}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    variants = {key: case.variant for key, case in CASES.items()}
    return simulate("pool", [SOURCE], "stream_bench", variants, tmp_path_factory.mktemp("pool"))


@pytest.mark.slow
@pytest.mark.parametrize("function", ["MaxPool", "AccPool", "QuantAvgPool"])
@pytest.mark.parametrize("seed", range(3))
def test_equals_finn(function, seed, results, tmp_path):
    case = CASES[function, seed]
    expected = finn_pool(
        case.values, function, case.kernel, case.in_type, case.out_type, tmp_path / "finn"
    )
    out_type = DataType[case.out_type]
    for stalls, out in zip(STALLS, results[function, seed], strict=True):
        lanes = np.array(
            [streams.unpack(beat, case.pe, out_type.bitwidth(), out_type.signed()) for beat in out]
        )
        assert (lanes.reshape(expected.shape) == expected).all(), stalls
