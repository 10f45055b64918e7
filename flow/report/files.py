"""Files of a walk: written now and then, at its end, or again from its stored results."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from flow.errors import UserError
from flow.files import replacing, write_json
from flow.report import walk_page
from flow.report.plots import walk_hw
from flow.rtl import synthesis
from flow.walks.crosscheck.preliminary import usable, with_points
from flow.walks.points.curves import curve_table, write_curves
from flow.walks.points.plan import Plan
from flow.walks.summaries import HardwareWalkSummary, Progress


@dataclass(frozen=True)
class Results:
    """Results of a walk, finished or not."""

    folder: Path
    summary: dict[str, Any]
    """Dump of its `flow.walks.summaries.HardwareWalkSummary`."""
    table: pd.DataFrame
    """Table of the points, from `flow.walks.points.curves.curve_table`."""

    @classmethod
    def read(cls, folder: Path) -> "Results":
        """Read a folder of ``walk-hw``.

        The results of a walk that was stopped are those of all points in its store.

        Raises:
            UserError: it is not a folder of ``walk-hw``, or a file in it cannot be read.
        """
        summary = HardwareWalkSummary.read(folder / "summary.json")
        if not summary.complete:
            return cls.of_unfinished(folder, summary, Plan.read(folder), running=False)
        try:
            table = pd.read_parquet(folder / "curves.parquet")
        except (OSError, ValueError) as error:
            raise UserError(
                f"{folder} is not the folder of a finished walk: {error}; give one in which "
                "walk-hw wrote curves.parquet"
            ) from error
        return cls(folder, summary.model_dump(mode="json"), table)

    @classmethod
    def of_unfinished(
        cls, folder: Path, summary: HardwareWalkSummary, plan: Plan, *, running: bool
    ) -> "Results":
        """Gather the points of a walk before its end.

        Args:
            folder: folder of the walk.
            summary: preliminary summary, with any points.
            plan: the points that the walk wants.
            running: whether it continues.
        """
        measured = plan.measured()
        points = usable([p for side in measured.values() for p in side], plan.searched())
        progress = Progress(
            running=running,
            done={side: len(found) for side, found in measured.items()},
            planned={side: len(names) for side, names in plan.points.items()},
        )
        found = with_points(summary, points, plan.labels, progress)
        return cls(
            folder, found.model_dump(mode="json"), curve_table(points, plan.labels, summary.measure)
        )


def write(folder: Path, summary: HardwareWalkSummary, table: pd.DataFrame) -> None:
    """Write the results of a walk: ``summary.json``, ``curves.parquet`` and the report.

    Args:
        folder: folder of the walk.
        summary: summary from `flow.walks.crosscheck.summary.summarise`.
        table: table of the points, from `flow.walks.points.curves.curve_table`.

    Raises:
        UserError: a file cannot be written.
    """
    write_results(Results(folder, summary.model_dump(mode="json"), table))


def write_results(walk: Results, *, pictures: bool = True) -> Path:
    """Write what `write` writes, of results; arguments, result and errors as of `write_report`."""
    write_curves(walk.folder / "curves.parquet", walk.table)
    write_json(walk.folder / "summary.json", walk.summary)
    return write_report(walk, pictures=pictures)


def rewrite(folder: Path) -> Path:
    """Write the report of a folder again, of a stopped walk with every point in its store.

    Returns:
        The path of the page.

    Raises:
        UserError: as for `Results.read`, or a file cannot be written.
    """
    walk = Results.read(folder)
    return write_report(walk) if walk.summary["complete"] else write_results(walk)


def write_report(walk: Results, *, pictures: bool = True) -> Path:
    """Write ``report.html``, ``curves.png``, ``curves.pdf`` and ``curves.csv`` of a walk.

    Args:
        walk: the walk.
        pictures: whether to draw the two pictures, which takes longer than all else; otherwise old
            ones are removed, and the page draws the curves only where scripts run.

    Returns:
        The path of the page.

    Raises:
        UserError: a file cannot be read or written.
    """
    with replacing(walk.folder / "curves.csv") as temporary:
        walk.table.to_csv(temporary, index=False)
    picture, page = walk.folder / "curves.png", walk.folder / "report.html"
    if pictures:
        walk_hw.write_curves(picture, walk.summary, walk.table)
    else:
        for old in (picture, picture.with_suffix(".pdf")):
            old.unlink(missing_ok=True)
    walk_page.write_report(
        page, walk.summary, walk.table, picture if pictures else None, _repeats(walk.folder),
        _synthesised(walk.summary),
    )  # fmt: skip
    return page


def _synthesised(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the results of ``synth`` for the walk's accelerator, or None."""
    accelerator = summary["accelerator"]
    return _read(Path(accelerator) / synthesis.FILE, "synth") if accelerator else None


def _repeats(folder: Path) -> dict[str, Any] | None:
    """Return the results of ``multi-exec-hw`` in the same folder, or None."""
    return _read(folder / "repeats.json", "multi-exec-hw")


def _read(path: Path, command: str) -> dict[str, Any] | None:
    """Return the results that a command wrote, or None if there are none."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {path}: {error}; remove it, or run {command} again"
        ) from error
