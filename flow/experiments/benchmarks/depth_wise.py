"""LUTs of each depth-wise convolution in its own unit, and as a full convolution padded with zeros.

``python -m flow.experiments.benchmarks.depth_wise mobilenet cifar10 --cycles 16384`` compiles a
trained network twice to the same target, and prints a table of ``docs/results/resources.md``, a row
for each depth-wise layer. LUTs are the operators' estimates, without the memories of weights. In
both forms golden is compared with FINN's execution of every node, on images of the test set.
``--random`` takes random weights and images, for a network without a checkpoint.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flow import data, models
from flow.compiler import pipeline
from flow.compiler.accelerator import Accelerator
from flow.compiler.folding.cost import kind
from flow.errors import UserError
from flow.models import Network
from flow.rtl import equivalence
from flow.training.settings import TrainedSettings
from flow.training.zoo import TrainedNetwork

Entry = Mapping[str, Any]
"""A node's entry in the manifest."""

CALIBRATION = 64
"""Images on which the taps' scales are verified."""
HEAD = (
    "| layer | channels | windows | own unit: PE × SIMD | cycles | LUT | zeros: PE × SIMD | cycles "
    "| LUT | LUTs, zeros : own |"
)


def units(accelerator: Accelerator) -> dict[str, Entry]:
    """Return the unit in front of each accumulator's tap, by site."""
    nodes = accelerator.manifest["nodes"]
    named = {node["name"]: node for node in nodes}
    giving = {stream: node for node in nodes for stream in node["outputs"]}
    found = {}
    for name, site in accelerator.sites.items():
        node = named[site.node]
        while "weight_type" not in node and node["inputs"][0] in giving:
            node = giving[node["inputs"][0]]
        found[name] = node
    return found


def rows(own: Accelerator, whole: Accelerator) -> Iterator[str]:
    """Yield the row of each depth-wise layer.

    Args:
        own: the network, with the unit of depth-wise convolutions.
        whole: the same, padded with zeros.
    """
    padded = units(whole)
    for site, unit in units(own).items():
        if kind(unit) != "VVAU":
            continue
        forms = [unit, padded[site]]
        luts = [form["estimate"]["lut"] for form in forms]
        cells = [
            cell
            for form, lut in zip(forms, luts, strict=True)
            for cell in (f"{form['PE']} × {form['SIMD']}", f"{form['cycles']:,}", f"{lut:,}")
        ]
        tap = own.sites[site]
        first = [site.rpartition(".")[0], str(tap.channels), f"{tap.pixels:,}"]
        yield f"| {' | '.join([*first, *cells])} | {luts[1] / luts[0]:.1f} |"


def measured(network: Network, inputs: Tensor, cycles: int, images: int, root: Path) -> list[str]:
    """Compile a network in both forms, and return the table and a line for each comparison.

    Args:
        network: a network with depth-wise convolutions.
        inputs: images, float32 [N, C, H, W].
        cycles: target of cycles per image, for both.
        images: number of images that FINN executes.
        root: folder of what is compiled.

    Raises:
        UserError: no layer has the unit.
    """
    calibration = inputs[:CALIBRATION]
    own = pipeline.compile_network(network, calibration, cycles=cycles, root=root)
    if not any(kind(unit) == "VVAU" for unit in units(own).values()):
        raise UserError(f"{network.name} has no depth-wise convolution: name one that has")
    whole = _padded(network, calibration, cycles, root)
    lines = [HEAD, "|---" * HEAD.count(" | ") + "|---|", *rows(own, whole), ""]
    for said, one in (("own units", own), ("padded with zeros", whole)):
        stream = one.quantise(inputs[:images])
        found = equivalence.against_finn(one, one.golden_model(), stream)
        lines.append(
            f"{said}: {one.manifest['cycles_per_image']:,} cycles per image; on {found.images} "
            f"image(s), {len(found.differing)} of {found.tensors} tensors differ from FINN's"
        )
    return lines


def _padded(network: Network, calibration: Tensor, cycles: int, root: Path) -> Accelerator:
    """Compile a network whose depth-wise layers are whole convolutions, in units of LUTs."""
    # a folding file is a target of its own, so the file has the target's folding
    dsp = pipeline.compile_network(network, calibration, cycles=cycles, mvu="dsp", root=root)
    nodes = {
        entry["name"]: {name: entry[name] for name in ("PE", "SIMD")} | {"resType": "lut"}
        for entry in dsp.manifest["nodes"]
        if "weight_type" in entry
    }
    return pipeline.compile_network(network, calibration, nodes=nodes, mvu="dsp", root=root)


def _random(model: str, dataset: str) -> tuple[Network, Tensor]:
    """Return a network with random weights and calibrated batch norms, and random images."""
    known = data.dataset(dataset)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = models.build(model, known.image_shape, known.classes).train()
        inputs = pipeline.random_images(network, CALIBRATION)
        for _ in range(20):
            network(inputs)
    return network.eval(), inputs


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Compare depth-wise units with whole ones.")
    parser.add_argument("model")
    parser.add_argument("dataset")
    parser.add_argument("--cycles", type=int, default=16384, help="target of cycles per image")
    parser.add_argument("--images", type=int, default=1, help="images that FINN executes")
    parser.add_argument("--random", action="store_true", help="random weights and images")
    parser.add_argument("--folder", type=Path, default=Path("build/accelerators"))
    given = parser.parse_args()
    if given.random:
        network, inputs = _random(given.model, given.dataset)
    else:
        settings = TrainedSettings(model=given.model, dataset=given.dataset)
        trained = TrainedNetwork.load(settings, images=CALIBRATION)
        network, inputs = trained.network, trained.inputs
    print("\n".join(measured(network, inputs, given.cycles, given.images, given.folder)))


if __name__ == "__main__":
    main()
