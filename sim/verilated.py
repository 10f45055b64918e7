"""The C++ that Verilator writes, compiled with the least work."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sim import toolchain

POPCOUNT = Path(__file__).with_name("popcount.h")
FST = Path(__file__).with_name("fst")
"""Headers in place of the libraries that Verilator's FST writer asks for."""
_SMALL = 3 << 20
"""Bytes of C++ up to which a design is compiled in one piece."""


def in_one_piece(scratch: Path) -> list[str]:
    """Return make's arguments to compile a small design as one file, which is less work."""
    if sum(path.stat().st_size for path in scratch.glob("Vtop*.cpp")) > _SMALL:
        return []
    # it takes longer to precompile the header than to read it twice: make finds it done
    (scratch / "Vtop__pch.h.fast.gch").touch()
    return ["VM_PARALLEL_BUILDS=0", "VK_PCH_I_FAST=-include Vtop__pch.h"]


def library_digest(scratch: Path, make_flags: Sequence[str]) -> str:
    """Hash what the objects of Verilator's own library depend on, design and top left out."""
    # the design's classes are listed below their names, settings stand behind them
    settings = [
        line
        for line in (scratch / "Vtop_classes.mk").read_text().splitlines()
        if line.startswith("VM_") and not line.endswith("\\")
    ]
    options = re.search(
        r"^VM_USER_CFLAGS = (.*?)\n\n", (scratch / "Vtop.mk").read_text(), re.DOTALL | re.MULTILINE
    )
    tools = [toolchain.versions(), toolchain.machine()]
    parts = [*settings, *make_flags, options[1] if options else "", *tools]
    parts += [path.read_text() for path in (POPCOUNT, *sorted(FST.iterdir()))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def store_library(scratch: Path, runtime: Path) -> None:
    """Keep the objects of Verilator's library, which take longer to compile than a kernel."""
    if runtime.exists():
        return
    folder = Path(tempfile.mkdtemp(prefix=f".{runtime.name}-", dir=runtime.parent))
    for path in scratch.glob("verilated*.o"):
        shutil.copyfile(path, folder / path.name)
    try:
        folder.rename(runtime)
    except OSError:
        # another process stored them first
        shutil.rmtree(folder)
