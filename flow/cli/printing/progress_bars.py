"""Progress of stages: a bar on the terminal; without one, lines for a log."""

from threading import Event, Thread

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _ImagesPerSecond(ProgressColumn):
    """Images measured per second since the stage began, for stages that measure images."""

    def render(self, task: Task) -> Text:
        images, elapsed = task.fields["images"], task.elapsed
        return Text(f"{images / elapsed:,.0f} images/s" if images and elapsed else "")


class ProgressBars:
    """Display of the progress of stages, each from its first report on.

    Args:
        console: where to; without a terminal each stage that takes long has a line now and then.
        interval: seconds between two lines of a stage.
    """

    def __init__(self, console: Console, interval: float = 30) -> None:
        self._console = console
        self._interval = interval
        self._stages: dict[str, TaskID] = {}
        self._ended = Event()
        self._heartbeat = Thread(target=self._beat, daemon=True)
        self._bars = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(),
            MofNCompleteColumn(),
            _ImagesPerSecond(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "ProgressBars":
        self._bars.start()
        if self._bars.disable:
            self._heartbeat.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._bars.stop()

    def __call__(self, stage: str, done: int, total: int, images: int = 0) -> None:
        """Show a stage's finished and total steps, and the number of images measured so far."""
        if stage not in self._stages:
            self._stages[stage] = self._bars.add_task(stage, total=total, images=0)
            if self._bars.disable:
                self._say(f"{stage} ...")
        self._bars.update(self._stages[stage], completed=done, total=total, images=images)

    def _beat(self) -> None:
        """Write a line for each stage at work, as long as there are any."""
        while not self._ended.wait(self._interval):
            for task in self._bars.tasks:
                if not task.finished:
                    self._say(_line(task))

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)


def _line(task: Task) -> str:
    """Return how a stage stands: done of total, images per second, time taken and left."""
    parts = [f"{task.description}: {task.completed:.0f} of {task.total or 0:.0f}"]
    images, elapsed = task.fields["images"], task.elapsed or 0.0
    if images and elapsed:
        parts.append(f"{images / elapsed:,.0f} images/s")
    parts.append(f"{elapsed:.0f} s")
    if task.completed and task.total:
        parts.append(f"{elapsed * (task.total / task.completed - 1):.0f} s left")
    return ", ".join(parts)
