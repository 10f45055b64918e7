"""The ``compile`` command, and what it shares with the walk: from settings to an accelerator."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from flow import data
from flow.compiler.pipeline import Accelerator, compile_network
from flow.data import ImageSet
from flow.errors import UserError
from flow.models import Network
from flow.noise.site import Site
from flow.training.checkpoint import Metadata
from flow.training.zoo import chosen_sites, find_checkpoint, load_trained
from flow.walk.settings import Settings

IMAGES = 2000
CALIBRATION_IMAGES = 200

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Loaded:
    """A trained network with its images."""

    checkpoint: Path
    network: Network
    metadata: Metadata
    images: ImageSet
    inputs: Tensor
    """float32 [N, C, H, W], the images as the network takes them."""
    sites: list[str]
    """Those asked for."""

    @classmethod
    def of(cls, settings: Settings) -> "Loaded":
        """Load what the user chose.

        Raises:
            UserError: it does not exist, or the set has fewer images.
        """
        path = find_checkpoint(
            settings.model, settings.dataset, settings.training_noise, settings.checkpoint
        )
        network, metadata = load_trained(path, settings.model, settings.dataset)
        found = data.load(settings.dataset, "test", settings.images or IMAGES)
        if settings.images is not None and len(found) < settings.images:
            raise UserError(
                f"{settings.images} images were asked for, {found.source} has {len(found)}: ask "
                "for fewer"
            )
        inputs = data.to_input(found.images, network.image_shape)
        sites = chosen_sites(settings.sites, network, network.accumulator_sites)
        return cls(path, network, metadata, found, inputs, sites)

    def compiled(self, settings: Settings, tell: Tell) -> Accelerator:
        """Compile the network, or open what was compiled from the same things.

        Raises:
            UserError: it cannot be compiled, or not folded so.
        """
        tell("compile", 0, 1)
        accelerator = compile_network(
            self.network,
            self.inputs[:CALIBRATION_IMAGES],
            sites=[s for s in self.sites if not Site(s).is_accumulator],
            **settings.target,
            mvu=settings.mvu,
            root=settings.build / "accelerators",
        )
        tell("compile", 1, 1)
        return accelerator


def run(settings: Settings, tell: Tell) -> dict[str, Any]:
    """Compile a network.

    Args:
        settings: the user's choice.
        tell: told about progress.

    Returns:
        ``network``; ``folder``, ``rtl`` and ``top``, where the accelerator, its sources and their
        top lie; ``cycles_per_image``; and ``nodes``, those of the manifest, each with the
        ``sites`` of noise in it.

    Raises:
        UserError: as `Loaded.of` and `Loaded.compiled`.
    """
    accelerator = Loaded.of(settings).compiled(settings, tell)
    manifest = accelerator.manifest
    placed = [(site["node"], site["name"]) for site in manifest["sites"] + manifest["weights"]]
    nodes = [
        node | {"sites": [site for name, site in placed if name == node["name"]]}
        for node in manifest["nodes"]
    ]
    return {
        "network": manifest["network"],
        "folder": str(accelerator.folder),
        "rtl": str(accelerator.folder / "rtl"),
        "top": str(accelerator.sources[-1]),
        "cycles_per_image": manifest["cycles_per_image"],
        "nodes": nodes,
    }


def show(console: Console, found: Mapping[str, Any]) -> None:
    """Print what `run` returned."""
    title = f"{found['network']}: {found['cycles_per_image']:,} cycles an image"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("node", "PE", "SIMD", "cycles", "in", "out", "weights", "sites"):
        right = name in ("PE", "SIMD", "cycles")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for node in found["nodes"]:
        depth = f" ({node['depth']} deep)" if "depth" in node else ""
        table.add_row(
            node["name"] + depth,
            str(node.get("PE", "")),
            str(node.get("SIMD", "")),
            f"{node['cycles']:,}",
            node["input_type"],
            node["output_type"],
            f"{node['weight_type']} {node['resType']}" if "weight_type" in node else "",
            ", ".join(node["sites"]),
        )
    console.print(table)
    console.print(f"RTL: {found['rtl']}, its top: {found['top']}", highlight=False, soft_wrap=True)
