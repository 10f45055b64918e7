"""What a noise tap takes on two FPGAs, by lanes and by clocks between beats.

``python -m flow.experiments.benchmarks.tap_resources ecp5`` (or ``xcup``) prints a table of
``docs/results/resources.md``: each tap with the generator that the folding chooses, for every kind
of noise and for additive noise alone. ``--place`` places and routes on the ECP5 as well; numbers,
such as ``1@10 4@10``, choose lanes and clocks between beats.
"""

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from flow.compiler.folding.taps import Generator
from flow.compiler.operators.kernel import SHARED
from flow.compiler.operators.noise_tap import NoiseTap_rtl
from flow.paths import HW
from flow.rtl import ecp5, synthesis
from flow.rtl.synthesis import Design, NotSynthesised

CHANNELS, PIXELS = 64, 16
ADDITIVE = {"KINDS": "6'd0"}
CHOICES = tuple((lanes, clocks) for lanes in (1, 2, 4, 8) for clocks in (1, 4, 10))
HEADS = {
    "ecp5": ("LUT4", "LUT sites", "FF", "MULT18", "EBR", "MHz"),
    "xcup": ("LUT", "FF", "DSP", "BRAM", "LUT as memory"),
}
"""Columns of each family."""
ROOT = Path("build/synthesis")


def parameters(lanes: int, clocks: int) -> dict[str, str | int]:
    """Return the parameters of a tap of 8 bits in and 16 out."""
    chosen = Generator.of(CHANNELS, lanes, clocks)
    return {
        "CHANNELS": CHANNELS,
        "PIXELS": PIXELS,
        "PE": lanes,
        "CORES": chosen.cores,
        "SOURCES": chosen.sources,
        "SERIAL_DIGEST": int(chosen.serial_digest),
    }


def tap(given: Mapping[str, str | int]) -> Design:
    """Return a tap with these parameters."""
    names = (*SHARED, *NoiseTap_rtl.sources)
    sources = {Path(name).name: (HW / name).read_text() for name in names}
    return Design("noise_tap", sources, parameters=given)


def rows(family: str, choices: Sequence[tuple[int, int]], place: bool) -> Iterator[list[str]]:
    """Yield the rows of a family's table."""
    for lanes, clocks in choices:
        for kinds, name in (({}, "every"), (ADDITIVE, "additive")):
            given = parameters(lanes, clocks) | kinds
            generator = f"{given['SOURCES']} × {given['CORES']}" if given["CORES"] else "unrolled"
            try:
                cells = _lattice(given, place) if family == "ecp5" else _xilinx(given)
            except NotSynthesised as error:
                cells = [str(error)]
            yield [str(lanes), str(clocks), name, generator, *cells]


def _lattice(given: Mapping[str, str | int], place: bool) -> list[str]:
    found = ecp5.measure(tap(given), place)
    counts = dataclasses.astuple(found.cells)
    return [*(f"{n:,}" for n in counts), "–" if found.mhz is None else f"{found.mhz:.0f}"]


def _xilinx(given: Mapping[str, str | int]) -> list[str]:
    found = synthesis.synthesise(tap(given), ROOT, limit=3600)
    return [f"{n:,}" for n in (found.lut, found.ff, found.dsp, found.bram, found.lutram)]


def main() -> None:
    """Print a family's table, a row as soon as it is measured."""
    family = next((a for a in sys.argv[1:] if a in HEADS), "ecp5")
    asked = [(int(a.split("@")[0]), int(a.split("@")[1])) for a in sys.argv[1:] if "@" in a]
    heads = ["lanes", "clocks a beat", "kinds", "sources × cores", *HEADS[family]]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    for row in rows(family, asked or CHOICES, "--place" in sys.argv):
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
