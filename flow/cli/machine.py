"""Commands about this machine and shell."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from flow.cli.options import console, json_option, say, show

if TYPE_CHECKING:
    from flow.cli.printing.doctor import Finding


@click.command("doctor")
@json_option
def doctor() -> None:
    """List what is installed and what is missing. The status is 1 if a required part is missing.

    Example: noisewalk doctor
    """
    from flow.cli.printing import doctor as examination

    findings = list(examination.examine())
    lacking = [one.name for one in findings if one.needed and one.missing]
    show([asdict(one) for one in findings], lambda *_: _print_findings(findings, lacking))
    if lacking:
        sys.exit(1)


def _print_findings(findings: "Sequence[Finding]", lacking: Sequence[str]) -> None:
    table = Table("tool", "found", "purpose", "how to get it")
    for one in findings:
        lack = "[bold red]missing[/]" if one.needed else "not there"
        remedy = one.remedy if one.missing else ""
        table.add_row(one.name, escape(one.found) or lack, one.use, remedy)
    console.print(table)
    say(f"missing: {', '.join(lacking)}" if lacking else "everything needed is installed")


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    Example: noisewalk completion bash >> ~/.bashrc
    """
    from click.shell_completion import get_completion_class

    found, cli = get_completion_class(shell), click.get_current_context().find_root().command
    assert found is not None
    click.echo(found(cli, {}, "noisewalk", "_NOISEWALK_COMPLETE").source())
