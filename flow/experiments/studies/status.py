"""How the runs of a study stand, from the names of files alone.

``study run`` leaves an index of its runs, so that telling how they stand needs neither networks nor
data, and takes a second however many points there are.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from flow.files import PLAN

INDEX = "index.json"
"""File in the study's folder with the digest of the study's file and its runs."""
STATE = "run.json"
"""File in a run's folder with its options at the start and its end."""


@dataclass(frozen=True)
class Status:
    """How a run stands."""

    name: str
    ended: str
    """``done``, ``failed``, ``begun`` or ``waiting``."""
    points: Mapping[str, tuple[int, int]]
    """By side, stored and planned; of walks in RTL that were begun."""
    message: str = ""


def read_json(path: Path) -> Any:
    """Return what a file holds; None if it is not there or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def state_of(folder: Path, stamp: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run left the last time it ran with this stamp; empty if it never did."""
    found = read_json(folder / STATE)
    if not isinstance(found, dict) or any(found.get(key) != stamp[key] for key in stamp):
        return {}
    return found


def index_of(file: Path, folder: Path) -> list[dict[str, Any]] | None:
    """Return the runs of a study, each with ``name`` and ``stamp``; None if the file has changed.

    Args:
        file: the study.
        folder: for its results.
    """
    found = read_json(folder / INDEX)
    if not isinstance(found, dict) or found.get("file") != digest_of(file):
        return None
    return found["runs"]


def digest_of(file: Path) -> str | None:
    """Hash a file; None if it cannot be read."""
    try:
        state = file.stat()
        return _digest(file, state.st_mtime_ns, state.st_size)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=256)
def _digest(file: Path, changed: int, size: int) -> str:
    """Hash a file once for each state of it."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def status(runs: Sequence[Mapping[str, Any]], folder: Path, points: Path) -> list[Status]:
    """Return the state of each run.

    Args:
        runs: the runs of the index.
        folder: the study's.
        points: folder of all measured points.
    """
    stored = names(points)
    found = []
    for run in runs:
        state = state_of(folder / run["name"], run["stamp"])
        plan = (read_json(folder / run["name"] / PLAN) or {}) if state else {}
        counts = {
            side: (sum(name in stored for name in files), len(files))
            for side, files in plan.get("points", {}).items()
        }
        ended = state.get("ended") or ("begun" if state else "waiting")
        found.append(Status(run["name"], ended, counts, state.get("message", "")))
    return found


def names(points: Path) -> set[str]:
    """Return the names of all points in a store's folder."""
    try:
        shards = [entry.path for entry in os.scandir(points) if entry.is_dir()]
    except FileNotFoundError:
        return set()
    return {name for shard in shards for name in os.listdir(shard)}
