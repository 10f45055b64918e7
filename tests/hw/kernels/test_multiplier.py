"""The multiplier in RTL against FINN's Python execution of a product, of streams and of vectors."""

import math
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
from tests.hw.kernels.test_adder import STALLS, extremes

SOURCE = REPOSITORY / "hw" / "kernels" / "multiplier.sv"
SHAPES = {
    ("INT4", "UINT4"): ((5, 3, 6), (5, 3, 6), 2),
    ("UINT3", "INT5"): ((5, 4, 6), (5, 1, 6), 3),
    ("INT6", "INT2"): ((8, 3, 4), (8, 1, 4), 4),
}
"""Shapes of both operands, images first, and lanes, of some types."""


@dataclass(frozen=True)
class Case:
    """A multiplier of two types, its random operands, and what FINN multiplies."""

    types: list[DataType]
    pe: int
    operands: tuple[npt.NDArray[np.int64], ...]
    products: npt.NDArray[np.int64]
    out_type: DataType

    @classmethod
    def of(cls, left: str, right: str, folder: Path) -> "Case":
        rng = np.random.default_rng(1)
        *shapes, pe = SHAPES[left, right]
        types = [DataType[left], DataType[right]]
        a, b = (
            rng.integers(low, high + 1, shape)
            for shape, (low, high) in zip(shapes, map(extremes, types), strict=True)
        )
        # all products of the ends among them
        for image in range(4):
            a[image], b[image] = (extremes(one)[image >> n & 1] for n, one in enumerate(types))
        node = operator(
            "MultiplyStreams",
            ["a", "b"],
            folder,
            lhs_shape=shapes[0],
            rhs_shape=shapes[1],
            out_shape=shapes[0],
            lhs_dtype=left,
            rhs_dtype=right,
            out_dtype="INT32",
            PE=pe,
        )
        context = {"a": a.astype(np.float32), "b": b.astype(np.float32)}
        node.execute_node(context, None)
        products = context["out"].astype(np.int64)
        return cls(types, pe, (a, b), products, node._derive_out_dtype(None))

    @property
    def variant(self) -> Variant:
        left, right = self.types
        a, b = (
            [streams.pack(beat, one.bitwidth()) for beat in values.reshape(-1, self.pe).tolist()]
            for values, one in zip(self.operands, self.types, strict=True)
        )
        job = {"beats": {"a_axis": a, "b_axis": b}, "count": len(a), "clocks": 50_000}
        parameters = {
            "PE": self.pe,
            "FOLDS": self.products.shape[-1] // self.pe,
            "PIXELS": math.prod(self.products.shape) // self.operands[1].size,
            "A_WIDTH": left.bitwidth(),
            "A_SIGNED": int(left.signed()),
            "B_WIDTH": right.bitwidth(),
            "B_SIGNED": int(right.signed()),
            "OUT_WIDTH": self.out_type.bitwidth(),
        }
        return Variant(parameters, [job | stalls for stalls in STALLS])


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finn")
    return {types: Case.of(*types, folder) for types in SHAPES}


@pytest.fixture(scope="module")
def results(cases, tmp_path_factory):
    variants = {types: case.variant for types, case in cases.items()}
    folder = tmp_path_factory.mktemp("multiplier")
    return simulate("multiplier", [SOURCE], "join_bench", variants, folder)


@pytest.mark.slow
@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_equals_finn(left, right, cases, results):
    case = cases[left, right]
    assert case.out_type.allowed(case.products.min()) and case.out_type.allowed(case.products.max())
    bits, signed = case.out_type.bitwidth(), case.out_type.signed()
    for stalls, out in zip(STALLS, results[left, right], strict=True):
        lanes = [streams.unpack(beat, case.pe, bits, signed) for beat in out]
        assert (np.array(lanes).reshape(case.products.shape) == case.products).all(), stalls
