"""The C++ that Verilator writes, compiled with the least work."""

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
"""Headers in place of the libraries that Verilator's FST writer asks for."""
_SPLIT = "VM_PARALLEL_BUILDS"
"""Whether a design is compiled in pieces, which its library never is."""
_SMALL = 3 << 20
"""Bytes of C++ up to which a design is compiled in one piece."""


def in_one_piece(scratch: Path) -> list[str]:
    """Return make's arguments to compile a small design as one file, which is less work."""
    if sum(path.stat().st_size for path in scratch.glob("Vtop*.cpp")) > _SMALL:
        return []
    # it takes longer to precompile the header than to read it twice: make finds it done
    (scratch / "Vtop__pch.h.fast.gch").touch()
    return [f"{_SPLIT}=0", "VK_PCH_I_FAST=-include Vtop__pch.h"]


def library_digest(scratch: Path, make_flags: Sequence[str]) -> str:
    """Hash what the objects of Verilator's own library depend on, design and top left out."""
    # the design's classes are listed below their names, settings stand behind them
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
    """Take the objects of Verilator's library, which take longer to compile than a kernel.

    Args:
        scratch: a design's C++; takes the objects.
        stored: where they are kept. Whoever needs them meanwhile waits.

    Yields:
        names of those that the caller has to compile; they are kept then.
    """
    listed = re.search(
        r"^VM_GLOBAL_FAST \+= \\\n(.*?)\n\n",
        (scratch / "Vtop_classes.mk").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    names = re.findall(r"\w+", listed[1]) if listed else []
    stored.mkdir(parents=True, exist_ok=True)
    with FileLock(stored / ".lock"):
        missing = []
        for name in (f"{name}.o" for name in names):
            if (stored / name).exists():
                # a copy is newer than the makefile it depends on
                shutil.copyfile(stored / name, scratch / name)
            else:
                missing.append(name)
        yield missing
        for name in missing:
            part = stored / f"{name}.part"
            shutil.copyfile(scratch / name, part)
            part.rename(stored / name)
