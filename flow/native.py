"""C++ beside a module, compiled for this processor when it is first needed.

``kernel.cpp`` belongs to ``kernel.py``. The library lies in the user's cache, under a name that
hashes the source, the flags, and the macros that the compiler defines: these tell its version and
the processor's instruction sets. A library is written whole or not at all, so that processes may
race, and ends with a hash of itself, so that a damaged one is built again.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from flow.files import replacing

COMPILERS = ("g++", "clang++")
"""Compilers in order of preference; Verilator needs one of them anyway."""
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fPIC", "-shared")
"""Flags of every library."""
_TIMEOUT = 300
_DIGEST_SIZE = hashlib.sha256().digest_size


def source(reader: Path) -> Path:
    """Return the C++ file that belongs to a module.

    Args:
        reader: the module's file.
    """
    return reader.with_suffix(".cpp")


def load(reader: str) -> ctypes.CDLL:
    """Load the library of a module's C++ file, compiled first if it is not in the cache.

    Args:
        reader: ``__file__`` of the module.

    Raises:
        OSError: there is no compiler, or the cache cannot be read or written.
        RuntimeError: the compiler failed, or the user has no folder for the cache.
        subprocess.TimeoutExpired: the compiler takes too long.
        UserError: the library cannot be written.
    """
    path = source(Path(reader))
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise FileNotFoundError(f"no compiler: neither of {', '.join(COMPILERS)} is installed")
    macros = _run([compiler, *FLAGS, "-dM", "-E", "-x", "c++", os.devnull])
    digest = hashlib.sha256("\0".join([path.read_text(), *FLAGS, macros]).encode())
    library = _cache() / f"{path.stem}-{digest.hexdigest()[:16]}.so"
    if not _is_whole(library):
        with replacing(library) as made:
            _run([compiler, *FLAGS, "-o", str(made), str(path)])
            content = made.read_bytes()
            # a loader ignores what follows a library
            made.write_bytes(content + hashlib.sha256(content).digest())
    return ctypes.CDLL(str(library))


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "noisewalk"


def _is_whole(library: Path) -> bool:
    """Return whether a library is there as it was written: a shortened one would crash."""
    if not library.exists():
        return False
    content = library.read_bytes()
    return hashlib.sha256(content[:-_DIGEST_SIZE]).digest() == content[-_DIGEST_SIZE:]


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT)
    if done.returncode:
        first_line = done.stderr.strip().partition("\n")[0]
        raise RuntimeError(f"{command[0]} failed: {first_line}")
    return done.stdout
