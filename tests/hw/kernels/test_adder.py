"""The adder in RTL against FINN's Python execution of an addition, over random shapes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from qonnx.core.datatype import DataType

from sim import streams
from sim.runner import REPOSITORY
from tests.helpers.finn_execution import operator
from tests.helpers.variants import Variant, simulate

SOURCE = REPOSITORY / "hw" / "kernels" / "adder.sv"
VECTORS = 30
STALLS = ({"idle": 0.0, "stall": 0.0}, {"idle": 0.5, "stall": 0.5})
TYPES = [
    ("INT4", "UINT4"), ("UINT4", "INT4"), ("INT3", "INT7"), ("UINT1", "UINT8"), ("UINT9", "INT2")
]  # fmt: skip
GAINS = {("UINT4", "INT4"): [3, 1], ("INT3", "INT7"): [1021, 16_383], ("UINT9", "INT2"): [1, -8]}
"""Of some of them."""


def extremes(datatype: DataType) -> np.ndarray:
    return np.array([int(datatype.min()), int(datatype.max())])


@dataclass(frozen=True)
class Case:
    """An adder of two types, its random operands, and what FINN adds."""

    types: list[DataType]
    pe: int
    operands: tuple[npt.NDArray[np.int64], ...]
    sums: npt.NDArray[np.int64]
    out_type: DataType
    parameters: dict[str, int | str]

    @classmethod
    def of(cls, left: str, right: str, folder: Path) -> "Case":
        rng = np.random.default_rng(len(left) + len(right))
        pe, folds = int(rng.integers(1, 6)), int(rng.integers(1, 4))
        shape = (VECTORS, pe * folds)
        types = [DataType[left], DataType[right]]
        a, b = (rng.integers(low, high + 1, shape) for low, high in map(extremes, types))
        # the largest and the smallest sum among them
        for row, end in enumerate((0, 1)):
            a[row], b[row] = (extremes(one)[end] for one in types)
        gains = GAINS.get((left, right), [1, 1])
        if left == "INT4":
            # each channel has its own
            gains = rng.integers(-99, 100, 2 * pe * folds).tolist()
        node = operator(
            "AddStreams",
            ["a", "b"],
            folder,
            lhs_shape=shape,
            rhs_shape=shape,
            out_shape=shape,
            lhs_dtype=left,
            rhs_dtype=right,
            out_dtype="INT32",
            PE=pe,
            Gains=gains,
        )
        context = {"a": a.astype(np.float32), "b": b.astype(np.float32)}
        node.execute_node(context, None)
        sums = context["out"].astype(np.int64)
        node.set_nodeattr("out_dtype", (out_type := node._derive_out_dtype(None)).name)
        from flow.compiler.operators.streams import AddStreams_rtl

        parameters = AddStreams_rtl(node.onnx_node).parameters()
        return cls(types, pe, (a, b), sums, out_type, parameters)

    @property
    def variant(self) -> Variant:
        a, b = (
            [streams.pack(beat, one.bitwidth()) for beat in values.reshape(-1, self.pe).tolist()]
            for values, one in zip(self.operands, self.types, strict=True)
        )
        job = {"beats": {"a_axis": a, "b_axis": b}, "count": len(a), "clocks": 50_000}
        return Variant(self.parameters, [job | stalls for stalls in STALLS])


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finn")
    return {types: Case.of(*types, folder) for types in TYPES}


@pytest.fixture(scope="module")
def results(cases, tmp_path_factory):
    variants = {types: case.variant for types, case in cases.items()}
    return simulate("adder", [SOURCE], "join_bench", variants, tmp_path_factory.mktemp("adder"))


@pytest.mark.slow
@pytest.mark.parametrize(("left", "right"), TYPES)
def test_equals_finn(left, right, cases, results):
    case = cases[left, right]
    assert case.out_type.allowed(case.sums.min()) and case.out_type.allowed(case.sums.max())
    bits, signed = case.out_type.bitwidth(), case.out_type.signed()
    for stalls, out in zip(STALLS, results[left, right], strict=True):
        lanes = [streams.unpack(beat, case.pe, bits, signed) for beat in out]
        assert (np.array(lanes).reshape(case.sums.shape) == case.sums).all(), stalls
