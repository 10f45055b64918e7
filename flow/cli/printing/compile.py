"""The ``compile`` command: from settings to an accelerator."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from flow.callbacks import ProgressCallback
from flow.walks.loading import compile_chosen
from flow.walks.settings import AcceleratorSettings


def run(settings: AcceleratorSettings, progress: ProgressCallback) -> dict[str, Any]:
    """Compile a network.

    Args:
        settings: the user's settings.
        progress: callback for the progress.

    Returns:
        A dictionary of ``network``; ``rows`` of a tile and
        ``input_bits`` of the array, or None; the paths ``folder``
        of the accelerator, ``rtl`` of its sources and ``top`` of their top; ``cycles_per_image``;
        and the manifest's ``nodes``, each with its noise ``sites``.

    Raises:
        UserError: as for `flow.walks.loading.compile_chosen`.
    """
    accelerator = compile_chosen(settings, progress)
    manifest = accelerator.manifest
    placed = [(site["node"], site["name"]) for site in manifest["sites"] + manifest["weights"]]
    nodes = [
        node | {"sites": [site for name, site in placed if name == node["name"]]}
        for node in manifest["nodes"]
    ]
    return {
        "network": manifest["network"],
        "rows": manifest["rows"],
        "input_bits": manifest["input_bits"],
        "folder": str(accelerator.folder),
        "rtl": str(accelerator.folder / "rtl"),
        "top": str(accelerator.sources[-1]),
        "cycles_per_image": manifest["cycles_per_image"],
        "nodes": nodes,
    }


def show(console: Console, found: Mapping[str, Any]) -> None:
    """Print the result of `run`."""
    title = f"{found['network']}: {found['cycles_per_image']:,} cycles per image"
    columns = ["node", "PE", "SIMD", "cycles", "in", "out", "weights", "sites"]
    if found["rows"] is not None:
        title += f", in tiles of {found['rows']} rows"
        columns.insert(1, "tiles")
    if found["input_bits"] is not None:
        title += f", inputs of {found['input_bits']} bits"
        columns.insert(1, "planes")
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in columns:
        right = name in ("planes", "tiles", "PE", "SIMD", "cycles")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for node in found["nodes"]:
        depth = f" ({node['depth']} deep)" if "depth" in node else ""
        told = {
            "node": node["name"] + depth,
            "tiles": str(node.get("tiles", "")),
            "planes": str(node.get("planes", "")),
            "PE": str(node.get("PE", "")),
            "SIMD": str(node.get("SIMD", "")),
            "cycles": f"{node['cycles']:,}",
            "in": node["input_type"],
            "out": node["output_type"],
            "weights": f"{node['weight_type']} {node['resType']}" if "weight_type" in node else "",
            "sites": ", ".join(node["sites"]),
        }
        table.add_row(*(told[name] for name in columns))
    console.print(table)
    console.print(f"RTL: {found['rtl']}, its top: {found['top']}", highlight=False, soft_wrap=True)
