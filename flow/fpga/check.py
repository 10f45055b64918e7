"""The netlist is the network: it is simulated in the accelerator's place, against golden."""

import tempfile
import time
from pathlib import Path
from typing import Any

from torch import Tensor

import sim
from flow.callbacks import ProgressCallback
from flow.compiler.accelerator import Accelerator
from flow.files import make_folder
from flow.fpga.netlist import FOLDER, Netlist, modelled
from flow.fpga.noise_points import points
from flow.rtl import simulate
from flow.rtl.equivalence import differing_images
from sim import runner

MODELS = Path(sim.__file__).with_name("ecp5_cells.sv")
"""Models of the primitives that Yosys only declares."""


def build(accelerator: Accelerator, netlist: Netlist, build_folder: Path) -> runner.Simulation:
    """Compile the accelerator's bench around its netlist.

    Args:
        accelerator: the accelerator.
        netlist: its netlist.
        build_folder: folder of everything that is built.
    """
    verilog = modelled(netlist, build_folder / FOLDER)
    sources = [str(path.resolve()) for path in (MODELS, verilog)]
    mapped = Accelerator(accelerator.folder, accelerator.manifest | {"sources": sources})
    return simulate.build(mapped, root=build_folder / "sim", optimise=False)


def check(
    accelerator: Accelerator,
    netlist: Netlist,
    stream: Tensor,
    build_folder: Path,
    progress: ProgressCallback,
) -> dict[str, Any]:
    """Compare the netlist with golden: labels, logits and the digests of every tap's stream.

    Args:
        accelerator: the accelerator.
        netlist: its netlist.
        stream: integers [images, elements].
        build_folder: folder of everything that is built.
        progress: called with the number of points done.

    Returns:
        ``images`` of each point, ``seconds`` of simulation, and ``differing``: the number of
        images that differ, by point.
    """
    golden = accelerator.golden_model()
    settings = points(accelerator)
    progress("simulate the netlist", 0, len(settings))
    simulation = build(accelerator, netlist, build_folder)
    differing = {}
    started = time.monotonic()
    runs = make_folder(build_folder / "runs")
    with tempfile.TemporaryDirectory(prefix="netlist-", dir=runs) as name:
        for done, (point, noise) in enumerate(settings.items()):
            (found,), _ = simulate.simulate(accelerator, simulation, stream, [noise], Path(name))
            differing[point] = int(differing_images(golden, stream, noise, found).sum())
            progress("simulate the netlist", done + 1, len(settings))
    return {
        "images": len(stream),
        "seconds": round(time.monotonic() - started, 1),
        "differing": differing,
    }
