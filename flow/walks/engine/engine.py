"""Engines: they run calls, each a function of a walk and an item."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Workload(Protocol):
    """Workload of calls: a walk, which another process can open again."""

    @property
    def recipe(self) -> Callable[[], Any] | None:
        """How another process opens it; its ``repr`` names everything that it depends on."""

    @property
    def setting(self) -> Any:
        """Noise, which may differ from that of the opened walk."""

    def with_setting(self, setting: Any) -> Any:
        """Return the same with other noise."""


@dataclass(frozen=True)
class Task:
    """A piece of work."""

    work: Callable[[Any, Any], Any]
    """Function of a module, or method of the workload: called with the workload and the item."""
    item: Any

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.work.__qualname__


class Engine(Protocol):
    """Runs the calls of a walk."""

    @property
    def workers(self) -> int:
        """Number of calls at a time; it determines how work is divided."""

    def run(self, walk: Workload, calls: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        """Run calls; the sequence begins with those that take longest.

        Yields:
            a call and its result, as soon as it is there.
        """


class SerialExecutor:
    """Runs one call after another in this process."""

    workers = 1

    def run(self, walk: Workload, calls: Sequence[Task]) -> Iterator[tuple[Task, Any]]:
        """Run calls, in their order."""
        for call in calls:
            yield call, call.work(walk, call.item)
