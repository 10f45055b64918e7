"""What the commands for real FPGAs print."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

_COLUMNS = (("lut4", "LUT4"), ("sites", "LUT sites"), ("ff", "FF"))
_BLOCKS = (("mult18", "MULT18"), ("ebr", "EBR"))


def show(console: Console, found: Mapping[str, Any]) -> None:
    """Print the result of `flow.fpga.run.run`."""
    table = Table(title=f"{found['network']} on {found['board']}: {found['description']}")
    table.add_column("node")
    for _, name in _COLUMNS + _BLOCKS:
        table.add_column(name, justify="right")
    rows = [*found["cells"].items(), ("total", found["total"])]
    for name, cells in rows:
        table.add_row(name, *(f"{cells[key]:,}" for key, _ in _COLUMNS + _BLOCKS))
    console.print(table)
    lines = [f"folding: {found['folding']}"]
    if found["netlist"]:
        lines.append(_checked(found["netlist"]))
    if "mhz" in found:
        console.print(_path(found))
        device, simulated = found["images_per_second"], found["simulated_per_second"]
        tried = ", ".join(f"{seed} ({mhz:.1f})" for seed, mhz in found["seeds"].items())
        best = f", the best of seeds {tried}" if len(found["seeds"]) > 1 else ""
        lines += [
            f"{found['mhz']:.1f} MHz after place and route{best}",
            f"clock of {found['clock']:g} MHz, {found['cycles_per_image']:,} cycles per image: "
            f"{device:,.0f} images/s, {device / simulated:,.0f} times the RTL simulation's "
            f"{simulated:,.1f} on this machine",
        ]
    if not found["refusal"]:
        lines.append(
            f"bitstream: {found['bitstream']} (never loaded into a board: none was available)"
        )
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _path(found: Mapping[str, Any]) -> Table:
    """Return the table of the critical path."""
    table = Table(title=f"critical path, {1e3 / found['mhz']:.1f} ns")
    table.add_column("node")
    table.add_column("signal", overflow="fold")
    table.add_column("ns", justify="right")
    for step in found["critical_path"]:
        table.add_row(step["node"], step["name"], f"{step['ns']:.2f}")
    return table


def _checked(found: Mapping[str, Any]) -> str:
    count, points = found["images"], len(found["differing"])
    wrong = {point: n for point, n in found["differing"].items() if n}
    if not wrong:
        speed = count * points / max(found["seconds"], 0.1)
        return (
            f"netlist = golden: {count} images at each of {points} points, simulated at "
            f"{speed:,.1f} images/s"
        )
    return f"netlist differs from golden, in images of {count}: " + ", ".join(
        f"{point} {n}" for point, n in wrong.items()
    )


def show_board(console: Console, found: Mapping[str, Any]) -> None:
    """Print the result of `flow.fpga.run.run_on_board`."""
    table = Table(title=f"{found['network']} on the board at {found['port']}")
    table.add_column("noise at")
    table.add_column("images unlike golden", justify="right")
    for point, count in found["differing"].items():
        table.add_row(point, f"{count} of {found['images']}")
    console.print(table)
    console.print(f"{found['repeated']} requests were sent again", highlight=False)


def show_export(console: Console, found: Mapping[str, Any]) -> None:
    """Print the result of `flow.fpga.run.run_export`."""
    console.print(
        f"{found['network']}, {found['cycles_per_image']:,} cycles per image: {found['folder']}, "
        "begin with its README.md",
        highlight=False,
    )
