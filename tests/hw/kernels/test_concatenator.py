"""The concatenator in RTL against FINN's Python execution, over random shapes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from qonnx.core.datatype import DataType

from flow.errors import UserError
from sim import streams
from sim.runner import REPOSITORY
from tests.helpers.finn_execution import operator
from tests.helpers.variants import Variant, simulate

SOURCE = REPOSITORY / "hw" / "kernels" / "concatenator.sv"
PIXELS = 20
STALLS = ({"idle": 0.0, "stall": 0.0}, {"idle": 0.5, "stall": 0.5})
TYPES = [
    ("INT4", "UINT4"), ("UINT4", "INT7"), ("BIPOLAR", "BIPOLAR"), ("UINT1", "UINT9"),
    ("INT9", "INT2"),
]  # fmt: skip


GAINS = {"INT4": [3, 1], "INT9": [1, 331]}
"""Of the streams of some of them, by the first type."""


def node(types, channels, lanes, folder: Path):
    return operator(
        "StreamingConcat",
        ["a", "b"],
        folder,
        SIMD=lanes,
        ChannelsPerStream=channels,
        inputDataTypes=types,
        numInputVectors=[1, PIXELS],
        Gains=GAINS.get(types[0], [1, 1]),
    )


@dataclass(frozen=True)
class Case:
    """Two streams of two types, and what FINN makes of them."""

    types: list[DataType]
    lanes: int
    operands: tuple[npt.NDArray[np.int64], ...]
    whole: npt.NDArray[np.int64]
    out_type: DataType

    @classmethod
    def of(cls, left: str, right: str, folder: Path) -> "Case":
        rng = np.random.default_rng(len(left) + 7 * len(right))
        lanes = int(rng.integers(1, 5))
        channels = [int(rng.integers(1, 4)) * lanes for _ in range(2)]
        types = [DataType[left], DataType[right]]
        operands = tuple(
            rng.integers(int(one.min()), int(one.max()) + 1, (1, PIXELS, count))
            for one, count in zip(types, channels, strict=True)
        )
        if left == "BIPOLAR":
            operands = tuple(2 * (one > 0) - 1 for one in operands)
        found = node([left, right], channels, lanes, folder)
        context = dict(zip("ab", (one.astype(np.float32) for one in operands), strict=True))
        found.execute_node(context, None)
        whole = context["out"].astype(np.int64)
        return cls(types, lanes, operands, whole, found.get_output_datatype())

    @property
    def variant(self) -> Variant:
        beats, parameters = {}, {"PE": self.lanes, "OUT_WIDTH": self.out_type.bitwidth()}
        gains = GAINS.get(self.types[0].name, [1, 1])
        for name, values, one, gain in zip("AB", self.operands, self.types, gains, strict=True):
            bipolar = one == DataType["BIPOLAR"]
            raw = ((values + 1) // 2 if bipolar else values).reshape(-1, self.lanes).tolist()
            beats[f"{name.lower()}_axis"] = [streams.pack(beat, one.bitwidth()) for beat in raw]
            parameters |= {
                f"{name}_BEATS": values.shape[-1] // self.lanes,
                f"{name}_WIDTH": one.bitwidth(),
                f"{name}_SIGNED": int(one.signed() and not bipolar),
                f"{name}_GAIN": gain,
            }
        job = {"beats": beats, "count": sum(map(len, beats.values())), "clocks": 50_000}
        return Variant(parameters, [job | stalls for stalls in STALLS])


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finn")
    return {types: Case.of(*types, folder) for types in TYPES}


@pytest.fixture(scope="module")
def results(cases, tmp_path_factory):
    variants = {types: case.variant for types, case in cases.items()}
    folder = tmp_path_factory.mktemp("concatenator")
    return simulate("concatenator", [SOURCE], "join_bench", variants, folder)


@pytest.mark.slow
@pytest.mark.parametrize(("left", "right"), TYPES)
def test_equals_finn(left, right, cases, results):
    case = cases[left, right]
    assert case.out_type.allowed(case.whole.min()) and case.out_type.allowed(case.whole.max())
    bipolar = case.out_type == DataType["BIPOLAR"]
    signed = case.out_type.signed() and not bipolar
    for stalls, out in zip(STALLS, results[left, right], strict=True):
        lanes = [streams.unpack(beat, case.lanes, case.out_type.bitwidth(), signed) for beat in out]
        values = np.array(lanes).reshape(case.whole.shape)
        assert ((2 * values - 1 if bipolar else values) == case.whole).all(), stalls


def test_one_bit_beside_whole_numbers_is_refused(tmp_path):
    with pytest.raises(UserError, match="−1 and 1 with whole numbers: quantise all of them"):
        node(["BIPOLAR", "INT4"], [2, 2], 1, tmp_path).get_output_datatype()
