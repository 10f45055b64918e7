"""The files in which an experiment leaves its results."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from flow.files import write_json
from flow.walks.points.curves import write_curves

Draw = Callable[[Path, Mapping[str, Any], pd.DataFrame], None]
"""Writes pictures into a folder, from a summary and its table."""


@dataclass(frozen=True)
class ExperimentRun:
    """One run of an experiment, timed from when this is made."""

    command: str
    """Command by which the user asked for it."""
    started: float = field(default_factory=time.monotonic)

    def write(
        self, folder: Path, name: str, found: Mapping[str, Any], table: pd.DataFrame, draw: Draw
    ) -> dict[str, Any]:
        """Write ``<name>.parquet``, ``<name>.json`` and the pictures.

        Args:
            folder: folder of the results.
            name: name of the files.
            found: the summary, without command, folder and seconds.
            table: the rows behind it.
            draw: writes the pictures.

        Returns:
            The summary as it was written.

        Raises:
            UserError: a file cannot be written.
        """
        summary = {
            **found,
            "command": self.command,
            "folder": str(folder),
            "seconds": round(time.monotonic() - self.started, 2),
        }
        write_curves(folder / f"{name}.parquet", table)
        write_json(folder / f"{name}.json", summary)
        draw(folder, summary, table)
        return summary
