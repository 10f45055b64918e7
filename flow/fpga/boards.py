"""Boards: which FPGA, which pins, which clock.

A board is a file ``hw/boards/NAME.yaml``, or one of the user's, beside the file of its pins (LPF).
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flow.errors import UserError, unknown, within
from flow.paths import HW
from flow.rtl.ecp5 import CAPACITIES, Capacity

FOLDER = HW / "boards"
PORTS = ("clk", "rst_n", "rx", "tx", "led")
"""Ports of ``hw/boards/board.sv``, each of which needs a pin."""
_LOCATED = re.compile(r'^\s*LOCATE\s+COMP\s+"([^"]+)"\s+SITE\s+"([^"]+)"', re.MULTILINE)


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    device: str
    package: str
    speed: int = Field(ge=6, le=8)
    mhz: float = Field(gt=0)
    pins: str


@dataclass(frozen=True)
class Board:
    """A board with an ECP5."""

    name: str
    description: str
    device: str
    """nextpnr's name of the size of the FPGA."""
    package: str
    speed: int
    """Speed grade: 6 is the slowest, 8 the fastest."""
    mhz: float
    """Frequency of the board's clock."""
    pins: Path
    """LPF file that gives each port of the top its pin."""

    @property
    def capacity(self) -> Capacity:
        """What its FPGA holds."""
        return CAPACITIES[self.device]


def names() -> list[str]:
    """Return the names of the boards that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find(name: str) -> Board:
    """Return a board that ships, by its name, or that of a file ``….yaml``.

    Args:
        name: the name, or the path of a file.

    Raises:
        UserError: there is no such board; its file has another form, or names a device that is not
            known; or its pins are not one for each port.
    """
    path = Path(name) if name.endswith(".yaml") else FOLDER / f"{name}.yaml"
    if not path.exists():
        raise unknown("board", name, names())
    with within(f"board {path}"):
        board = _read(path)
    with within(f"pin file {board.pins}"):
        _check_pins(board.pins)
    return board


def _read(path: Path) -> Board:
    try:
        content = _Content.model_validate(yaml.safe_load(path.read_text()))
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"cannot be read: {error}") from None
    if content.device not in CAPACITIES:
        raise unknown("device", content.device, CAPACITIES)
    fields = content.model_dump() | {"pins": path.parent / content.pins}
    return Board(name=path.stem, **fields)


def _check_pins(path: Path) -> None:
    try:
        located = _LOCATED.findall(path.read_text())
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}") from None
    for pin, count in Counter(pin for _, pin in located).items():
        if count > 1:
            users = " and ".join(port for port, other in located if other == pin)
            raise UserError(f"pin {pin} is given {count} times, to {users}: a pin has one port")
    for port, count in Counter(port for port, _ in located).items():
        if count > 1:
            raise UserError(f"port {port} has {count} pins: give it one")
    lacking = sorted(set(PORTS) - {port for port, _ in located})
    if lacking:
        raise UserError(f'no pin for {", ".join(lacking)}: add LOCATE COMP "{lacking[0]}" SITE …')
