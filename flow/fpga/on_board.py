"""A network on a board, fed over a serial line, against golden."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from flow.callbacks import ProgressCallback
from flow.errors import UserError
from flow.fpga.link import Board, Hello
from flow.fpga.noise_points import points
from flow.golden.model import Record
from flow.noise.hardware.registers import TapSettings
from flow.soc import cosim
from flow.soc.cosim import SocPoint
from flow.soc.system import System


def check_same(system: System, hello: Hello) -> None:
    """Raise a UserError if a board holds another network than this one."""
    wanted = (len(system.accelerator.manifest["sites"]), system.image_words, system.classes)
    found = (hello.taps, hello.image_words, hello.classes)
    if found != wanted:
        what = "{} taps, images of {} words and {} classes"
        raise UserError(
            f"the board holds another network: it has {what.format(*found)}, and "
            f"{system.accelerator.manifest['network']} has {what.format(*wanted)}: load the "
            "bitstream of `noisewalk fpga` with the same options"
        )


def measure(
    board: Board,
    system: System,
    stream: Tensor,
    settings: Sequence[Mapping[str, TapSettings]],
) -> list[SocPoint]:
    """Run images on a board, under one noise setting after another.

    Args:
        board: the board.
        system: the system that it holds.
        stream: integers [images, elements]; batches that fit its memory are made of them.
        settings: noise by site, whose first image is the stream's first.

    Raises:
        UserError: it does not answer, or holds another network.
    """
    hello = board.hello()
    check_same(system, hello)
    words = system.classes + 1
    held = (hello.memory_bytes - hello.first) // (4 * (system.image_words + words))
    batches: list[list[SocPoint]] = [[] for _ in settings]
    for first in range(0, len(stream), held):
        batch = stream[first : first + held]
        board.write(hello.first, cosim.packed(system, batch))
        results = hello.first + 4 * len(batch) * system.image_words
        for found, point in zip(batches, settings, strict=True):
            for tap, site in enumerate(system.accelerator.sites):
                own = point.get(site, TapSettings())
                own = replace(own, image_base=own.image_base + first)
                board.noise(tap, cosim.settings_words(own))
            clocks = board.run(len(batch), hello.first, results)
            table = board.read(results, len(batch) * words).reshape(len(batch), words)
            logits = table[:, 1:].astype(np.int32).astype(np.int64)
            once = np.ones(len(batch), dtype=np.int64)
            labels = table[:, 0].astype(np.uint8)
            found.append(SocPoint(labels, logits, once, len(batch), clocks))
    return [cosim.joined(found) for found in batches]


def compare(
    board: Board, system: System, stream: Tensor, progress: ProgressCallback
) -> dict[str, Any]:
    """Compare a board's labels and logits with golden's, clean and with noise at every site.

    Returns:
        ``images`` of each point, ``differing`` images by point, ``repeated`` requests, and
        ``labels`` by point.
    """
    golden = system.accelerator.golden_model()
    settings = points(system.accelerator)
    differing, labels = {}, {}
    for done, (name, noise) in enumerate(settings.items()):
        progress("board", done, len(settings))
        (found,) = measure(board, system, stream, [noise])
        record = Record([golden.scores])
        wanted = golden.run(stream, noise, record=record).numpy()
        logits = record.streams[golden.scores].numpy().reshape(len(stream), -1)
        differing[name] = int(((found.labels != wanted) | (found.scores != logits).any(1)).sum())
        labels[name] = found.labels.tolist()
    progress("board", len(settings), len(settings))
    return {
        "network": system.accelerator.manifest["network"],
        "images": len(stream),
        "differing": differing,
        "labels": labels,
        "repeated": board.repeated,
    }
