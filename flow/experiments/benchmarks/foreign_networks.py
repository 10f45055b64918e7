"""Try networks that others wrote, and print a row of results for each.

``python -m flow.experiments.benchmarks.foreign_networks MODEL…`` takes QONNX files and
``brevitas:NAME@3,32,32``. Each is checked and compiled. Golden is compared with the network on
random images of its own range (labels), with FINN's execution of every node (L0), and with RTL
under noise (L1). ``--input-quant 8,-1,1`` is the quantiser of networks that have none; ``--check``
leaves out all but the check. The shape of the images of a network that is no file follows its name.
A network of this package is named with the data set of its checkpoint, ``mobilenet-w4a4@cifar10``,
whose test images take the place of random ones. A network of large images needs fewer of them, and
more cycles: ``--images 4 --rtl-images 1 --cycles 200000``.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from flow import models
from flow.compiler import pipeline
from flow.compiler.graph.compatibility import check_nodes
from flow.errors import UserError
from flow.models import Network, evaluate
from flow.models.qonnx import python_factory
from flow.models.qonnx.input_quantiser import InputQuantiser
from flow.models.qonnx.network import ImportedNetwork, open_network
from flow.noise import Noise
from flow.noise.hardware.registers import TapSettings
from flow.rtl import equivalence, simulate
from flow.training.settings import TrainedSettings
from flow.training.zoo import TrainedNetwork

IMAGES, RTL_IMAGES, CYCLES = 256, 64, 4096
UNKNOWN = "–"
"""Cell of a value that was not measured."""
HEAD = "| network | fits | nodes | cycles | golden ≠ software | L0 | L1 | seconds |"


def row(
    model: str,
    input_quant: str | None,
    folder: Path,
    measured: bool = True,
    *,
    images: int = IMAGES,
    rtl_images: int = RTL_IMAGES,
    cycles: int = CYCLES,
) -> str:
    """Return the row of one network.

    Args:
        model: path of a QONNX file, ``file.py:factory@C,H,W``, ``brevitas:NAME@C,H,W``, or the
            name of a network of this package with the data set of its checkpoint, ``NAME@SET``.
        input_quant: quantiser for a network that has none, as bits,low,high.
        folder: folder for what is compiled.
        measured: whether a network that fits is compiled and simulated.
        images: images on which golden and software label.
        rtl_images: images that RTL labels with noise at each of two sites.
        cycles: target of the folding, cycles per image.
    """
    start = time.monotonic()
    try:
        network, inputs, verdict = checked(model, input_quant, folder, images)
        cells = [*_measured(network, inputs, folder, rtl_images, cycles)] if measured else []
    except UserError as error:
        said = str(error).replace(str(Path(model).parent) + "/", "").replace("|", "\\|")
        verdict, cells = f"no: {said}", []
    cells += [UNKNOWN] * (5 - len(cells))
    name = Path(model).stem if model.endswith(".onnx") else model
    return f"| {name} | {verdict} | {' | '.join(cells)} | {time.monotonic() - start:.0f} |"


def checked(
    model: str, input_quant: str | None, folder: Path, images: int = IMAGES
) -> tuple[Network, torch.Tensor, str]:
    """Open a network; return it, images, and the first column of its row, whether it fits.

    Raises:
        UserError: it does not fit; the message says why.
    """
    name, _, shape = model.partition("@")
    if name in models.names():
        settings = TrainedSettings(model=name, dataset=shape)
        trained = TrainedNetwork.load(settings, images=images)
        return trained.network, trained.inputs, "yes"
    given = {"model": name, "dataset": None, "shape": shape or None}
    network = _opened(Path(python_factory.filed(given, folder)["model"]), input_quant)
    problems = [report for report in check_nodes(network.graph) if report.problem]
    if problems:
        first = problems[0]
        count = "1 node does" if len(problems) == 1 else f"{len(problems)} nodes do"
        raise UserError(f"{count} not fit; the first, {first.step.node.name}, {first.problem}")
    fits = f"with `INPUT_QUANT={input_quant}`" if network.input_quantiser else "yes"
    return network, pipeline.random_images(network, images), fits


def _measured(
    network: Network, inputs: torch.Tensor, folder: Path, rtl_images: int, cycles: int
) -> Iterator[str]:
    accelerator = pipeline.compile_network(
        network, inputs, sites=network.accumulator_sites, cycles=cycles, root=folder
    )
    golden, stream = accelerator.golden_model(), accelerator.quantise(inputs)
    yield str(len(accelerator.manifest["nodes"]))
    yield f"{accelerator.manifest['cycles_per_image']:,}"
    labels = equivalence.against_brevitas(golden, stream, evaluate(network, inputs))
    yield f"{len(labels.differing)} of {labels.images}"
    nodes = equivalence.against_finn(accelerator, golden, stream[:1])
    yield f"{len(nodes.differing)} of {nodes.tensors} tensors"
    yield _simulated(accelerator, golden, stream[:rtl_images], folder)


def _opened(file: Path, input_quant: str | None) -> ImportedNetwork:
    """Open a network, with the quantiser only if it has none of its own."""
    plain = open_network(file)
    if input_quant is None or all(not report.problem for report in check_nodes(plain.graph)):
        return plain
    try:
        return open_network(file, None, InputQuantiser.parse(input_quant))
    except UserError:
        return plain


def _simulated(accelerator, golden, stream: torch.Tensor, folder: Path) -> str:
    """Return how many RTL images differ from golden's, with noise at the first and last site."""
    noise = Noise.at("additive", 4.0)
    sites = list(dict.fromkeys([*accelerator.sites][:: max(1, len(accelerator.sites) - 1)]))
    bits = {site: accelerator.sites[site].sigma_bits for site in sites}
    points = [{site: TapSettings.of(noise, 1.0, 7, sigma_bits=bits[site])} for site in sites]
    simulation = simulate.build(accelerator, root=folder / "sim")
    differing = 0
    with tempfile.TemporaryDirectory() as workdir:
        results, _ = simulate.simulate(accelerator, simulation, stream, points, Path(workdir))
    for settings, result in zip(points, results, strict=True):
        differing += int(equivalence.differing_images(golden, stream, settings, result).sum())
    return f"{differing} of {len(points) * len(stream)}"


def main() -> None:
    """Print a table with the result of each network."""
    parser = argparse.ArgumentParser(description="Try networks that others wrote.")
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--check", action="store_true", help="check only, without simulation")
    parser.add_argument("--input-quant", help="bits,low,high of networks without a quantiser")
    parser.add_argument("--images", type=int, default=IMAGES, help="images of golden and software")
    parser.add_argument(
        "--rtl-images", type=int, default=RTL_IMAGES, help="images of each RTL point"
    )
    parser.add_argument("--cycles", type=int, default=CYCLES, help="target of cycles per image")
    parser.add_argument("--folder", type=Path, default=Path("build/foreign"))
    given = parser.parse_args()
    print(f"{HEAD}\n{'|---' * 8}|", flush=True)
    for model in given.models:
        line = row(
            model, given.input_quant, given.folder, not given.check,
            images=given.images, rtl_images=given.rtl_images, cycles=given.cycles,
        )  # fmt: skip
        print(line, flush=True)


if __name__ == "__main__":
    main()
