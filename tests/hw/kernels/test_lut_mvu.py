"""The LUT matrix-vector unit in RTL, behind its wrapper, against FINN's execution of MVAU."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.custom_op.registry import getCustomOp

from flow.compiler.finn import register_operators
from flow.compiler.operators.mvau import FinnMVAU_rtl, by_planes, hex_words, tile_by_tile
from sim import streams
from sim.runner import REPOSITORY, run_sim
from tests.helpers.finn_execution import execute
from tests.helpers.variants import SHARED

SOURCES = [
    *SHARED,
    *(REPOSITORY / f"hw/kernels/{name}.sv" for name in ("lut_operands", "lut_sums", "lut_mvu")),
    REPOSITORY / "tests/benches/file_streams.sv",
]
VECTORS = 7
SIGNED = [f"INT{bits}" for bits in range(2, 9)]
UNSIGNED = ["BINARY", *(f"UINT{bits}" for bits in range(2, 9))]
TYPES = ["BIPOLAR", "TERNARY", *SIGNED, *UNSIGNED]


@dataclass(frozen=True)
class Unit:
    """One matrix-vector unit, its weights and its vectors."""

    name: str
    pe: int
    simd: int
    weight_type: str
    activation_type: str
    weights: npt.NDArray[np.int64]
    """[MW, MH]."""
    vectors: npt.NDArray[np.int64]
    """[VECTORS, MW]."""
    rows: int = 0
    """Rows of a tile; 0 for a whole product."""
    short_paths: bool = False
    """Whether the RTL has registers between the steps."""

    @property
    def tiles(self) -> int:
        return -(-len(self.weights) // self.rows) if self.rows else 1

    @property
    def attributes(self) -> dict:
        width, height = self.weights.shape
        return {
            "MW": width,
            "MH": height,
            "PE": self.pe,
            "SIMD": self.simd,
            "inputDataType": self.activation_type,
            "weightDataType": self.weight_type,
            "noActivation": 1,
            "numInputVectors": [VECTORS],
            "Rows": self.rows,
        }

    def expected(self, folder: Path) -> npt.NDArray[np.int64]:
        """The signed dot products as FINN executes the operator, [VECTORS, tiles · MH]."""
        width, height = self.weights.shape
        out = execute(
            "MVAU",
            self.vectors,
            (VECTORS, self.tiles * height),
            folder,
            parameters=[self.weights],
            outputDataType="INT32",
            **self.attributes,
        )
        if self.weight_type == self.activation_type == "BIPOLAR" and self.tiles == 1:
            # FINN counts the products that are 1
            return 2 * out - width
        return out

    @property
    def beats(self) -> list[int]:
        """The vectors, packed."""
        bits = DataType[self.activation_type].bitwidth()
        beats = self.vectors.reshape(-1, self.simd)
        if self.activation_type == "BIPOLAR":
            beats = (beats + 1) // 2
        return [streams.pack(beat, bits) for beat in beats.tolist()]

    def operator(self, out_bits: int):
        """Our operator, unconnected."""
        node = helper.make_node(
            "MVAU_rtl",
            ["in", "weights"],
            ["out"],
            name=self.name,
            domain="finn.custom_op.fpgadataflow.rtl",
            backend="fpgadataflow",
            resType="lut",
            outputDataType=f"INT{out_bits}",
            **self.attributes,
        )
        return getCustomOp(node)


def draw(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Values of a type, its ends among them more often than by chance."""
    datatype = DataType[kind]
    low, high = int(datatype.min()), int(datatype.max())
    if kind == "BIPOLAR":
        return 2 * rng.integers(0, 2, shape) - 1
    values = rng.integers(low, high + 1, shape)
    ends = rng.choice([low, high], shape)
    return np.where(rng.random(shape) < 0.3, ends, values)


def random_unit(
    name: str, seed: int, weight_type: str, activation_type: str, simd=None, tile=0
) -> Unit:
    """A unit of random shape, whose tiles have so many beats of a row, or which has none."""
    rng = np.random.default_rng(seed)
    pe, rows, folds = (int(n) for n in rng.integers(1, 5, 3))
    simd = simd or int(rng.integers(1, 18))
    if tile:
        # two tiles and a third, which is shorter but for tiles of a beat
        folds = 3 * tile - tile // 2
    return Unit(
        name=name,
        pe=pe,
        simd=simd,
        weight_type=weight_type,
        activation_type=activation_type,
        weights=draw(rng, weight_type, (simd * folds, pe * rows)),
        vectors=draw(rng, activation_type, (VECTORS, simd * folds)),
        rows=tile * simd,
    )


def all_types() -> list[Unit]:
    """Each type as weights and as activations, in another pairing each time."""
    pairs = [(w, TYPES[(3 * i + 5) % len(TYPES)]) for i, w in enumerate(TYPES)]
    # 17 types and a step of 3 meet all of them, but these must not be left to the pairing
    pairs += [
        ("BIPOLAR", "BIPOLAR"),
        ("BIPOLAR", "UINT2"),
        ("TERNARY", "TERNARY"),
        ("INT2", "INT2"),
    ]
    return [random_unit(f"unit_{i}", i, w, a) for i, (w, a) in enumerate(pairs)]


def wide_beats() -> list[Unit]:
    """Beats of more than a simulator's word, a first layer's shape, and the widest operands."""
    cases = [
        ("BIPOLAR", "BIPOLAR", 130), ("BIPOLAR", "INT2", 80), ("INT3", "BIPOLAR", 66),
        ("INT2", "UINT2", 128), ("INT4", "INT3", 65), ("INT10", "INT9", 64), ("INT2", "INT8", 3),
        ("INT9", "UINT10", 20), ("INT4", "UINT16", 24), ("INT4", "INT13", 6),
    ]  # fmt: skip
    return [random_unit(f"unit_{i}", 90 + i, w, a, s) for i, (w, a, s) in enumerate(cases)]


def with_tiles() -> list[Unit]:
    """Tiles of one to five beats, the last of them shorter or not, with and without planes.

    Each unit is there twice, with short paths too.
    """
    cases = [
        ("INT2", "UINT2", 4, 2), ("BIPOLAR", "BIPOLAR", 9, 1), ("INT4", "INT3", 3, 4),
        ("INT2", "INT2", 1, 5), ("BIPOLAR", "UINT2", 8, 3),
    ]  # fmt: skip
    units = [random_unit(f"unit_{i}", 70 + i, *case) for i, case in enumerate(cases)]
    short = [
        replace(u, name=f"unit_{i}", short_paths=True) for i, u in enumerate(units, len(units))
    ]
    return units + short


def test_every_type_is_drawn():
    units = all_types()
    assert {u.weight_type for u in units} == {u.activation_type for u in units} == set(TYPES)


@pytest.mark.slow
@pytest.mark.parametrize(
    "units", [all_types, wide_beats, with_tiles], ids=lambda make: make.__name__
)
def test_equals_finn(units, tmp_path):
    """Bit for bit without stalls and with, after a reset in mid-stream."""
    register_operators()
    expected, wrappers, body = {}, [], []
    for unit in units():
        products = unit.expected(tmp_path / "finn")
        bits = 1 + max(int(products.max()), -int(products.min()) - 1, 0).bit_length()
        operator = unit.operator(bits)
        wrappers.append(operator.lut_wrapper())
        expected[unit.name] = products, bits, unit.pe
        body += instance(unit, operator, products, tmp_path)
    top = tmp_path / "top.sv"
    top.write_text("\n".join([*wrappers, top_text(body, len(expected))]))
    run_sim("units", [*SOURCES, top], "tests.benches.file_streams_bench", workdir=tmp_path)
    for name, (products, bits, pe) in expected.items():
        runs = (tmp_path / f"{name}.out").read_text().split("reset\n")
        *_, interrupted, free, stalled = [run.split() for run in runs if run]
        assert interrupted, name
        for run in (free, stalled):
            lanes = [streams.unpack(int(beat, 16), pe, bits, True) for beat in run]
            assert np.array_equal(np.array(lanes).reshape(VECTORS, -1), products), name


def instance(unit: Unit, operator, products, folder: Path) -> list[str]:
    """One unit between its sources and its sink; writes the files they read."""
    operator.make_weight_file(
        unit.weights, "decoupled_verilog_dat", str(folder / f"{unit.name}_w.hex")
    )
    (folder / f"{unit.name}_a.hex").write_text("\n".join(f"{beat:x}" for beat in unit.beats))
    weight_beats = unit.weights.size // (unit.pe * unit.simd)
    widths = [operator.get_instream_width_padded(i) for i in (1, 0)]
    out = operator.get_outstream_width_padded()
    n = unit.name
    seed = 3 + sum(map(ord, n))
    return [
        f"  logic {n}_wv, {n}_wr, {n}_av, {n}_ar, {n}_ov, {n}_or;",
        f"  logic [{widths[0] - 1}:0] {n}_w; logic [{widths[1] - 1}:0] {n}_a;",
        f"  logic [{out - 1}:0] {n}_o;",
        f'  file_source #(.NAME("{n}_w"), .BITS({widths[0]}), .BEATS({weight_beats}), .REPEAT(1),',
        f"      .SEED({seed})) {n}_ws (.clk, .rst_n, .stall, .tvalid({n}_wv), .tready({n}_wr),",
        f"      .tdata({n}_w));",
        f'  file_source #(.NAME("{n}_a"), .BITS({widths[1]}), .BEATS({len(unit.beats)}),',
        f"      .SEED({7 * seed})) {n}_as (.clk, .rst_n, .stall, .tvalid({n}_av), .tready({n}_ar),",
        f"      .tdata({n}_a));",
        f"  {n} #(.SHORT_PATHS({int(unit.short_paths)})) {n}_u (.ap_clk(clk), .ap_clk2x(clk),",
        f"      .ap_rst_n(rst_n), .in1_V_TVALID({n}_wv),",
        f"      .in1_V_TREADY({n}_wr), .in1_V_TDATA({n}_w), .in0_V_TVALID({n}_av),",
        f"      .in0_V_TREADY({n}_ar), .in0_V_TDATA({n}_a), .out0_V_TVALID({n}_ov),",
        f"      .out0_V_TREADY({n}_or), .out0_V_TDATA({n}_o));",
        f'  file_sink #(.NAME("{n}"), .BITS({out}), .BEATS({products.size // unit.pe}),',
        f"      .SEED({11 * seed})) {n}_k (.clk, .rst_n, .stall, .tvalid({n}_ov), .tready({n}_or),",
        f"      .tdata({n}_o), .done(all_done[{n.removeprefix('unit_')}]));",
    ]


def top_text(body: list[str], units: int) -> str:
    return "\n".join(
        [
            "module units (input logic clk, rst_n, stall, output logic done);",
            f"  logic [{units - 1}:0] all_done;",
            "  assign done = &all_done;",
            *body,
            "endmodule",
            "",
        ]
    )


def bits_of(*rows, bits):
    """One word of rows of elements, as bits [1, PE, SIMD, bit]."""
    return (np.array([rows])[..., None] >> np.arange(bits)) & 1


def test_tiles_follow_each_other_in_a_memory():
    # two rows of five words, in tiles of two
    words = np.arange(10)[:, None]
    assert tile_by_tile(words, [2, 2, 1]).ravel().tolist() == [0, 1, 5, 6, 2, 3, 7, 8, 4, 9]


def test_planes_of_a_word():
    # two rows of two 2-bit elements
    word = bits_of((1, 2), (3, 0), bits=2)
    assert hex_words(word) == ["39"]
    assert hex_words(by_planes(word, 1)) == [f"{0b0101_1001:02x}"]


def test_order_of_a_plane():
    # four 1-bit weights of one row; with 2-bit activations, elements 0, 2, 1, 3
    assert hex_words(by_planes(bits_of((0, 1, 0, 0), bits=1), 2)) == ["4"]


@pytest.mark.parametrize("weight_type", TYPES)
def test_memories_of_the_dsp_unit_are_finn_s(weight_type, tmp_path):
    datatype = DataType[weight_type]
    rng = np.random.default_rng(1)
    values = rng.integers(int(datatype.min()), int(datatype.max()) + 1, (12, 10))
    weights = np.where(values < 0, -1, 1) if weight_type == "BIPOLAR" else values
    unit = Unit("unit_0", 5, 3, weight_type, "INT4", weights, np.zeros((VECTORS, 12), np.int64))
    register_operators()
    operator = unit.operator(24)
    operator.set_nodeattr("resType", "dsp")
    paths = tmp_path / "ours.dat", tmp_path / "finn.dat"
    for path, write in zip(paths, (type(operator), FinnMVAU_rtl), strict=True):
        write.make_weight_file(operator, weights, "decoupled_verilog_dat", str(path))
    assert paths[0].read_bytes() == paths[1].read_bytes()
