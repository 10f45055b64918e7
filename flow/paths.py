"""Where the files of this project lie."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
"""Folder of the Python front end, with the shipped checkpoints."""
REPOSITORY = PACKAGE.parent
HW = REPOSITORY / "hw"
"""Folder of the SystemVerilog and the firmware written here."""
ZOO = PACKAGE / "zoo"
"""Folder of the checkpoints that ship."""
