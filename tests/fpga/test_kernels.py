"""Each kernel alone as a netlist for an ECP5: in the kernel's own bench it streams as the RTL does.

Their tests in ``tests/hw/kernels`` compare the RTL's streams with FINN's.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from qonnx.core.datatype import DataType

from flow.compiler.finn import register_operators
from flow.compiler.stitch import DATA
from flow.fpga import check, netlist
from flow.rtl.synthesis import Design
from sim.runner import REPOSITORY
from tests.helpers import variants
from tests.helpers.variants import SHARED, STALLS, Instance, Variant
from tests.hw.kernels import (
    test_adder,
    test_concatenator,
    test_duplicator,
    test_input_planes,
    test_label_select,
    test_lut_mvu,
    test_lut_vvu,
    test_memstream,
    test_multiplier,
    test_pool,
    test_stream_fifo,
    test_thresholds,
    test_tile_accumulator,
    test_upsampler,
    test_width_converter,
)

KERNELS = REPOSITORY / "hw" / "kernels"
ASKED = os.environ.get("KERNELS", "lut_vvu,memstream_axi,thresholds")
"""Kernels to synthesise; KERNELS=all takes a minute."""
PORT = re.compile(r"^ *(?:input|output) (?:wire )?(?:\[\d+:0\] )?(\w+);", re.MULTILINE)


def matrix_unit(folder: Path) -> Variant:
    register_operators()
    unit = test_lut_mvu.random_unit("unit", 2, "INT3", "UINT2", simd=4, tile=2)
    operator, file = unit.operator(12), folder / "unit.dat"
    operator.make_weight_file(unit.weights, "decoupled_verilog_dat", str(file))
    words = [int(word, 16) for word in file.read_text().split()]
    beats = {"s_axis": unit.beats, "weights": words * len(unit.vectors)}
    count = len(unit.vectors) * unit.tiles * unit.weights.shape[1] // unit.pe
    job = {"beats": beats, "count": count, "clocks": 50_000}
    parameters = dict(re.findall(r"\.([A-Z_]+)\((\d[\w']*)\)", operator.lut_wrapper()))
    return Variant(parameters | {"SHORT_PATHS": 1}, [job | stalls for stalls in STALLS])


def vector_unit(folder: Path) -> Variant:
    register_operators()
    return test_lut_vvu.Unit.of(3, "INT3", "UINT4").variant(16, folder)


def many_thresholds(folder: Path) -> Variant:
    """Eight bits of output: so many steps that a chain of them would be too deep for Yosys."""
    rng = np.random.default_rng(1)
    kind = DataType["INT8"]
    thresholds = np.sort(rng.integers(-120, 120, (1, 254)), 1)
    values = rng.integers(-128, 128, (50, 1))
    case = test_thresholds.Case(1, 1, -127, kind, kind, kind, thresholds, values, [], [])
    return case.variant(folder / "thresholds.dat")


def one_register(folder: Path) -> Variant:
    beats = [[n * n % 32] for n in range(50)]
    job = {"beats": beats, "count": len(beats), "in_bits": 5}
    return Variant({"WIDTH": 5}, [job | stalls for stalls in STALLS])


@dataclass(frozen=True)
class Kernel:
    """A kernel's bench, and one set of its parameters with its jobs."""

    bench: str
    variant: Callable[[Path], Variant]
    """Writes the files that the kernel reads to a folder."""
    parts: Sequence[str] = ()
    """Modules that it contains, besides those that any may contain."""


TABLE: Mapping[str, Kernel] = {
    "adder": Kernel("join_bench", lambda f: test_adder.Case.of("INT3", "INT7", f).variant),
    "concatenator": Kernel(
        "join_bench", lambda f: test_concatenator.Case.of("UINT4", "INT7", f).variant
    ),
    "duplicator": Kernel("duplicator_bench", lambda f: test_duplicator.variant(3, 7, True)),
    "dwc_axi": Kernel("stream_bench", lambda f: test_width_converter.variant(9, 7)),
    "input_planes": Kernel("stream_bench", lambda f: test_input_planes.Case.of(3).variant),
    "label_select": Kernel(
        "stream_bench",
        lambda f: test_label_select.variant(
            test_label_select.few_bits(10, 4, False), 2, 3, 4, 0, STALLS
        ),
    ),
    "lut_mvu": Kernel("join_bench", matrix_unit, ("lut_operands", "lut_sums")),
    "lut_vvu": Kernel("join_bench", vector_unit, ("lut_operands",)),
    "memstream_axi": Kernel(
        "memstream_bench", lambda f: test_memstream.Memory(5, 13).variant(0.6, f)
    ),
    "multiplier": Kernel(
        "join_bench", lambda f: test_multiplier.Case.of("UINT3", "INT5", f).variant
    ),
    "pool": Kernel("stream_bench", lambda f: test_pool.CASES["QuantAvgPool", 1].variant),
    "stream_fifo": Kernel("stream_fifo_bench", lambda f: test_stream_fifo.variant(37, 20)),
    "stream_register": Kernel("stream_bench", one_register),
    "thresholds": Kernel("stream_bench", many_thresholds),
    "tile_accumulator": Kernel("stream_bench", lambda f: test_tile_accumulator.CASES[3].variant),
    "upsampler": Kernel("stream_bench", lambda f: test_upsampler.variant(0, f)),
}
WITHOUT_LOGIC = {"stream_checker"}
"""Assertions only."""
OF_SLICES = {"add_multi"}
"""Part of FINN's units in DSP slices of UltraScale+, which no ECP5 has."""
CHOSEN = list(TABLE) if ASKED == "all" else ASKED.split(",")


def test_every_kernel_is_in_the_table():
    parts = {part for kernel in TABLE.values() for part in kernel.parts}
    files = {path.stem for path in KERNELS.glob("*.sv")}
    assert files == {*TABLE, *parts, *WITHOUT_LOGIC, *OF_SLICES}
    for name, kernel in TABLE.items():
        texts = [(KERNELS / f"{one}.sv").read_text() for one in (name, *kernel.parts)]
        assert all(re.search(rf"^ +{p} #\(", "".join(texts), re.MULTILINE) for p in kernel.parts)


def sources(name: str) -> list[Path]:
    paths = [KERNELS / f"{one}.sv" for one in (*TABLE[name].parts, name)]
    return [*SHARED, *(path for path in paths if path not in SHARED)]


def mapped(name: str, variant: Variant, folder: Path, root: Path) -> tuple[Path, list[str]]:
    """Return a kernel's netlist as the module ``NAME_netlist`` in a file, and its ports."""
    texts = {path.name: path.read_text() for path in sources(name)}
    reads = {k: v.strip('"') for k, v in variant.parameters.items() if str(v).startswith('"')}
    memories = {file: (folder / file).read_bytes() for file in reads.values()}
    given = {**variant.parameters, **{k: f'"{DATA}/{file}"' for k, file in reads.items()}}
    design = Design(name, texts, memories, given)
    text = netlist.modelled(netlist.synthesise(design, root), root).read_text()
    file = folder / f"{name}_netlist.v"
    file.write_text(re.sub(rf"\bmodule {name}\(", f"module {name}_netlist(", text))
    return file, PORT.findall(text)


@pytest.fixture(scope="module")
def results(yosys, built, tmp_path_factory):
    """What RTL and netlist return for each job, by kernel."""
    folder = tmp_path_factory.mktemp("netlists")
    instances, files, public = [], {check.MODELS: None}, []
    for name in CHOSEN:
        kernel = TABLE[name]
        variant = kernel.variant(folder)
        file, ports = mapped(name, variant, folder, built / "fpga")
        files |= dict.fromkeys([*sources(name), file])
        public += [f"{name}.*", *(f"{name}_netlist.{port}" for port in ports)]
        bare = replace(variant, parameters={})
        instances += [
            Instance(name, kernel.bench, variant),
            Instance(f"{name}_netlist", kernel.bench, bare),
        ]
    found = variants.run(instances, list(files), public, folder, assertions=False)
    return dict(zip(CHOSEN, zip(found[::2], found[1::2], strict=True), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", CHOSEN)
def test_the_netlist_streams_as_the_rtl_does(name, results):
    rtl, netlist = results[name]
    assert all("error" not in job for job in (*rtl, *netlist)), (rtl, netlist)
    assert rtl and netlist == rtl
