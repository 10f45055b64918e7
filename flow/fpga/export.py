"""An accelerator as a folder for other tools: FuseSoC, Vivado, or any simulator."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from flow import hdl
from flow.compiler.accelerator import Accelerator
from flow.compiler.stitch import DATA
from flow.errors import UserError
from flow.files import built_once
from flow.fpga.noise_points import points
from flow.golden.model import Record
from flow.noise.hardware.registers import NAMES
from flow.rtl.simulate import stream_lines
from flow.soc import system
from flow.soc.registers import description
from flow.soc.registers.generated import NoiseRegisters, TapRegisters
from flow.soc.system import Port

TOP = "accelerator_axi"
MACRO = "NOISEWALK_DATA"
"""Preprocessor macro: folder of the memories, with a slash at its end."""
MODULES = ("tap_registers", "port_registers", "stream_port")
"""Modules of ``hw/soc`` in the folder."""
SAMPLE = 4
"""Images of the sample, clean and noisy."""
_MEMORY = re.compile(rf'"{DATA}/([^"]+)"')
_CLOCK_NS = 10


@dataclass(frozen=True)
class Exported:
    """Values of the templates of an exported folder."""

    network: str
    identifier: str
    sources: list[str]
    """Names in compile order."""
    memories: list[str]
    taps: int
    sites: str
    """Numbers of the taps, as a literal."""
    in_bits: int
    element_bits: int
    beats: int
    score_bits: int
    label_bits: int
    address_width: int
    cycles: int
    """Cycles per image."""


def export(accelerator: Accelerator, stream: Tensor, folder: Path) -> None:
    """Write a folder with an accelerator for other tools.

    Args:
        accelerator: the accelerator.
        stream: integers [images, elements], from which the sample is taken.
        folder: the new folder.

    Raises:
        UserError: the folder exists already, or the network has none of what registers need.
    """
    check_new(folder)
    port = Port(accelerator)
    built_once(folder, lambda scratch: _write(port, stream[:SAMPLE], scratch))


def check_new(folder: Path) -> None:
    """Raise a UserError if a folder is there already."""
    if folder.exists():
        raise UserError(f"{folder} exists already: give a new folder, or delete it")


def _write(port: Port, stream: Tensor, folder: Path) -> None:
    accelerator = port.accelerator
    rtl, data, sample = folder / "rtl", folder / DATA, folder / "sample"
    rtl.mkdir()
    sample.mkdir()
    shutil.copytree(accelerator.folder / DATA, data)
    taps = len(accelerator.manifest["sites"])
    registers = description.write_verilog(rtl, taps, port.image_words, port.classes)
    description.write_header(folder)
    own = [system.HW / f"{name}.sv" for name in MODULES]
    for path in (*accelerator.sources, *own):
        (rtl / path.name).write_text(with_macro(path.read_text()))
    inner = [path.name for path in (*registers, *accelerator.sources, *own)]
    values = _values(port, [*inner, f"{TOP}.v"])
    for template, path in {
        f"{TOP}.v.j2": rtl / f"{TOP}.v",
        "accelerator.core.j2": folder / f"{values.identifier}.core",
        "package_ip.tcl.j2": folder / "package_ip.tcl",
        "README.md.j2": folder / "README.md",
        "main.cpp.j2": sample / "main.cpp",
    }.items():
        path.write_text(hdl.render(__file__, template, values))
    (folder / "filelist.f").write_text("".join(f"rtl/{name}\n" for name in values.sources))
    (folder / "constraints.xdc").write_text(
        f"create_clock -name aclk -period {_CLOCK_NS} [get_ports aclk]\n"
    )
    (sample / "job.txt").write_text("".join(f"{line}\n" for line in job(accelerator, stream)))


def _values(port: Port, sources: list[str]) -> Exported:
    manifest = port.accelerator.manifest
    parameters: dict[str, Any] = port.parameters
    return Exported(
        network=manifest["network"],
        identifier=re.sub(r"\W", "_", manifest["network"]),
        sources=sources,
        memories=sorted(path.name for path in (port.accelerator.folder / DATA).iterdir()),
        taps=parameters["TAPS"],
        sites=parameters["SITES"],
        in_bits=parameters["IN_BITS"],
        element_bits=manifest["input"]["bits"],
        beats=parameters["BEATS"],
        score_bits=8 * -(-parameters["PE"] * parameters["SCORE_WIDTH"] // 8),
        label_bits=parameters["LABEL_BITS"],
        address_width=description.address_width(parameters["TAPS"]),
        cycles=manifest["cycles_per_image"],
    )


def with_macro(text: str) -> str:
    """Return HDL whose memories are in the folder of the macro, or in ``data/`` without it."""
    if not _MEMORY.search(text):
        return text
    default = f'`ifndef {MACRO}\n`define {MACRO} "{DATA}/"\n`endif\n'
    return default + _MEMORY.sub(rf'{{`{MACRO}, "\1"}}', text)


def job(accelerator: Accelerator, stream: Tensor) -> Iterator[str]:
    """Yield the lines of the sample: images without noise, then with noise at every site.

    Args:
        accelerator: the accelerator.
        stream: integers [images, elements].
    """
    golden, sites = accelerator.golden_model(), list(accelerator.sites)
    first, stride = description.tap_block()
    registers = NoiseRegisters.REGISTERS
    yield f"r {registers['IDENTIFICATION'].offset:x} {registers['IDENTIFICATION'].reset:x}"
    for run, noise in enumerate((points(accelerator)["clean"], points(accelerator)["every site"])):
        for tap, site in enumerate(sites):
            for address, value in noise[site].registers(run * len(stream)) if noise else ():
                offset = TapRegisters.REGISTERS[NAMES[address]].offset
                yield f"w {first + tap * stride + offset:x} {value:x}"
        record = Record(sites=sites)
        labels = golden.run(stream, noise, record=record).numpy()
        yield from (f"b {line}" for line in stream_lines(accelerator, stream))
        yield from (f"l {label:x}" for label in labels)
        for tap, site in enumerate(sites):
            digest = int(np.asarray(record.digests[site])[-1]) & 0xFFFFFFFF
            yield f"r {first + tap * stride + TapRegisters.REGISTERS['DIGEST'].offset:x} {digest:x}"
