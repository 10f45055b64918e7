"""Progress of long work, and the time of its stages."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

log = logging.getLogger(__name__)


class ProgressCallback(Protocol):
    """Told about progress."""

    def __call__(self, stage: str, done: int, total: int, images: int = 0) -> None:
        """Take a stage's name, the steps done and in all, and images measured by now."""


class StageClock:
    """Seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)


def no_progress(stage: str, done: int, total: int, images: int = 0) -> None:
    """Be told about progress, and tell no one."""


def prefixed(
    tell: ProgressCallback, name: str, stage: str, done: int, total: int, images: int = 0
) -> None:
    """Tell of one of several walks by its name."""
    tell(f"{name}: {stage}", done, total, images)


def unnumbered_steps(stage: str, tell: ProgressCallback) -> Callable[[str], None]:
    """Tell of steps whose number is not known, each as it begins."""
    count = 0

    def begin(step: str) -> None:
        nonlocal count
        log.info("%s: %s", stage, step)
        tell(stage, count, count + 1)
        count += 1

    return begin


def count_steps(stage: str, total: int, tell: ProgressCallback) -> Callable[[int], None]:
    count = 0
    tell(stage, 0, total)

    def done(more: int) -> None:
        nonlocal count
        count += more
        tell(stage, count, total)

    return done


Tell = Callable[[str, int, int], None]
