"""The files in which an experiment leaves its results."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from flow.errors import OptionError
from flow.experiments.studies.status import STATE
from flow.files import canonical, replacing, write_json
from flow.walks.points.curves import write_curves

Draw = Callable[[Path, Mapping[str, Any], pd.DataFrame], None]
"""Writes pictures into a folder, from a summary and its table."""


@dataclass(frozen=True)
class ExperimentRun:
    """One run of an experiment, timed from when this is made."""

    command: str
    """Command line."""
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


def claim(folder: Path, identity: dict[str, Any]) -> None:
    """Mark a results folder with its network.

    Raises:
        UserError: the folder holds results of another network, or something else.
    """
    mark = folder / "network.json"
    if mark.is_file():
        text = mark.read_text(encoding="utf-8")
        if text.strip() != canonical(identity):
            raise OptionError(
                "out",
                f"is {folder}, which holds the results of another network ({text.strip()}), not of "
                f"{canonical(identity)}: give another folder, or remove this one",
            )
        return
    # a study notes a run's state in the folder before the run begins
    if folder.is_file() or (folder.is_dir() and {p.name for p in folder.iterdir()} - {STATE}):
        raise OptionError(
            "out", f"is {folder}, which is something else than a walk's results: give another"
        )
    with replacing(mark) as temporary:
        temporary.write_text(canonical(identity) + "\n", encoding="utf-8")
