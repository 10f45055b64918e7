"""The commands ``soc``, ``walk-soc`` and ``vote-soc``, and their output."""

from typing import Any

from rich.console import Console
from rich.table import Table

from flow.callbacks import ProgressCallback
from flow.soc import firmware, system
from flow.soc.walk import describe, opened_system
from flow.walks.crosscheck.summary_values import midpoint_text
from flow.walks.loading import compile_chosen
from flow.walks.settings import AcceleratorSettings


def make(settings: AcceleratorSettings, progress: ProgressCallback) -> dict[str, Any]:
    """Build a system and its simulator, and collect all its sources in one folder.

    Raises:
        UserError: the cross compiler is missing, or as for `flow.walks.loading.compile_chosen`.
    """
    firmware.require()
    accelerator = compile_chosen(settings, progress)
    progress("build system", 0, 2)
    built = opened_system(accelerator, settings.build)
    system.gather(built)
    progress("build system", 1, 2)
    simulation = system.simulator(built, root=settings.build / "sim")
    progress("build system", 2, 2)
    return describe(built, simulation) | {
        "model": accelerator.manifest["network"],
        "sites": list(accelerator.sites),
        "binary": str(simulation.binary),
    }


def print_system(console: Console, found: dict[str, Any]) -> None:
    """Print the parts of the system."""
    taps = ", ".join(f"{number} {site}" for number, site in enumerate(found["sites"]))
    for said in (
        f"{found['model']}: taps {taps}",
        f"firmware: {_firmware(found)}",
        f"sources, memories and firmware: {found['folder']}",
    ):
        console.print(said, highlight=False, soft_wrap=True)


def _firmware(found: dict[str, Any]) -> str:
    return (
        f"driver {found['driver_bytes']:,} bytes, all code {found['program_bytes']:,}, variables "
        f"{found['data_bytes']:,}, of {found['memory_bytes']:,} bytes of memory"
    )


def print_walk(console: Console, found: dict[str, Any]) -> None:
    """Print μ of the system and of walk-hw, and the number of differences."""
    table = Table(title=f"{found['model']} on {found['dataset']}, {found['noise']} noise")
    table.add_column("site")
    for name in ("points", "μ system", "μ walk-hw", "images unlike golden", "unlike walk-hw"):
        table.add_column(name, justify="right")
    for site, entry in found["sites"].items():
        table.add_row(
            site,
            str(entry["points"]),
            midpoint_text(entry["mu_soc"]),
            midpoint_text(entry["mu_walk_hw"]),
            str(entry["bit_mismatches"]),
            str(entry["unlike_walk_hw"]),
        )
    console.print(table)
    total, clocks = found["points"] * found["images"], found["firmware_clocks_per_image"]
    # the firmware of a board does not count its own
    firmware = f", {clocks:.1f} as the firmware counts them" if clocks else ""
    for said in (
        f"system = golden, label and logits, on {total} images, bit_mismatches: "
        f"{found['bit_mismatches']}; labels unlike walk-hw: {found['unlike_walk_hw']}",
        f"clocks per image: {found['device_clocks_per_image']:.1f} in the device{firmware}",
        f"firmware: {_firmware(found['system'])}",
        f"{found['seconds']:.0f} s; results: {found['folder']}",
    ):
        console.print(said, highlight=False, soft_wrap=True)


def print_votes(console: Console, found: dict[str, Any]) -> None:
    """Print what votes reach, and their executions."""
    images = found["images"]
    table = Table(title=f"{found['model']} on {found['dataset']}, {found['noise']} noise")
    table.add_column("site, σ")
    table.add_column("k", justify="right")
    for side, n in images.items():
        name = "golden" if side == "golden" else "system"
        table.add_column(f"{name} (n={n}): {found['measure']}", justify="right")
        table.add_column("executions", justify="right")
    table.add_column("clocks", justify="right")
    for row in found["rows"]:
        cells = [f"{row['site']}, {row['sigma']:.3g}"]
        cells.append(f"{'≤ ' if row['early'] else ''}{row['most']}")
        for side in images:
            cells.append("{:.3f} [{:.3f}, {:.3f}]".format(*row[side]))
            mean, _, high = row[f"{side}_executions"]
            cells.append(f"{mean:.2f} ± {high - mean:.2f}")
        table.add_row(*cells, f"{row['firmware_clocks_per_image']:,.0f}")
    console.print(table)
    runs = len(found["rows"]) * images["rtl"]
    for said in (
        f"system = golden in label and executions on {runs} votes, unlike: "
        f"{found['unlike_golden']}",
        f"picture and table: {found['folder']}",
    ):
        console.print(said, highlight=False, soft_wrap=True)
