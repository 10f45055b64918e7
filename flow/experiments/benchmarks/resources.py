"""Resources of noise taps and kernels on two FPGAs, and their clock rate on one.

``python -m flow.experiments.benchmarks.resources taps ecp5`` prints a table of
``docs/results/resources.md``, a row as soon as it is measured.
"""

import argparse
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from flow.compiler.folding.taps import Generator
from flow.compiler.operators.kernel import SHARED
from flow.compiler.operators.noise_tap import NoiseTap_rtl
from flow.errors import UserError, unknown
from flow.noise.hardware import kinds
from flow.paths import HW
from flow.rtl import ecp5, synthesis
from flow.rtl.synthesis import Design, NotSynthesised

CHANNELS, PIXELS = 64, 16
KINDS_OF_TAPS: Mapping[str, Sequence[str]] = {
    "every": kinds.KINDS,
    "no ADC": [kind for kind in kinds.KINDS if kind != kinds.ADC],
    "additive": ["additive"],
}
CHOICES = tuple(f"{lanes}@{clocks}" for lanes in (1, 2, 4, 8) for clocks in (1, 4, 10))
GAINS = "160'h" + "".join(f"{(37 * lane + 101) % 512:03x}" for lane in range(14))[:40]
"""Unlike gains of 10 bits, of four lanes in four beats."""
KERNELS: Mapping[str, tuple[str, Mapping[str, int | str]]] = {
    "lut_mvu 1 × 16": ("lut_mvu", {"MW": 64, "MH": 64, "PE": 1, "SIMD": 16, "ACCU_WIDTH": 10}),
    "lut_mvu 4 × 32": ("lut_mvu", {"MW": 64, "MH": 64, "PE": 4, "SIMD": 32, "ACCU_WIDTH": 10}),
    "lut_mvu 1 × 16, short paths": ("lut_mvu", {"MW": 64, "MH": 64, "PE": 1, "SIMD": 16,
                                               "ACCU_WIDTH": 10, "SHORT_PATHS": 1}),
    "lut_mvu 4 × 32, short paths": ("lut_mvu", {"MW": 64, "MH": 64, "PE": 4, "SIMD": 32,
                                               "ACCU_WIDTH": 10, "SHORT_PATHS": 1}),
    "lut_vvu 4 × 1": ("lut_vvu", {"MW": 9, "PE": 4, "SIMD": 1, "WEIGHT_WIDTH": 4,
                                  "ACTIVATION_WIDTH": 4, "ACCU_WIDTH": 12}),
    "tile_accumulator 1": ("tile_accumulator", {"CHANNELS": 64, "PE": 1, "TILES": 3}),
    "thresholds 1": ("thresholds", {"CHANNELS": 64, "PE": 1, "IN_WIDTH": 16,
                                    "THRESHOLD_WIDTH": 16}),
    "pool 4, maximum": ("pool", {"PE": 4}),
    "pool 4, sum": ("pool", {"PE": 4, "SUM": 1, "WINDOW": 16, "IN_WIDTH": 4, "OUT_WIDTH": 8}),
    "adder 4": ("adder", {"PE": 4}),
    "adder 4, gains": ("adder", {"PE": 4, "A_WIDTH": 16, "B_WIDTH": 16, "FOLDS": 4,
                                 "GAIN_WIDTH": 10, "A_GAINS": GAINS, "B_GAINS": GAINS,
                                 "OUT_WIDTH": 27}),
    "multiplier 4": ("multiplier", {"PE": 4}),
    "upsampler 4": ("upsampler", {"WIDTH": 16, "FOLDS": 16, "COLUMNS": 16}),
    "concatenator 4": ("concatenator", {"PE": 4}),
    "input_planes 4": ("input_planes", {"LANES": 4, "BEATS": 16}),
    "duplicator": ("duplicator", {"WIDTH": 32}),
    "label_select 1": ("label_select", {"LABELS": 10, "PE": 1, "IN_WIDTH": 32}),
    "dwc_axi 24 to 3": ("dwc_axi", {"IBITS": 24, "OBITS": 3}),
    "dwc_axi 9 to 7": ("dwc_axi", {"IBITS": 9, "OBITS": 7}),
    "stream_register": ("stream_register", {"WIDTH": 32}),
    "stream_fifo 32": ("stream_fifo", {"DEPTH": 32, "WIDTH": 16}),
    "memstream_axi 256": ("memstream_axi", {"DEPTH": 256, "WIDTH": 32}),
}  # fmt: skip
"""Kernels with their parameters; two operand bits of a matrix-vector unit, and four of a channel's.

Numbers are PE × SIMD of a unit, lanes of another kernel, bits of a converter or words of a memory.
"""
PARTS: Mapping[str, tuple[str, Mapping[str, int | str]]] = {
    "philox_core": ("philox_core", {}),
    "table_samples": ("table_samples", {}),
    "table_samples, loadable": ("table_samples", {"LOADABLE": 1}),
    "pipelined_lane, additive": ("pipelined_lane", {"MULTIPLIES": 0, "GAINS": 0}),
    "pipelined_lane, every kind": ("pipelined_lane", {}),
    "serial_output, one execution": ("serial_output", {"PE": 1, "MEANS": 0}),
    "serial_output, means": ("serial_output", {"PE": 1}),
    "stream_digest": ("stream_digest", {"WIDTH": 16, "BEATS": CHANNELS * PIXELS}),
    "tap_position": ("tap_position", {"BEATS": CHANNELS * PIXELS}),
    "tap_settings, additive": ("tap_settings", {"KINDS": "6'd0"}),
    "tap_settings, every kind": ("tap_settings", {}),
    "serial_drift": ("serial_drift", {}),
    "serial_adc": ("serial_adc", {"CHANNELS": CHANNELS, "PE": 1}),
}
"""Parts of an iterated tap of one lane, each alone; those of several kinds in each."""
_WITH = {"lut_mvu": ("lut_operands", "lut_sums"), "lut_vvu": ("lut_operands",)}
"""Modules that a kernel contains, besides those that any may contain."""
_THRESHOLDS = "thresholds.dat"
HEADS = {
    "ecp5": ("LUT4", "LUT sites", "FF", "MULT18", "EBR", "MHz"),
    "xcup": ("LUT", "FF", "DSP", "BRAM", "LUT as memory"),
}
"""Columns of each family."""
ROOT = Path("build/synthesis")


def parameters(lanes: int, clocks: int, built: Sequence[str]) -> dict[str, str | int]:
    """Return the parameters of a tap of 8 bits in and 16 out, built for these kinds."""
    given = kinds.parameter(built)
    chosen = Generator.of(CHANNELS, lanes, clocks, kinds.draws(given))
    return {
        "CHANNELS": CHANNELS,
        "PIXELS": PIXELS,
        "PE": lanes,
        "KINDS": f"{len(kinds.PARTS)}'d{given}",
        "CORES": chosen.cores,
        "SOURCES": chosen.sources,
        "DIGEST_LANES": chosen.digest_lanes,
    }


def tap(given: Mapping[str, str | int]) -> Design:
    """Return a tap with these parameters."""
    return _design("noise_tap", (*SHARED, *NoiseTap_rtl.sources), given)


def kernel(module: str, given: Mapping[str, str | int]) -> Design:
    """Return a kernel with these parameters; thresholds get values, as they are constants."""
    names = [f"kernels/{name}.sv" for name in (*_WITH.get(module, ()), module)]
    design = _design(module, [*SHARED, *(name for name in names if name not in SHARED)], given)
    if module != "thresholds":
        return design
    beats, steps = int(given["CHANNELS"]) // int(given["PE"]), 3
    digits = -(-int(given["THRESHOLD_WIDTH"]) // 4)
    words = [
        "".join(f"{(977 * beat + 4099 * step) % 16**digits:0{digits}x}" for step in range(steps))
        for beat in range(beats)
    ]
    return dataclasses.replace(
        design,
        memories={_THRESHOLDS: "\n".join(words).encode()},
        parameters={**given, "FILE": f'"data/{_THRESHOLDS}"'},
    )


def _design(top: str, names: Sequence[str], given: Mapping[str, str | int]) -> Design:
    return Design(top, {Path(n).name: (HW / n).read_text() for n in names}, parameters=given)


def taps(family: str, chosen: Sequence[str], place: bool) -> Iterator[list[str]]:
    """Yield the rows of a family's table of taps; equal taps are measured once."""
    asked = [one for one in chosen if "@" in one] or CHOICES
    names = [one for one in chosen if one in KINDS_OF_TAPS] or KINDS_OF_TAPS
    known: dict[str, list[str]] = {}
    for lanes, clocks in ([int(n) for n in one.split("@")] for one in asked):
        for name in names:
            given = parameters(lanes, clocks, KINDS_OF_TAPS[name])
            generator = f"{given['SOURCES']} × {given['CORES']}" if given["CORES"] else "unrolled"
            design = tap(given)
            if design.overrides not in known:
                known[design.overrides] = measured(design, family, place)
            yield [str(lanes), str(clocks), name, generator, *known[design.overrides]]


def parts(family: str, chosen: Sequence[str], place: bool) -> Iterator[list[str]]:
    """Yield the rows of a family's table of a tap's parts."""
    for name, (module, given) in PARTS.items():
        if not chosen or module in chosen:
            design = _design(module, (*SHARED, *NoiseTap_rtl.sources), given)
            yield [name, *measured(design, family, place)]


def kernels(family: str, chosen: Sequence[str], place: bool) -> Iterator[list[str]]:
    """Yield the rows of a family's table of kernels."""
    for name, (module, given) in KERNELS.items():
        if not chosen or module in chosen:
            yield [name, *measured(kernel(module, given), family, place)]


def measured(design: Design, family: str, place: bool) -> list[str]:
    """Return a module's cells of a family's table, or the reason why there are none."""
    try:
        if family == "xcup":
            one = synthesis.synthesise(design, ROOT, limit=3600)
            return [f"{n:,}" for n in (one.lut, one.ff, one.dsp, one.bram, one.lutram)]
        found = ecp5.measure(design, place)
    except NotSynthesised as error:
        return [str(error)]
    counts = [f"{n:,}" for n in dataclasses.astuple(found.cells)]
    return [*counts, found.reason or "–" if found.mhz is None else f"{found.mhz:.0f}"]


TABLES = {
    "taps": (
        ("lanes", "clocks a beat", "kinds", "sources × cores"),
        taps,
        {*CHOICES, *KINDS_OF_TAPS},
    ),
    "parts": (("part",), parts, {module for module, _ in PARTS.values()}),
    "kernels": (("kernel",), kernels, {module for module, _ in KERNELS.values()}),
}
"""Each table's first columns, what yields its rows, and the words that choose some of them."""


def check(table: str, chosen: Sequence[str]) -> None:
    """Raise a UserError for a word that chooses no row of a table."""
    for word in chosen:
        if table == "taps" and (found := re.fullmatch(r"(\d+)@(\d+)", word)):
            lanes, clocks = map(int, found.groups())
            if not lanes or CHANNELS % lanes or not clocks:
                raise UserError(
                    f"{word}: lanes must divide {CHANNELS} channels, and clocks be 1 or more"
                )
        elif word not in TABLES[table][2]:
            raise unknown(f"row of {table}", word, TABLES[table][2])


def main(words: Sequence[str] | None = None) -> None:
    """Print a table, a row as soon as it is measured.

    Args:
        words: those of the command line by default.
    """
    parser = argparse.ArgumentParser(
        prog="python -m flow.experiments.benchmarks.resources",
        description="Count what noise taps and kernels take on an FPGA.",
    )
    parser.add_argument("table", choices=TABLES, help="taps, parts of an iterated tap, or kernels")
    parser.add_argument("family", choices=HEADS, help="Lattice ECP5 or Xilinx UltraScale+")
    parser.add_argument(
        "rows", nargs="*", help="1@10, a tap of one lane with a beat in ten clocks; kinds of noise "
        f"of taps ({', '.join(KINDS_OF_TAPS)}); or names of modules; all rows by default"
    )  # fmt: skip
    parser.add_argument("--place", action="store_true", help="on an ECP5, place and route as well")
    given = parser.parse_intermixed_args(words)
    try:
        check(given.table, given.rows)
        if given.place and given.family != "ecp5":
            raise UserError("--place is of ecp5: leave it out")
    except UserError as error:
        parser.error(str(error))
    first, rows, _ = TABLES[given.table]
    heads = [*first, *HEADS[given.family]]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    for row in rows(given.family, given.rows, given.place):
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
