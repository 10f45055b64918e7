"""Speed of drawing the hardware's random words and samples: the compiled kernel and NumPy."""

import time
from collections.abc import Callable

import torch

from flow.errors import UserError
from flow.experiments.benchmarks.measure import Figure, in_turn
from flow.noise.hardware.fixed_point import draw_samples
from flow.noise.kernel import kernel, numpy_only
from flow.noise.philox import noise_words

SIZE = (20, 57_600)
"""Images of golden's batch, and elements of an image at CNV's largest tap."""
REPEATS = 5
_PLACE = (2026, 1, 0, 0)
"""Seed, site, draw and first image."""


def run(rounds: int = 5) -> list[Figure]:
    """Measure on one thread.

    Args:
        rounds: number of times that everything is measured, in turn.

    Raises:
        UserError: there is no compiled kernel.
    """
    compiled = kernel()
    if compiled is None:
        raise UserError("there is no compiled kernel: `noisewalk -v doctor` shows the reason")
    words, numpys_words = "random words, one thread, kernel", "random words, one thread, NumPy"
    samples, numpys_samples = "samples, one thread, kernel", "samples, one thread, NumPy"
    measures = {
        words: lambda: _millions(lambda: compiled.words(*_PLACE, *SIZE)),
        numpys_words: lambda: _millions(lambda: noise_words(*_PLACE, *SIZE)),
        samples: lambda: _millions(lambda: draw_samples(*_PLACE, *SIZE)),
        numpys_samples: lambda: _millions(by_numpy(lambda: draw_samples(*_PLACE, *SIZE))),
    }
    pairs = [(words, numpys_words), (samples, numpys_samples)]
    return in_turn(measures, pairs, rounds, "million/s")


def by_numpy(work: Callable[[], object]) -> Callable[[], object]:
    """Return work in which NumPy draws."""

    def slowly() -> object:
        with numpy_only():
            return work()

    return slowly


def _millions(work: Callable[[], object]) -> float:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        started = time.perf_counter()
        for _ in range(REPEATS):
            work()
        seconds = time.perf_counter() - started
    finally:
        torch.set_num_threads(threads)
    return REPEATS * SIZE[0] * SIZE[1] / seconds / 1e6
