"""The command that proves the hardware modules."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from flow.cli.options import bars, command, say, show

if TYPE_CHECKING:
    from rich.console import Console

    from flow.proofs.settings import ProofSettings


@command("formal", "flow.proofs.settings:ProofSettings")
def formal(settings: "ProofSettings") -> None:
    """Prove properties of the hardware modules. The status is 1 if a proof fails.

    Example: noisewalk formal --modules stream_fifo,lut_mvu
    """
    from flow.proofs import run

    with bars() as progress:
        found = run.run(settings, progress)
    show(found, _print)
    if not found["ok"]:
        sys.exit(1)


def _print(console: "Console", found: Mapping[str, Any]) -> None:
    table = Table("module", "property", "result")
    table.add_column("seconds", justify="right")
    last = None
    for row in found["rows"]:
        new = row["module"] != last
        last = row["module"]
        result = row["result"] if row["ok"] else f"[bold red]{row['result']}[/]"
        seconds = f"{row['seconds']:.1f}" if new else ""
        table.add_row(row["module"] if new else "", row["property"], result, seconds)
    console.print(table)
    wrong = sum(not row["ok"] for row in found["rows"])
    count = f"{len(found['rows'])} properties, {wrong} not as they must be"
    say(f"{count}, {found['seconds']:.0f} s")
