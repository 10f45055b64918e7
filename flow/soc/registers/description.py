"""The registers of the accelerator's port: everything that follows from their one description.

``python -m flow.soc.registers.description`` updates what lies in the repository: the class for
Python and the table of the docs. The register file and the C header are written where a system is
built.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flow.paths import HW, REPOSITORY
from flow.soc.registers.access import Field, Register

DESCRIPTION = HW / "soc" / "registers.rdl"
CLASS = Path(__file__).with_name("generated.py")
PAGE = REPOSITORY / "docs" / "reference" / "registers.md"
MODULE = "noise_registers"
HEADER = f"{MODULE}.h"
_BEGIN, _END = "<!-- registers: begin -->", "<!-- registers: end -->"


@dataclass(frozen=True)
class Described:
    """A register with its description."""

    name: str
    register: Register
    text: str
    notes: tuple[str, ...]
    """Description of each field; empty where there is none."""
    tap: bool
    """Whether each tap has this register."""


def _elaborated(taps: int = 1, words: int = 1, classes: int = 10):
    from peakrdl_regblock.udps import ALL_UDPS
    from systemrdl import RDLCompiler

    compiler = RDLCompiler()
    for definition in ALL_UDPS:
        compiler.register_udp(definition)
    compiler.compile_file(str(DESCRIPTION))
    parameters: dict[str, Any] = {"NUM_TAPS": taps, "NUM_WORDS": words, "NUM_CLASSES": classes}
    return compiler.elaborate(parameters=parameters)


def write_verilog(folder: Path, taps: int, words: int, classes: int) -> list[Path]:
    """Write the register file of an accelerator.

    Args:
        folder: folder of the sources.
        taps: number of the accelerator's taps.
        words: number of 32-bit words of an image in memory.
        classes: number of classes of the network.

    Returns:
        the sources, the package first.
    """
    from peakrdl_regblock import RegblockExporter
    from peakrdl_regblock.cpuif.axi4lite import AXI4Lite_Cpuif_flattened

    RegblockExporter().export(
        _elaborated(taps, words, classes),
        str(folder),
        cpuif_cls=AXI4Lite_Cpuif_flattened,
        module_name=MODULE,
        package_name=f"{MODULE}_pkg",
        err_if_bad_addr=True,
        err_if_bad_rw=True,
        default_reset_activelow=True,
        # else a read goes through a chain of a multiplexer for each register of each tap
        retime_read_fanin=True,
    )
    return [folder / f"{MODULE}_pkg.sv", folder / f"{MODULE}.sv"]


def write_header(folder: Path) -> Path:
    """Write the C header, which serves any number of taps."""
    from peakrdl_cheader.exporter import CHeaderExporter

    path = folder / HEADER
    CHeaderExporter().export(_elaborated(), str(path), reuse_typedefs=False)
    return path


def described() -> list[Described]:
    """Return the registers in the order of their addresses; those of a tap once."""
    from systemrdl.node import RegfileNode, RegNode

    found: list[Described] = []
    for child in _elaborated().top.children(unroll=True):
        if isinstance(child, RegfileNode):
            found += [_read(node, True) for node in child.children() if isinstance(node, RegNode)]
        elif isinstance(child, RegNode):
            found.append(_read(child, False))
    return found


def tap_block() -> tuple[int, int]:
    """Return where the registers of the first tap are, and those of the next one from there."""
    node = _elaborated(taps=2).find_by_path(f"{MODULE}.tap[0]")
    return node.absolute_address, node.array_stride


def address_width(taps: int) -> int:
    """Return the number of bits of a register address, in bytes, with this many taps."""
    first, stride = tap_block()
    return (first + taps * stride - 1).bit_length()


def _read(node, tap: bool) -> Described:
    fields, notes = [], []
    reset: int | None = 0
    for field in node.fields():
        fields.append(Field(field.inst_name, field.low, field.width))
        notes.append(field.get_property("desc", default="") or "")
        value = field.get_property("reset")
        reset = None if reset is None or value is None else reset | value << field.low
    access = ("r" if node.has_sw_readable else "") + ("w" if node.has_sw_writable else "")
    offset = node.address_offset
    register = Register(offset, access, reset, tuple(fields))
    text = node.get_property("desc") or ""
    return Described(node.inst_name, register, text, tuple(notes), tap)


def class_text() -> str:
    """Return the module with the class for Python, as ruff formats it."""
    said = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--stdin-filename", CLASS.name, "-"],
        cwd=REPOSITORY,
        input="\n".join([*_class_lines(), ""]),
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout


def _class_lines() -> Iterator[str]:
    registers = described()
    first, stride = tap_block()
    yield '"""Generated from hw/soc/registers.rdl by `python -m flow.soc.registers.description`."""'
    yield ""
    yield "from flow.soc.registers.access import Block, Field, Register"
    for name, tap in (("TapRegisters", True), ("NoiseRegisters", False)):
        whose = "one noise tap" if tap else "an accelerator with noise taps"
        yield from ("", "", f"class {name}(Block):", f'    """Registers of {whose}."""', "")
        yield "    REGISTERS = {  # noqa: RUF012"
        for one in registers:
            if one.tap == tap:
                yield from _entry(one)
        yield "    }"
    yield from (
        "",
        '    def tap(self, index: int) -> "TapRegisters":',
        '        """Return the registers of a tap."""',
        f"        place = self.base + {first:#x} + {stride:#x} * index",
        "        return TapRegisters(self._read, self._write, place)",
    )


def _entry(one: Described) -> Iterator[str]:
    register = one.register
    reset = "None" if register.reset is None else f"{register.reset:#x}"
    yield f'        "{one.name}": Register('
    yield f'            {register.offset:#x}, "{register.access}", {reset},'
    yield "            ("
    for field in register.fields:
        yield f'                Field("{field.name}", {field.low}, {field.width}),'
    yield "            ),"
    yield "        ),"


def table_text() -> str:
    """Return the table of the docs."""
    first, stride = tap_block()
    lines = ["| address | name | access | reset | |", "|---|---|---|---|---|"]
    for one in described():
        register = one.register
        address = f"{register.offset:#05x}"
        if one.tap:
            address = f"{first + register.offset:#05x} + {stride:#x} t"
        reset = "" if register.reset is None or "r" not in register.access else register.reset
        name = f"TAP[t].{one.name}" if one.tap else one.name
        shown = f"{reset:#x}" if isinstance(reset, int) else reset
        lines.append(f"| {address} | {name} | {register.access} | {shown} | {_said(one)} |")
    return "\n".join(lines)


def _said(one: Described) -> str:
    parts = [
        f"{field.low if field.width == 1 else f'{field.low + field.width - 1}:{field.low}'} "
        f"{field.name}: {note}"
        for field, note in zip(one.register.fields, one.notes, strict=True)
        if note
    ]
    width = sum(field.width for field in one.register.fields)
    if not parts and width < 32:
        parts = [f"{width} bits" if width > 1 else "bit 0"]
    return "; ".join([one.text, *parts])


def page_text() -> str:
    """Return the page of the docs with the table as it should be."""
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n\n{table_text()}\n\n{_END}{after}"


def main() -> None:
    """Write what lies in the repository."""
    CLASS.write_text(class_text())
    PAGE.write_text(page_text())


if __name__ == "__main__":
    main()
