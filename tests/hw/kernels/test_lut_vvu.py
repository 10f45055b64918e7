"""The depth-wise unit in RTL, with the memory that its operator writes, against FINN's VVAU."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.custom_op.registry import getCustomOp

from flow.compiler.finn import register_operators
from sim import streams
from sim.runner import REPOSITORY
from tests.helpers.finn_execution import execute
from tests.helpers.variants import STALLS, Variant, simulate

SOURCES = [REPOSITORY / f"hw/kernels/{name}.sv" for name in ("lut_operands", "lut_vvu")]
PIXELS = (2, 3)
"""Of the output."""
TYPES = [
    *("BIPOLAR", "TERNARY", *(f"INT{bits}" for bits in range(2, 9))),
    *("BINARY", *(f"UINT{bits}" for bits in range(2, 9))),
]


@dataclass(frozen=True)
class Unit:
    """One depth-wise unit, its weights and its windows."""

    name: str
    kernel: tuple[int, int]
    pe: int
    simd: int
    weight_type: str
    activation_type: str
    weights: npt.NDArray[np.int64]
    """[C, 1, K_H, K_W]."""
    windows: npt.NDArray[np.int64]
    """[pixels, folds, places, PE]: the order of FINN's depth-wise windows."""

    @classmethod
    def of(cls, number: int, weight_type: str, activation_type: str) -> "Unit":
        rng = np.random.default_rng(number)
        kernel = (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
        places = kernel[0] * kernel[1]
        pe, folds = (int(n) for n in rng.integers(1, 5, 2))
        simd = int(rng.choice([n for n in range(1, places + 1) if places % n == 0]))
        return cls(
            name=f"unit_{number}",
            kernel=kernel,
            pe=pe,
            simd=simd,
            weight_type=weight_type,
            activation_type=activation_type,
            weights=draw(rng, weight_type, (pe * folds, 1, *kernel)),
            windows=draw(rng, activation_type, (PIXELS[0] * PIXELS[1], folds, places, pe)),
        )

    @property
    def attributes(self) -> dict:
        return {
            "Channels": len(self.weights),
            "Kernel": self.kernel,
            "Dim": PIXELS,
            "PE": self.pe,
            "SIMD": self.simd,
            "inputDataType": self.activation_type,
            "weightDataType": self.weight_type,
            "noActivation": 1,
        }

    def expected(self, folder: Path) -> npt.NDArray[np.int64]:
        """The signed sums of products as FINN executes the operator, [pixels, C]."""
        out = execute(
            "VVAU",
            self.windows.reshape(1, *PIXELS, -1),
            (1, *PIXELS, len(self.weights)),
            folder,
            parameters=[self.weights],
            outputDataType="INT32",
            **self.attributes,
        ).reshape(-1, len(self.weights))
        if self.weight_type == self.activation_type == "BIPOLAR":
            # FINN counts the products that are 1
            return 2 * out - self.windows.shape[2]
        return out

    def operator(self, bits: int):
        """Our operator, unconnected."""
        node = helper.make_node(
            "VVAU_rtl",
            ["in", "weights"],
            ["out"],
            name=self.name,
            domain="finn.custom_op.fpgadataflow.rtl",
            backend="fpgadataflow",
            outputDataType=f"INT{bits}",
            **self.attributes,
        )
        return getCustomOp(node)

    def variant(self, bits: int, folder: Path) -> Variant:
        """The unit with accumulators of so many bits, and its beats."""
        operator, file = self.operator(bits), folder / f"{self.name}.dat"
        operator.make_weight_file(self.weights, "decoupled_verilog_dat", str(file))
        words = [int(word, 16) for word in file.read_text().split()]
        values, width = self.windows, DataType[self.activation_type].bitwidth()
        if self.activation_type == "BIPOLAR":
            values = (values + 1) // 2
        beats = [streams.pack(b, width) for b in values.reshape(-1, self.simd * self.pe).tolist()]
        job = {
            "beats": {"s_axis": beats, "weights": words * len(values)},
            "count": len(values) * values.shape[1],
        }
        assert len(job["beats"]["weights"]) == len(beats)
        # without stalls a beat is taken in each clock
        limits = ({"clocks": len(beats) + 4}, {"clocks": 50_000})
        jobs = [job | stalls | limit for stalls, limit in zip(STALLS, limits, strict=True)]
        return Variant(operator.parameters(), jobs)


def draw(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Values of a type, its ends among them more often than by chance."""
    datatype = DataType[kind]
    low, high = int(datatype.min()), int(datatype.max())
    if kind == "BIPOLAR":
        return 2 * rng.integers(0, 2, shape) - 1
    values = rng.integers(low, high + 1, shape)
    return np.where(rng.random(shape) < 0.3, rng.choice([low, high], shape), values)


def every_type() -> dict[str, Unit]:
    """Each type as weights and as activations, in another pairing each time, and the widest."""
    pairs = [(w, TYPES[(3 * i + 5) % len(TYPES)]) for i, w in enumerate(TYPES)]
    pairs += [
        ("BIPOLAR", "BIPOLAR"),
        ("BIPOLAR", "INT4"),
        ("UINT10", "UINT10"),
        ("INT4", "UINT16"),
        ("INT9", "INT10"),
    ]
    units = [Unit.of(number, *pair) for number, pair in enumerate(pairs)]
    return {unit.name: unit for unit in units}


UNITS = every_type()


def test_types_and_foldings_are_drawn():
    units = UNITS.values()
    for kinds in ({u.weight_type for u in units}, {u.activation_type for u in units}):
        assert kinds >= set(TYPES)
    assert {side for u in units for side in u.kernel} == {1, 2, 3, 4, 5}
    whole = [u.simd == u.windows.shape[2] for u in units]
    part = [1 < u.simd < u.windows.shape[2] for u in units]
    assert any(whole) and any(part) and any(u.simd == 1 < u.windows.shape[2] for u in units)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What FINN gives, its bits, and the RTL's beats, by unit."""
    register_operators()
    folder = tmp_path_factory.mktemp("vvu")
    sums = {name: unit.expected(folder / "finn") for name, unit in UNITS.items()}
    bits = {n: 1 + max(int(s.max()), -int(s.min()) - 1, 0).bit_length() for n, s in sums.items()}
    variants = {name: unit.variant(bits[name], folder) for name, unit in UNITS.items()}
    return sums, bits, simulate("lut_vvu", SOURCES, "join_bench", variants, folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", UNITS)
def test_equals_finn(name, found):
    """Bit for bit, at full rate without stalls, and with them, after a reset in mid-stream."""
    (sums, bits, results), unit = found, UNITS[name]
    for stalls, out in zip(STALLS, results[name], strict=True):
        lanes = [streams.unpack(beat, unit.pe, bits[name], True) for beat in out]
        assert np.array_equal(np.array(lanes).reshape(sums[name].shape), sums[name]), stalls


def test_a_matrix_is_written_as_its_filters_are(tmp_path):
    register_operators()
    unit = UNITS["unit_5"]
    operator, paths = unit.operator(24), (tmp_path / "filters.dat", tmp_path / "matrix.dat")
    matrix = unit.weights.reshape(len(unit.weights), -1).T
    for path, weights in zip(paths, (unit.weights, matrix), strict=True):
        operator.make_weight_file(weights, "decoupled_verilog_dat", str(path))
    assert paths[0].read_bytes() == paths[1].read_bytes()
