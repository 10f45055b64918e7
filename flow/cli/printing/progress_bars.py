"""Progress on the terminal: a bar for each stage, or a line where there is no terminal."""

from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _ImagesPerSecond(ProgressColumn):
    """Images measured a second since the stage began, where a stage measures images."""

    def render(self, task: Task) -> Text:
        images, elapsed = task.fields["images"], task.elapsed
        return Text(f"{images / elapsed:,.0f} images/s" if images and elapsed else "")


class ProgressBars:
    """Shows stages, each from when it is first told of."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stages: dict[str, Any] = {}
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
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def __call__(self, stage: str, done: int, total: int, images: int = 0) -> None:
        """Take a stage's name, the steps done and in all, and images measured by now."""
        if stage not in self._stages:
            self._stages[stage] = self._bars.add_task(stage, total=total, images=0)
            if self._bars.disable:
                self._console.print(f"{stage} ...", highlight=False)
        self._bars.update(self._stages[stage], completed=done, total=total, images=images)
