"""Quiet libraries: ours is what the user asked about."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("finn", "finn_logger", "torch.onnx", "qonnx")


def silence_libraries() -> None:
    """Keep the messages of FINN, Brevitas and torch's exporter off the terminal."""
    warnings.filterwarnings("ignore")
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def silenced_libraries() -> Iterator[None]:
    """Silence libraries for a ``with`` block."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    with warnings.catch_warnings():
        silence_libraries()
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
