"""Files and folders that are written whole or not at all."""

import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flow.errors import Fatal, UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, renamed to `path` at the end, or removed.

    Raises:
        Fatal: the folder cannot be written (missing, read-only, full).
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        os.close(handle)
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes it private
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise Fatal(
            f"cannot write {path}: {error.strerror or error}; free some space, or choose a results "
            "folder that can be written (what was finished before is kept)"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def save_arrays(path: Path, **arrays: npt.ArrayLike) -> None:
    """Write a compressed ``.npz`` file with these arrays, whole or not at all.

    It is packed in memory: an archive that is being written to a file would, where a signal
    interrupts it, try to complete that file after it was closed.

    Raises:
        Fatal: the folder cannot be written.
    """
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    with replacing(path) as temporary:
        temporary.write_bytes(packed.getbuffer())


def canonical(key: Mapping[str, Any]) -> str:
    """JSON that is the same for equal keys; ValueError for NaN, TypeError for other objects."""
    return json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False)


def built_once(folder: Path, build: Callable[[Path], None]) -> None:
    """Build a folder under a temporary name and rename it, unless it exists.

    Args:
        folder: its final path; the first process that builds it wins.
        build: fills a folder with it.
    """
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent)).resolve()
    try:
        build(scratch)
        scratch.chmod(0o755)
        try:
            scratch.rename(folder)
        except OSError:
            # another process built the same first
            if not folder.exists():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def make_folder(path: Path) -> Path:
    """Make a folder for results if it does not exist; UserError if that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot use {path} for results: {error.strerror or error}; choose a folder that can "
            "be written"
        ) from error
    return path


def write_json(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the summary as JSON, whole or not at all; UserError if it cannot be written.

    NumPy numbers are accepted; NaN and infinity are not JSON, and raise ValueError.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, np.generic | np.ndarray):
            return value.tolist()
        if isinstance(value, Path):
            return str(value)
        raise TypeError(f"{type(value).__name__} does not go into JSON")

    text = json.dumps(summary, indent=1, allow_nan=False, default=plain, ensure_ascii=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


PLAN = "plan.json"
"""File in a walk's folder that names its stored points by side (`flow.walks.points.plan`)."""
