"""Measured noise, read from a file."""

import hashlib
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from flow.errors import UserError
from flow.noise.quantile_table import QuantileTable


def read_samples(path: Path) -> tuple[Tensor, str]:
    """Read measured noise.

    Args:
        path: a ``.npy`` file of real numbers, any shape; a text file of numbers separated by white
            space; or a ``.npz`` file with a table of quantiles, written by `QuantileTable.write`.

    Returns:
        The samples, float32 [n] in ascending order, and their digest.

    Raises:
        UserError: the file is missing, unreadable or empty, or holds a number that is not finite,
            or only one value.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise UserError(f"cannot read noise samples from {path}: {error.strerror}") from error
    return _read(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def read_table(path: Path, digest: str) -> QuantileTable:
    """Return the table from which hardware draws measured noise.

    Args:
        path: a file of samples, as for `read_samples`.
        digest: the digest of the samples, from `read_samples`.

    Raises:
        UserError: as for `read_samples`, or the file has changed since.
    """
    samples, found = read_samples(path)
    if found != digest:
        raise UserError(f"{path} has changed since it was read: start again")
    if path.suffix == ".npz":
        return QuantileTable.read(path)
    return QuantileTable.of(samples.numpy())


@lru_cache(maxsize=8)
def _read(path: Path, modified: int, size: int) -> tuple[Tensor, str]:
    """Read a file, cached until it changes: each level of a walk makes its own noise."""
    if path.suffix == ".npz":
        values = QuantileTable.read(path).samples()
        return torch.from_numpy(values), hashlib.sha256(values.tobytes()).hexdigest()
    try:
        if path.suffix == ".npy":
            found = np.load(path, allow_pickle=False) if size else np.empty(0)
            if not isinstance(found, np.ndarray):
                raise ValueError("several arrays in one file")
            if found.dtype.kind not in "fiu":
                raise ValueError(f"values of type {found.dtype}, not real numbers")
        else:
            found = np.array(path.read_text(encoding="utf-8").split(), dtype=np.float64)
        with np.errstate(over="ignore"):
            values = found.astype(np.float32).ravel()
    except (OSError, ValueError, BadZipFile) as error:
        raise UserError(f"cannot read noise samples from {path}: {error}") from error
    if not values.size:
        raise UserError(f"{path} holds no noise samples: give a file of numbers")
    if not np.isfinite(values).all():
        raise UserError(f"{path} holds noise samples that are not finite: remove them")
    if values.min() == values.max():
        raise UserError(f"{path} holds one value only: noise needs samples that differ")
    values.sort()
    return torch.from_numpy(values), hashlib.sha256(values.tobytes()).hexdigest()
