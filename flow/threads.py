"""Work on rows shared out to threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from flow.device import CPU


def share(rows: int, step: int, work: Callable[[slice], None], device: torch.device = CPU) -> None:
    """Call ``work`` for every ``step`` rows, on as many threads as torch may use.

    Each call has one thread of its own: calls side by side, each on what its cache holds, are
    faster than calls one after another in which torch's threads wait for each other.

    Args:
        rows: total number of rows.
        step: number of rows of a call; the last call may have fewer.
        work: function of a slice of rows, which stores its own results.
        device: device that computes; devices other than the processor need no threads.
    """
    parts = [slice(first, min(first + step, rows)) for first in range(0, rows, step)]
    threads = torch.get_num_threads()
    if threads == 1 or len(parts) == 1 or device != CPU:
        for part in parts:
            work(part)
        return
    inference = torch.is_inference_mode_enabled()

    def call(part: slice) -> None:
        # the mode belongs to a thread, and tensors of one mode cannot be written in the other
        with torch.inference_mode(inference):
            work(part)

    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(call, parts))
    finally:
        torch.set_num_threads(threads)
