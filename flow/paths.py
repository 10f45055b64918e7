"""Where the files of this project lie."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
"""Folder of the Python front end, with the shipped checkpoints."""
REPOSITORY = PACKAGE.parent
HW = PACKAGE / "hw" if (PACKAGE / "hw").is_dir() else REPOSITORY / "hw"
"""Folder of the SystemVerilog and the firmware written here; a wheel has it inside the package."""
ZOO = PACKAGE / "zoo"
"""Folder of the checkpoints that ship."""
