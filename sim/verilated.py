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
_SPLIT = "VM_PARALLEL_BUILDS"
"""Make variable: whether a design is compiled in pieces, which does not concern the library."""
_SMALL = 3 << 20
"""Largest design, in bytes of C++, that is compiled in one piece."""


def in_one_piece(scratch: Path) -> list[str]:
    """Return make's arguments to compile a design as one file, which is faster for a small one.

    Without optimisation it is faster for any, since the compiler mostly reads headers.
    """
    large = sum(path.stat().st_size for path in scratch.glob("Vtop*.cpp")) > _SMALL
    if large and toolchain.compiler_optimises():
        return []
    # precompiling the header takes longer than reading it twice, so make must find it up to date
    (scratch / "Vtop__pch.h.fast.gch").touch()
    return [f"{_SPLIT}=0", "VK_PCH_I_FAST=-include Vtop__pch.h"]


def library_digest(scratch: Path, make_flags: Sequence[str]) -> str:
    """Hash everything that the objects of Verilator's library depend on, without the design."""
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
    names = re.findall(r"\w+", listed[1]) if listed else []
    stored.mkdir(parents=True, exist_ok=True)
    with FileLock(stored / ".lock"):
        missing = []
        for name in (f"{name}.o" for name in names):
            if (stored / name).exists():
                # a copy is newer than the makefile that it depends on
                shutil.copyfile(stored / name, scratch / name)
            else:
                missing.append(name)
        yield missing
        for name in missing:
            part = stored / f"{name}.part"
            shutil.copyfile(scratch / name, part)
            part.rename(stored / name)
