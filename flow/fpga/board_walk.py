"""The system of a walk on the simulated top of a board, fed over its serial line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from flow.compiler.accelerator import Accelerator
from flow.errors import OptionError, about
from flow.experiments.settings import SocWalkSettings
from flow.fpga import board_system, boards, link, on_board, simulated_board
from flow.fpga.board_system import BoardSystem
from flow.fpga.boards import Board
from flow.noise.hardware.registers import TapSettings
from flow.soc.cosim import SocPoint
from flow.soc.system import System
from flow.walks.walk import Walk
from sim import runner

ATTEMPTS = 10_000
"""How often a request is sent: a simulator runs images much longer than a board."""


@lru_cache(maxsize=2)
def _ready(folder: Path, build: Path, board: Board) -> tuple[BoardSystem, runner.Simulation]:
    made = board_system.of_accelerator(Accelerator.open(folder), board, board.mhz, build)
    return made, simulated_board.build(made, build / "sim")


@dataclass(frozen=True)
class SimulatedBoard:
    """A board: the firmware takes settings and images over the serial line, at the board's rate."""

    board: Board

    @classmethod
    def of(cls, settings: SocWalkSettings) -> "SimulatedBoard":
        """Return the board that the user chose; OptionError if there is none."""
        if settings.samples is not None:
            raise OptionError("samples", "cannot be loaded over the serial line of a board")
        with about("board"):
            return cls(boards.find(settings.board))

    def ready(self, walk: Walk) -> tuple[System, runner.Simulation]:
        """Return the system and its simulator, built once in a process."""
        built, simulation = _ready(walk.context.accelerator.folder, walk.context.build, self.board)
        return built.system, simulation

    def held(self, built: System, points: int) -> int:
        """Return a number that no walk exceeds: images are sent as memory has room."""
        return 1 << 32

    def run(
        self,
        walk: Walk,
        stream: Tensor,
        noise: Sequence[Mapping[str, TapSettings]],
        workdir: Path,
    ) -> list[SocPoint]:
        """Send images and settings to the board, and read its results."""
        built, simulation = _ready(walk.context.accelerator.folder, walk.context.build, self.board)
        with simulated_board.running(built, simulation, workdir) as port:
            asked = link.Board(link.open_port(port), attempts=ATTEMPTS)
            return on_board.measure(asked, built.system, stream, noise)
