"""Commands for studies and for reports of finished walks."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from flow.cli.options import (
    BUILD,
    PATH,
    bars,
    command,
    console,
    json_option,
    say,
    show,
)
from flow.errors import UserError

if TYPE_CHECKING:
    from flow.experiments.studies.status import Status
    from flow.walks.engine.engine import Engine


@click.group("study")
def study() -> None:
    """Run the jobs that a YAML file lists."""


_STUDY = click.argument("file", type=PATH)


@command("study run", engine=True, json=False, argument=click.Argument(["file"], type=PATH))
def study_run(engine: "Engine", file: Path) -> None:
    """Execute the unfinished runs of a study. A stopped study resumes.

    Example: noisewalk study run studies/digits.yaml
    """
    from flow.cli.printing import walk_tables
    from flow.experiments.studies import page
    from flow.experiments.studies import study as studies

    found = studies.read(file, BUILD)
    with bars() as progress:
        failed = studies.run_study(
            found, progress, engine, lambda run: say(walk_tables.line_of_run(run))
        )
    say(f"report: {page.write(found, BUILD / 'points')}")
    if failed:
        sys.exit(1)


study.add_command(study_run)


@study.command("status")
@_STUDY
@json_option
def study_status_(file: Path) -> None:
    """Show the state of each run of a study, also while it runs.

    Example: noisewalk study status studies/digits.yaml
    """
    from flow.experiments.studies import status

    folder = BUILD / "studies" / file.stem
    runs = status.index_of(file, folder)
    if runs is None:
        # a new or changed study needs the settings of every command
        from flow.experiments.studies import study as studies

        runs = studies.read(file, BUILD).index
    states = status.status(runs, folder, BUILD / "points")
    show([asdict(state) for state in states], lambda *_: _print_status(states))


def _print_status(states: "Sequence[Status]") -> None:
    table = Table("run", "state", "points stored / planned")
    for state in states:
        counts = (f"{side} {n} / {total}" for side, (n, total) in state.points.items())
        table.add_row(state.name, state.ended, ", ".join(counts) or "–")
    console.print(table)
    for state in states:
        if state.message:
            say(f"{state.name}: {state.message}")
    say(f"{sum(state.ended == 'done' for state in states)} of {len(states)} runs done")


@study.command("report")
@_STUDY
def study_report_(file: Path) -> None:
    """Report the finished runs of a study. Write one table, one picture and one page.

    Example: noisewalk study report studies/digits.yaml
    """
    from flow.experiments.studies import page
    from flow.experiments.studies import study as studies

    say(f"report: {page.write(studies.read(file, BUILD), BUILD / 'points')}")


@click.command("report")
@click.argument("folders", nargs=-1, required=True, type=PATH)
@click.option("--out", default=None, type=PATH, help="Page that compares several walks.")
def report(folders: tuple[Path, ...], out: Path | None) -> None:
    """Rewrite a walk's report, or compare several walks.

    Nothing is measured. For one folder, report.html and the pictures are written into it. The
    report of a stopped walk has every point that was measured.

    Example: noisewalk report build/walk-hw/tfc-w2a2-fashion-mnist
    """
    from flow.report import comparison_page, files

    if len(folders) == 1:
        if out is not None:
            raise UserError("--out is for the page of several walks: give more folders")
        say(f"report: {files.rewrite(folders[0])}")
        return
    page = out or BUILD / "comparison.html"
    comparison_page.write(page, [files.Results.read(folder) for folder in folders])
    say(f"report: {page}")
