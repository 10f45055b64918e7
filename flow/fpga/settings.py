"""Settings of what is done for real FPGAs."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from flow.settings import Count, Positive
from flow.walks.settings import AcceleratorSettings


class OnBoardSettings(AcceleratorSettings):
    """A network's accelerator on a board."""

    board: str = "ulx3s-85f"
    """Board, such as ulx3s-85f, or the path of a file board.yaml"""


class FpgaSettings(OnBoardSettings):
    """Place and route of a network's accelerator on a board."""

    netlist_images: Annotated[int, Field(ge=0)] = 0
    """Images of the netlist's simulation, compared with golden's at each site; 0 for none"""


class ExportSettings(AcceleratorSettings):
    """An accelerator as a folder for other tools."""

    to: Path = Path("exported")
    """New folder, which gets RTL, memories and the files of the tools"""


class BoardSettings(OnBoardSettings):
    """A network on a board, fed over a serial line."""

    port: str = "/dev/ttyUSB0"
    """Serial port of the board"""
    images: Count = 64
    """Images at each noise setting"""
    timeout: Positive = 2.0
    """Seconds without an answer after which a request is sent again"""
