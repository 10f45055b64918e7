"""Results of a walk before its end: written while it runs, and where it stops."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from flow.callbacks import ProgressCallback, StageClock
from flow.files import write_json
from flow.report import files
from flow.report.files import Results
from flow.walks.points.plan import Plan
from flow.walks.points.point import NoisePoint, Point, PointRequest
from flow.walks.points.side import SOFTWARE, Side
from flow.walks.summaries import HardwareWalkSummary, WalkSummary
from flow.walks.walk import Walk

log = logging.getLogger(__name__)

FIRST = 60.0
"""Seconds from the start of the process to the first preliminary results."""
GROWTH = 1.5
"""Ratio of the times, from the start, of results that follow each other, at least."""
SHARE = 0.01
"""Largest share of the time from one writing to the next that writing takes."""

Summary = TypeVar("Summary", bound=WalkSummary)


def no_results(summary: Any) -> None:
    """Report nothing."""


class Preliminary(Generic[Summary]):
    """Writes a walk's results now and then, and in its ``with`` block where the walk stops.

    Args:
        clock: clock of the walk.
        write: writes the results and returns their summary, or None if there are none; called with
            whether the walk goes on.
        tell: called with each summary.
    """

    def __init__(
        self,
        clock: StageClock,
        write: Callable[[bool], Summary | None],
        tell: Callable[[Summary], None] = no_results,
    ) -> None:
        self._clock = clock
        self._write = write
        self._tell = tell
        self._next = FIRST
        self._last: Summary | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            return
        try:
            self._last = self._write(False) or self._last
        except Exception as second:
            # the error that stopped the walk matters more; what was written last is still there
            log.error("the preliminary report was not refreshed: %s", second)
        if self._last is not None and self._last.progress is not None:
            stopped = self._last.progress.model_copy(update={"running": False})
            self._tell(self._last.model_copy(update={"progress": stopped}))

    def refresh(self) -> None:
        """Write the results if it is time; if writing fails, the walk continues without them."""
        if self._seconds < self._next:
            return
        started = time.thread_time()
        try:
            found = self._write(True)
        except Exception as error:
            log.error("no preliminary report: %s", error)
        else:
            if found is None:
                return
            self._last = found
            self._tell(found)
        cost = time.thread_time() - started
        log.info("preliminary results: %.2f s of processor time", cost)
        self._next = max(GROWTH * self._seconds, self._seconds + cost / SHARE)

    def follow(self, progress: ProgressCallback) -> ProgressCallback:
        """Return a callback of progress that also writes the results, if it is time."""

        def told(stage: str, done: int, total: int, images: int = 0) -> None:
            progress(stage, done, total, images)
            self.refresh()

        return told

    @property
    def _seconds(self) -> float:
        return self._clock.all_seconds["total"]


class UnfinishedWalk:
    """The folder of a walk in hardware until its end: its plan, and preliminary results.

    Args:
        walk: the walk.
        folder: its folder.
        clock: its clock.
    """

    def __init__(self, walk: Walk, folder: Path, clock: StageClock) -> None:
        self.walk = walk
        self._folder = folder
        self._clock = clock
        self._plan = Plan(walk.store, walk.labels, walk.setting.seed)
        self._summary: HardwareWalkSummary | None = None

    def begin(self, summary: HardwareWalkSummary) -> None:
        """Write a summary without points, from `flow.walks.crosscheck.summary.begun`, and the plan.

        From then on the folder tells of this walk, whatever ends it.
        """
        self._summary = summary
        self._write_plan()
        write_json(self._folder / "summary.json", summary.model_dump(mode="json"))

    def add_search(self, wanted: Iterable[PointRequest]) -> None:
        """Add golden's points of the search for noise levels to the plan."""
        self._plan.search += [self.walk.file_name(one) for one in wanted]
        self._write_plan()

    def add(self, wanted: Iterable[PointRequest]) -> dict[str, int]:
        """Add points to the plan; returns how many it has, by side without noise."""
        for one in wanted:
            self._plan.add(one.side, self.walk.file_name(one))
        self._write_plan()
        return {side: len(names) for side, names in self._plan.points.items()}

    def write(self, running: bool) -> HardwareWalkSummary | None:
        """Write the report of all stored points; None if there are none yet."""
        if self._summary is None:
            return None
        timed = self._summary.model_copy(update={"seconds": self._clock.all_seconds})
        found = Results.of_unfinished(self._folder, timed, self._plan, running=running)
        if running and not found.table["site"].any():
            return None
        files.write_results(found, pictures=False)
        return HardwareWalkSummary.model_validate(found.summary)

    def _write_plan(self) -> None:
        if self._summary is not None:
            self._plan.write(self._folder)


@dataclass(frozen=True)
class PlannedDraws:
    """A walk whose further draws join its plan."""

    unfinished: UnfinishedWalk

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels of the images, int64 [N]."""
        return self.unfinished.walk.labels

    def run_models(self, places: Sequence[NoisePoint]) -> list[Point]:
        """Measure points in software, on both of its sides, and on the golden model."""
        walk = self.unfinished.walk
        self.unfinished.add(walk.wanted((*SOFTWARE, Side.GOLDEN), places))
        return walk.run_models(places)
