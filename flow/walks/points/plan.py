"""The planned points of a walk, as a file in its folder.

With the store, the plan is enough to draw the curves of a walk whose process is gone.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from flow.errors import UserError
from flow.files import PLAN, write_json
from flow.walks.points.point import Point
from flow.walks.points.side import Side
from flow.walks.points.store import Store


@dataclass
class Plan:
    """The planned points of a walk."""

    store: Store
    """Folder of the measured points."""
    labels: NDArray[np.int64]
    """Labels of the images, [N]."""
    seed: int
    """Seed of the walk, which its points without noise get."""
    points: dict[str, list[str]] = field(default_factory=dict)
    """By side without noise: names of the points' files."""
    search: list[str] = field(default_factory=list)
    """Names of golden's points in the search for noise levels."""

    def add(self, side: Side, name: str) -> None:
        """Add a point by the name of its file, unless it is there."""
        names = self.points.setdefault(side.without_noise, [])
        if name not in names:
            names.append(name)

    def write(self, folder: Path) -> None:
        """Write the plan into the folder of the walk; UserError if that cannot be."""
        content = {
            "store": os.path.relpath(self.store.root, folder),
            "seed": self.seed,
            "labels": self.labels.tolist(),
            "points": self.points,
            "search": self.search,
        }
        write_json(folder / PLAN, content)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the plan of a walk from its folder; UserError if it has none."""
        try:
            content = json.loads((folder / PLAN).read_text(encoding="utf-8"))
            return cls(
                store=Store(folder / content["store"]),
                labels=np.array(content["labels"], dtype=np.int64),
                seed=content["seed"],
                points=content["points"],
                search=content["search"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{folder} has no {PLAN} of the walk that was stopped: {error}; run the walk again"
            ) from error

    def measured(self) -> dict[str, list[Point]]:
        """Return the points that are stored, by side without noise."""
        return {side: self._stored(names) for side, names in self.points.items()}

    def searched(self) -> list[Point]:
        """Return the points of the search for noise levels that are stored."""
        return self._stored(self.search)

    def _stored(self, names: Sequence[str]) -> list[Point]:
        found = [point for name in names if (point := self.store.named(name)) is not None]
        # a point without noise has the seed of whichever walk measured it
        return [point if point.site else replace(point, seed=self.seed) for point in found]
