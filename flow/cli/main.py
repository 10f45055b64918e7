"""The command line."""

import logging
import os
import signal
import sys

import click
from rich.console import Console
from rich.markup import escape

from flow.cli import hardware, machine, proofs, soc, speed, studies, training, walks
from flow.errors import UserError
from flow.quiet import silence_libraries

errors = Console(stderr=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", is_flag=True, help="Log each step.")
def cli(verbose: bool) -> None:
    """Which layer of a quantised network breaks first under noise, in software and in RTL?"""
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(message)s")
    silence_libraries()
    # for small matrices: with two threads, which wait for each other, fits take a third longer
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


for command in (
    walks.check,
    walks.walk_hw,
    walks.walk,
    walks.budget,
    walks.multi_exec,
    walks.multi_exec_hw,
    walks.robustness,
    training.train,
    training.dynamics,
    hardware.compile_,
    hardware.synth,
    hardware.fpga,
    hardware.board,
    hardware.export,
    proofs.formal,
    soc.soc,
    soc.walk_soc,
    soc.vote_soc,
    studies.study,
    studies.report,
    speed.bench,
    speed.bench_job,
    speed.bench_walk,
    machine.doctor,
    machine.completion,
):
    cli.add_command(command)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which stops a command as Ctrl-C does."""


def _terminate(*_: object) -> None:
    raise _Terminated


def main() -> None:
    """Run the command line; a user's mistake ends with one message and status 2."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        cli(prog_name="noisewalk", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt) as stop:
        # click's Abort is a RuntimeError, raised from what it stands for
        errors.print("interrupted: what is finished is kept; the same command resumes")
        sys.exit(143 if isinstance(stop.__cause__ or stop, _Terminated) else 130)
    except UserError as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except RuntimeError as error:
        # imported here because its module takes long to import
        from sim.runner import FolderError, SimulationError

        if not isinstance(error, FolderError | SimulationError):
            raise
        errors.print(escape(str(error)), highlight=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, FolderError) else 1)
