"""The ``synth`` command: FPGA resources of each node of a network's accelerator."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from flow.callbacks import ProgressCallback
from flow.experiments.settings import SynthesisSettings
from flow.rtl import synthesis
from flow.walks.loading import compile_chosen

_COUNTED = (("lut", "LUT"), ("dsp", "DSP"), ("bram", "BRAM"))
_REST = (("ff", "FF"), ("lutram", "LUT as memory"), ("srl", "as shift register"))


def run(settings: SynthesisSettings, progress: ProgressCallback) -> dict[str, Any]:
    """Compile a network and synthesise its nodes.

    Args:
        settings: the user's settings.
        progress: callback for the progress.

    Returns:
        The result of `flow.rtl.synthesis.measure`.

    Raises:
        UserError: the network cannot be compiled, or a node is not in it.
    """
    accelerator = compile_chosen(settings, progress)
    folder = settings.build / "synthesis"
    return synthesis.measure(accelerator, folder, progress, settings.nodes, settings.limit)


def show(console: Console, found: Mapping[str, Any]) -> None:
    """Print the result of `run`."""
    table = Table(
        title=f"{found['network']}, synthesised for {found['family']} by Yosys {found['yosys']}"
    )
    table.add_column("node")
    for _, name in _COUNTED:
        table.add_column(name, justify="right")
        table.add_column("FINN's", justify="right")
    for _, name in _REST:
        table.add_column(name, justify="right")
    table.add_column("a lane")
    for row in found["rows"]:
        cells = [row["node"]]
        for key, _ in _COUNTED:
            cells += [_count(row[key]), _count(row["estimate"][key])]
        cells += [_count(row[key]) for key, _ in _REST]
        table.add_row(*cells, row["reason"] or _lane(row))
    console.print(table)
    console.print(f"stored in {found['accelerator']}/{synthesis.FILE}", highlight=False)


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _lane(row: Mapping[str, Any]) -> str:
    """Return the resources per lane of a tap."""
    lanes = row["lanes"]
    return f"{row['lut'] / lanes:,.0f} LUT, {row['dsp'] / lanes:g} DSP" if lanes else ""
