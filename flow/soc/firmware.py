"""The firmware: C sources of ``hw/soc/firmware`` to a memory image of the RISC-V core."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flow.errors import UserError
from flow.paths import HW
from flow.soc.registers import description

SOURCES = HW / "soc" / "firmware"
JOB = ("start.S", "platform.c", "noisewalk.c", "vote.c", "main.c")
"""Sources of the firmware that does the job in its memory."""
BOARD = ("start.S", "platform.c", "noisewalk.c", "frame.c", "board.c")
"""Sources of the firmware that is fed over the serial line."""
ROOM = 16 * 1024
"""Bytes of memory for program, data and stack; what is behind is the job's."""
STACK = 1024
"""Bytes of it that the stack needs at least."""

_SIZES = ("driver", "firmware")
_TRIPLE = "riscv64-unknown-elf"
PACKAGES = (f"gcc-{_TRIPLE}", f"picolibc-{_TRIPLE}")
"""Debian's."""
_TARGET = ("--specs=picolibc.specs", "-march=rv32im", "-mabi=ilp32")
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror")
_COMPILE = (*WARNINGS, "-O2", "-ffunction-sections", "-fdata-sections")


@dataclass(frozen=True)
class Firmware:
    """A linked firmware."""

    elf: Path
    words: npt.NDArray[np.uint32]
    """What memory holds from address 0 on."""
    driver_bytes: int
    """Code and constants of the driver library."""
    program_bytes: int
    """Code and constants of everything."""
    data_bytes: int
    """Variables."""


def missing() -> str:
    """Return what is missing of the cross compiler, and how to get it; empty if nothing is."""
    lacking = []
    if shutil.which(f"{_TRIPLE}-gcc") is None:
        lacking = list(PACKAGES)
    else:
        said = _run([f"{_TRIPLE}-gcc", "--print-file-name=picolibc.specs"]).stdout.strip()
        if not Path(said).is_file():
            lacking = [PACKAGES[1]]
    if not lacking:
        return ""
    return (
        f"the firmware needs a cross compiler, and this machine lacks {' and '.join(lacking)}; on "
        f"Debian or Ubuntu: sudo apt-get install {' '.join(PACKAGES)}"
    )


def require() -> None:
    """Raise a UserError if the firmware cannot be compiled here."""
    if lack := missing():
        raise UserError(lack)


def build(
    folder: Path,
    room: int = ROOM,
    units: Sequence[str] = JOB,
    defines: Mapping[str, int] | None = None,
) -> Firmware:
    """Compile and link.

    Args:
        folder: gets the header of the registers, objects, ``firmware.elf`` and ``firmware.bin``.
        room: bytes of memory it may take.
        units: its sources.
        defines: macros of the preprocessor.

    Raises:
        UserError: the cross compiler is missing, or the firmware does not fit.
        RuntimeError: it cannot be compiled; the message is the compiler's.
    """
    require()
    folder.mkdir(parents=True, exist_ok=True)
    description.write_header(folder)
    compiler = [f"{_TRIPLE}-gcc", *_TARGET]
    objects = []
    macros = [f"-D{name}={value}" for name, value in (defines or {}).items()]
    for unit in units:
        objects.append(str(folder / f"{Path(unit).stem}.o"))
        options = [*_COMPILE, *macros, f"-I{folder}", f"-I{SOURCES}", "-c", str(SOURCES / unit)]
        _checked(_run([*compiler, *options, "-o", objects[-1]]))
    elf, image = folder / "firmware.elf", folder / "firmware.bin"
    script = ["-nostartfiles", "-T", str(SOURCES / "link.ld"), "-Wl,--gc-sections"]
    script += ["-Wl,--fatal-warnings,--no-warn-rwx-segments"]
    script += [f"-Wl,--defsym=FIRMWARE_BYTES={room},--defsym=STACK_BYTES={STACK}"]
    linked = _run([*compiler, *script, *objects, "-o", str(elf)])
    if over := re.search(r"region `firmware' overflowed by (\d+) bytes", linked.stderr):
        raise UserError(
            f"the firmware does not fit into its {room} bytes of memory: it needs {over[1]} more; "
            "make it smaller, or ROOM in flow/soc/firmware.py larger"
        )
    _checked(linked)
    _checked(_run([f"{_TRIPLE}-objcopy", "-O", "binary", str(elf), str(image)]))
    sizes = dict(zip(_SIZES, (_sizes(folder / "noisewalk.o"), _sizes(elf)), strict=True))
    (folder / "sizes.json").write_text(json.dumps(sizes))
    return read(folder)


def read(folder: Path) -> Firmware:
    """Read what ``build`` has written."""
    content = (folder / "firmware.bin").read_bytes()
    words = np.frombuffer(content + bytes(-len(content) % 4), dtype="<u4").astype(np.uint32)
    sizes = json.loads((folder / "sizes.json").read_text())
    (driver, _), (program, data) = (sizes[name] for name in _SIZES)
    return Firmware(folder / "firmware.elf", words, driver, program, data - STACK)


def _sizes(path: Path) -> tuple[int, int]:
    """Return the bytes of code with constants, and of variables."""
    said = _run([f"{_TRIPLE}-size", str(path)]).stdout.splitlines()[1].split()
    return int(said[0]), int(said[1]) + int(said[2])


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True)


def _checked(ended: subprocess.CompletedProcess[str]) -> None:
    if ended.returncode:
        raise RuntimeError(f"{' '.join(ended.args)}\n{ended.stderr}")
