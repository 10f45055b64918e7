"""Settings of what is done for real FPGAs."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from flow.errors import about
from flow.fpga import boards
from flow.fpga.boards import Board
from flow.settings import Count, Names, Numbers, Positive
from flow.walks.settings import AcceleratorSettings


class TappedSettings(AcceleratorSettings):
    """An accelerator with taps where they are wanted alone: each takes logic."""

    taps_every_accumulator: ClassVar[bool] = False

    sites: Names = ()
    """Noise sites that get a tap, such as fc0.acc,fc1.act; every .acc site if none is given"""


class OnBoardSettings(TappedSettings):
    """A network's accelerator on a board."""

    board: str = "ulx3s-85f"
    """Board, such as ulx3s-85f, or the path of a file board.yaml"""
    clock: Positive | None = None
    """Clock of the system in MHz, made by a PLL; the board's clock if not given"""
    fps: Positive | None = None
    """Target of the folding: images per second at the clock"""

    @property
    def chosen_board(self) -> Board:
        """The board; OptionError if there is none, or its files are wrong."""
        with about("board"):
            return boards.find(self.board)

    @property
    def mhz(self) -> float:
        """Clock of the system, MHz."""
        return self.clock or self.chosen_board.mhz

    @property
    def target(self) -> dict[str, Any]:
        """The folding's target, with the clock, as ``compile_network`` takes it."""
        return super().target | ({} if self.fps is None else {"mhz": self.mhz})


class FpgaSettings(OnBoardSettings):
    """Place and route of a network's accelerator on a board."""

    placer_seeds: Numbers[Annotated[int, Field(ge=0)]] = (0,)
    """Seeds of the placer, tried in turn until the clock is met, such as 0,1,2; 0 for nextpnr's"""
    netlist_images: Annotated[int, Field(ge=0)] = 0
    """Images to simulate with the netlist and compare with golden at each site; 0 for none"""


class ExportSettings(TappedSettings):
    """An accelerator as a folder for other tools."""

    to: Path = Path("exported")
    """New folder for RTL, memories and the tools' files"""


class BoardSettings(OnBoardSettings):
    """A network on a board, fed over a serial line."""

    port: str = "/dev/ttyUSB0"
    """Serial port of the board"""
    images: Count = 64
    """Images per noise setting"""
    timeout: Positive = 2.0
    """Seconds without an answer after which a request is sent again"""
