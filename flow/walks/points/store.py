"""Results: one small file per measured point, and the tables written at the end of a run.

A point is stored under the hash of everything it depends on, written to a temporary name and
renamed. So a killed run resumes, loses nothing finished and repeats nothing; two runs on one
folder at most write the same file twice, with the same content.
"""

import hashlib
import io
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flow.errors import UserError
from flow.files import canonical, make_folder, save_arrays
from flow.walks.points.point import Point

log = logging.getLogger(__name__)


class Store:
    """Points in a folder, addressed by everything they depend on."""

    def __init__(self, root: Path) -> None:
        """Open or make the folder.

        Raises:
            UserError: it cannot be made or is not a folder.
        """
        self.root = make_folder(Path(root))

    def path(self, key: Mapping[str, Any]) -> Path:
        """Path of the point with this key, in one of 256 folders."""
        name = hashlib.sha256(canonical(key).encode()).hexdigest()
        return self.root / name[:2] / f"{name}.npz"

    def get(self, key: Mapping[str, Any]) -> Point | None:
        """Return the stored point, or None if there is none or the file is damaged (logged)."""
        return self._read(self.path(key), canonical(key))

    def named(self, name: str) -> Point | None:
        """Return the point whose file has a name, from `path`, or None as for `get`."""
        return self._read(self.root / name[:2] / name)

    def _read(self, path: Path, key: str | None = None) -> Point | None:
        """Return the point in a file, which lies under a key if one is given."""
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
                if key is not None and meta["key"] != key:
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
        fields = ("site", "kind", "sigma", "seed", "side", "bit_mismatches", "scope", "shared")
        meta = json.dumps(
            {"key": canonical(key), "point": {name: getattr(point, name) for name in fields}}
        )
        save_arrays(
            self.path(key),
            meta=np.frombuffer(meta.encode(), np.uint8),
            predictions=point.predictions,
        )
