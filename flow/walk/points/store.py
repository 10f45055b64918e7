"""Results: one small file per measured point, and the tables written at the end of a run.

A point is stored under the hash of everything it depends on, written to a temporary name and
renamed. So a killed run resumes, loses nothing finished and repeats nothing; two runs on one
folder at most write the same file twice, with the same content.
"""

import hashlib
import io
import json
import logging
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flow.errors import Fatal, UserError
from flow.noise import KINDS, shared_by_images
from flow.statistics.devices import by_device
from flow.statistics.midpoint import Curve, wilson
from flow.walk.points.side import Side

log = logging.getLogger(__name__)

FULL, SITE = SCOPES = ("full", "site")
"""How much of the network an RTL point simulates: all, or what its noise can reach."""


@dataclass(frozen=True, eq=False)
class Point:
    """What one side predicted at one noise setting, image by image.

    Every side sees the same images in the same order; a side that sees fewer sees the first ones.
    A side's accuracy without noise is the point with site "" and sigma 0.
    """

    site: str
    """Tap, e.g. ``conv0.acc``; "" without noise."""
    kind: str
    """One of `flow.noise.KINDS`."""
    sigma: float
    """Noise level, in the run's unit; 0 without noise."""
    seed: int
    """Noise seed."""
    side: Side
    """Who predicted it."""
    predictions: NDArray[np.uint8]
    """Predicted class, uint8 [images]."""
    bit_mismatches: int | None = None
    """rtl only: images whose final output differs from golden in any bit; None: not compared."""
    scope: str | None = None
    """rtl only: one of `SCOPES`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "side", Side(self.side))
        if self.kind not in KINDS:
            raise ValueError(f"no such kind of noise: {self.kind}")
        if self.scope is not None and self.scope not in SCOPES:
            raise ValueError(f"no such scope: {self.scope}")
        if self.predictions.dtype != np.uint8 or self.predictions.ndim != 1:
            raise ValueError("predictions must be uint8 [images]")
        if not np.isfinite(self.sigma) or self.sigma < 0 or (self.sigma == 0) != (self.site == ""):
            raise ValueError(f"site '{self.site}' does not go with sigma {self.sigma}")

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.predictions.size)

    def correct(self, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which images are right; labels: int64 [at least images]."""
        if self.images > len(labels):
            raise ValueError(f"{self.images} predictions, {len(labels)} labels")
        return np.asarray(self.predictions == labels[: self.images])


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder, renamed to `path` at the end, or removed.

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


def canonical(key: Mapping[str, Any]) -> str:
    """JSON that is the same for equal keys; ValueError for NaN, TypeError for other objects."""
    return json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False)


def built_once(folder: Path, build: Callable[[Path], None]) -> None:
    """Have a folder built beside and renamed into place, unless it is there.

    Args:
        folder: where it is to lie, whichever process builds it first.
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
    """Make a folder for results, if it is not there; UserError if that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot use {path} for results: {error.strerror or error}; choose a folder that can "
            "be written"
        ) from error
    return path


class Store:
    """Points in a folder, addressed by everything they depend on."""

    def __init__(self, root: Path) -> None:
        """Open or make the folder.

        Raises:
            UserError: it cannot be made or is not a folder.
        """
        self.root = make_folder(Path(root))

    def path(self, key: Mapping[str, Any]) -> Path:
        """Where the point of this key lies, or would lie: 256 folders share them."""
        name = hashlib.sha256(canonical(key).encode()).hexdigest()
        return self.root / name[:2] / f"{name}.npz"

    def get(self, key: Mapping[str, Any]) -> Point | None:
        """Return the stored point, or None if there is none or the file is damaged (logged)."""
        path = self.path(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UserError(
                f"cannot read {path}: {error.strerror or error}; make it readable, or remove it"
            ) from error
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                meta = json.loads(file["meta"].tobytes())
                if meta["key"] != canonical(key):
                    raise ValueError("stored under another key")
                return Point(predictions=file["predictions"], **meta["point"])
        except Exception as error:  # a damaged archive fails in a dozen ways
            log.warning("%s is damaged and will be measured again: %s", path, error)
            return None

    def put(self, key: Mapping[str, Any], point: Point) -> None:
        """Store a point, replacing whatever lies there.

        Raises:
            UserError: the folder cannot be written; nothing is left half-written.
        """
        fields = ("site", "kind", "sigma", "seed", "side", "bit_mismatches", "scope")
        meta = json.dumps(
            {"key": canonical(key), "point": {name: getattr(point, name) for name in fields}}
        )
        with replacing(self.path(key)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file, meta=np.frombuffer(meta.encode(), np.uint8), predictions=point.predictions
            )


def curve_of(
    points: Sequence[Point], labels: NDArray[np.int64], site: str, side: Side, images: int = 0
) -> Curve | None:
    """Gather one side's points of one site.

    Args:
        points: of one run and kind.
        labels: int64 [at least as many as any point's images].
        site: the tap.
        side: who predicted them; its accuracy without noise may be that of `Side.without_noise`.
        images: use at most so many of the first images (0: all that every point has).

    Returns:
        The curve, or None if the side has no point there, or none without noise.
    """
    levels: dict[float, list[Point]] = defaultdict(list)
    for p in points:
        if p.side == side and p.site == site:
            levels[p.sigma].append(p)
    clean = _clean(points, side)
    if not levels or clean is None:
        return None
    used = [p for group in levels.values() for p in group] + [clean]
    n = min([p.images for p in used] + ([images] if images else []))
    order = sorted(levels)

    def right(p: Point) -> NDArray[np.float32]:
        return p.correct(labels)[:n].astype(np.float32)

    whole, devices = right(clean), None
    if shared_by_images(site, used[0].kind):
        rows = [{p.seed: float(right(p).mean()) for p in levels[s]} for s in order]
        draws = sorted(set.intersection(*(set(row) for row in rows)))
        accuracy = np.array([[row[draw] for row in rows] for draw in draws])
        devices = by_device(accuracy.reshape(len(draws), len(rows)), float(whole.mean()))
    return Curve(
        levels=np.array(order),
        correct=np.stack([np.mean([right(p) for p in levels[s]], axis=0) for s in order]),
        clean=whole,
        seeds=np.array([len(levels[s]) for s in order]),
        devices=devices,
    )


def _clean(points: Sequence[Point], side: Side) -> Point | None:
    """The side's point without noise, or that of the side which is the same there."""
    sides = (side, side.without_noise)
    return next((p for p in points if p.site == "" and p.side in sides), None)


def curve_table(points: Iterable[Point], labels: NDArray[np.int64]) -> pd.DataFrame:
    """Count the points: one row per site, kind, sigma, seed and side, sorted.

    Columns: site, kind, sigma, seed, side, images, correct, accuracy, lo and hi (95 % Wilson
    interval), bit_mismatches and scope (rtl; else missing).
    """
    table = pd.DataFrame(
        [
            (p.site, p.kind, p.sigma, p.seed, p.side.value, p.images, int(p.correct(labels).sum()),
             p.bit_mismatches, p.scope)
            for p in points
        ],
        columns=["site", "kind", "sigma", "seed", "side", "images", "correct", "bit_mismatches",
                 "scope"],
    )  # fmt: skip
    table["bit_mismatches"] = table["bit_mismatches"].astype("Int64")
    lo, hi = wilson(table["correct"], table["images"])
    table.insert(7, "accuracy", table["correct"] / table["images"])
    table.insert(8, "lo", lo)
    table.insert(9, "hi", hi)
    order = ["site", "kind", "sigma", "seed", "side"]
    return table.sort_values(order, kind="stable", ignore_index=True)


def write_curves(path: Path, table: pd.DataFrame) -> None:
    """Write `curve_table` as parquet, whole or not at all; UserError if it cannot be written."""
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
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
