"""Fast compilation of the C++ that Verilator generates."""

import hashlib
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from sim import toolchain

POPCOUNT = Path(__file__).with_name("popcount.h")
FST = Path(__file__).with_name("fst")
"""Headers that replace the libraries of Verilator's FST writer."""
_SOURCE = "verilator_headers.h"
_INCLUDES = """\
#include "verilated.h"
#include "verilated_dpi.h"
#include "verilated_vpi.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
#endif
"""
_HEADER = f"{_SOURCE}.fast"
"""Verilator's headers, precompiled beside it under the name that Verilator's makefile gives."""
_INCLUDE = '#include "{}"\n'
_ONCE = f'#pragma GCC push_options\n#pragma GCC optimize("O0")\n{_INCLUDE}#pragma GCC pop_options\n'
_SPLIT = "VM_PARALLEL_BUILDS"
"""Make variable: whether a design is compiled in pieces, which does not concern the library."""
_SMALL = 3 << 20
"""Largest design, in bytes of C++, that is compiled in one piece."""


def in_one_piece(scratch: Path, main: Path, headers: Path) -> list[str]:
    """Join a design and its ``main`` to one file, and return make's arguments to compile that.

    The compiler mostly reads Verilator's headers, which ``headers`` holds precompiled.
    """
    sources = [headers / _HEADER, *sorted(scratch.glob("Vtop*.cpp")), main]
    # what Verilator calls slow runs once, at the start
    lines = [(_ONCE if "Slow" in one.name else _INCLUDE).format(one) for one in sources]
    # newer than what it includes, so that make does not write its own
    (scratch / "Vtop__ALL.cpp").write_text("".join(lines))
    return [f"{_SPLIT}=0", "VM_USER_CLASSES="]


def fits_one_piece(scratch: Path) -> bool:
    """Return whether a design is compiled faster as one file: without optimisation, any is."""
    small = sum(path.stat().st_size for path in scratch.glob("Vtop*.cpp")) <= _SMALL
    return small or not toolchain.compiler_optimises()


def library_digest(scratch: Path, make_flags: Sequence[str]) -> str:
    """Hash everything that Verilator's library and headers depend on, without the design."""
    # classes of the design are listed below their variable's name, followed by settings
    settings = [
        line
        for line in (scratch / "Vtop_classes.mk").read_text().splitlines()
        if line.startswith("VM_") and not line.endswith("\\") and _SPLIT not in line
    ]
    options = re.search(
        r"^VM_USER_CFLAGS = (.*?)\n\n", (scratch / "Vtop.mk").read_text(), re.DOTALL | re.MULTILINE
    )
    tools = [toolchain.versions(), toolchain.machine()]
    parts = [*settings, *make_flags, options[1] if options else "", *tools]
    parts += [path.read_text() for path in (POPCOUNT, *sorted(FST.iterdir()))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@contextmanager
def library(scratch: Path, stored: Path) -> Iterator[list[str]]:
    """Provide the objects of Verilator's library, which take longer to compile than a kernel.

    Args:
        scratch: folder with a design's C++, which receives the objects.
        stored: folder of stored objects; concurrent users of it wait.

    Yields:
        Names of the objects that the caller has to compile, which are stored afterwards.
    """
    listed = re.search(
        r"^VM_GLOBAL_FAST \+= \\\n(.*?)\n\n",
        (scratch / "Vtop_classes.mk").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    names = [f"{name}.o" for name in (re.findall(r"\w+", listed[1]) if listed else [])]
    with _missing(names, scratch, stored) as missing:
        for name in set(names).difference(missing):
            # a copy is newer than the makefile that it depends on
            shutil.copyfile(stored / name, scratch / name)
        yield missing


@contextmanager
def precompiled(scratch: Path, stored: Path) -> Iterator[list[str]]:
    """Provide Verilator's headers precompiled; arguments as for `library`.

    Yields:
        What make needs to compile them, which are stored afterwards; nothing if they are stored.
    """
    (scratch / _SOURCE).write_text(_INCLUDES)
    with _missing([_HEADER, f"{_HEADER}.gch"], scratch, stored) as missing:
        shutil.copyfile(scratch / _SOURCE, scratch / _HEADER)
        yield [f"VK_PCH_H={_SOURCE}", f"{_HEADER}.gch"] if missing else []


@contextmanager
def _missing(names: Sequence[str], scratch: Path, stored: Path) -> Iterator[list[str]]:
    """Yield the files that are not stored yet; what the caller makes of them is stored then."""
    stored.mkdir(parents=True, exist_ok=True)
    with FileLock(stored / ".lock"):
        missing = [name for name in names if not (stored / name).exists()]
        yield missing
        for name in missing:
            part = stored / f"{name}.part"
            shutil.copyfile(scratch / name, part)
            part.rename(stored / name)
