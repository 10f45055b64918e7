"""Progress of long work, and the time of its stages."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

log = logging.getLogger(__name__)


class ProgressCallback(Protocol):
    """Called with the progress of a stage."""

    def __call__(self, stage: str, done: int, total: int, images: int = 0) -> None:
        """Take a stage's name, the steps done and in total, and the images measured so far."""


class StageClock:
    """Measures the seconds of each stage, and in total.

    Args:
        before: seconds that had passed before, from the start of the process; None if they do not
            count.
    """

    def __init__(self, before: float | None = None) -> None:
        self._started = time.monotonic() - (before or 0.0)
        self.seconds = {} if before is None else {"start": round(before, 2)}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the time of a ``with`` block."""
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)

    @property
    def all_seconds(self) -> dict[str, float]:
        """The seconds of each stage, and their ``total`` until now."""
        return self.seconds | {"total": round(time.monotonic() - self._started, 2)}


def no_progress(stage: str, done: int, total: int, images: int = 0) -> None:
    """Report nothing."""


def prefixed(
    progress: ProgressCallback, name: str, stage: str, done: int, total: int, images: int = 0
) -> None:
    """Report the progress of one of several walks under its name."""
    progress(f"{name}: {stage}", done, total, images)


def unnumbered_steps(stage: str, progress: ProgressCallback) -> Callable[[str], None]:
    """Return a function that reports steps of unknown number, each as it begins."""
    count = 0

    def begin(step: str) -> None:
        nonlocal count
        log.info("%s: %s", stage, step)
        progress(stage, count, count + 1)
        count += 1

    return begin


def count_steps(stage: str, total: int, progress: ProgressCallback) -> Callable[[int], None]:
    """Return a function that counts finished steps and reports their number."""
    count = 0
    progress(stage, 0, total)

    def done(more: int) -> None:
        nonlocal count
        count += more
        progress(stage, count, total)

    return done
