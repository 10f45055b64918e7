"""Quiet libraries: ours is what the user asked about."""

import logging
import warnings


def silence_libraries() -> None:
    """Keep what FINN, Brevitas and torch's exporter tell of every step from the terminal."""
    warnings.filterwarnings("ignore")
    for name in ("finn", "finn_logger", "torch.onnx", "qonnx"):
        logging.getLogger(name).setLevel(logging.ERROR)
