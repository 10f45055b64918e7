"""What a local worker does first: leave Ctrl-C, which all processes get, to the client."""

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Called by Dask when the process starts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
