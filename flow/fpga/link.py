"""A board on a serial line: what its firmware does, as calls.

Each request waits for its answer. If none comes in time it is sent again under the same number, and
the firmware answers again without doing it again.
"""

import struct
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from flow.errors import UserError
from flow.fpga.board_system import BAUD
from flow.fpga.frames import MOST, Decoder, Frame
from flow.soc.driver import Status

TIMEOUT = 2.0
"""Seconds without an answer after which a request is sent again."""
ATTEMPTS = 5
"""How often a request is sent."""
CHUNK = 64
"""Words of memory in a frame, few, so that a damaged one costs little."""

Words = npt.NDArray[np.uint32]


class Port(Protocol):
    """A serial port, as of pyserial, with a time-out of its own for reads."""

    def read(self, size: int) -> bytes:
        """Return received bytes, as many as came in time."""

    def write(self, data: bytes) -> int | None:
        """Send bytes."""

    def reset_input_buffer(self) -> None:
        """Forget what was received."""


def open_port(name: str) -> Port:
    """Open a serial port.

    Raises:
        UserError: pyserial is missing, or the port cannot be opened.
    """
    try:
        import serial
        from serial.tools import list_ports
    except ImportError:
        raise UserError("pyserial is not installed: run `pip install 'noisewalk[fpga]'`") from None
    try:
        port: Port = serial.Serial(name, BAUD, timeout=0.05)
    except (serial.SerialException, ValueError) as error:
        known = ", ".join(port.device for port in list_ports.comports()) or "none"
        raise UserError(f"cannot open serial port {name}: {error}; ports here: {known}") from None
    return port


@dataclass(frozen=True)
class Hello:
    """A board's description of itself."""

    taps: int
    image_words: int
    classes: int
    first: int
    """Address of the first free byte of memory."""
    memory_bytes: int


class Board:
    """A board that answers.

    Args:
        port: the serial line.
        timeout: seconds without an answer after which a request is sent again.
        attempts: how often it is sent.
    """

    def __init__(self, port: Port, timeout: float = TIMEOUT, attempts: int = ATTEMPTS) -> None:
        self._port, self._timeout, self._attempts = port, timeout, attempts
        self._number = 0
        self.repeated = 0
        """Requests that were sent again."""

    def hello(self) -> Hello:
        """Empty the accelerator, take all noise off, and ask what it is."""
        return Hello(*self._ask("h", expected=5))

    def write(self, address: int, words: Words) -> None:
        """Write words of memory."""
        for first in range(0, len(words), CHUNK):
            part = words[first : first + CHUNK]
            self._ask("w", address + 4 * first, *part.tolist())

    def read(self, address: int, count: int) -> Words:
        """Read words of memory."""
        found: list[int] = []
        while len(found) < count:
            size = min(CHUNK, count - len(found))
            found += self._ask("r", address + 4 * len(found), size, expected=size)
        return np.array(found, dtype=np.uint32)

    def noise(self, tap: int, settings: Sequence[int]) -> None:
        """Put noise on a tap: the words of ``nw_noise``."""
        self._ask("n", tap, *settings)

    def table(self, tap: int, address: int, entries: int) -> None:
        """Load a table of quantiles, which is in memory, into a tap."""
        self._ask("t", tap, address, entries)

    def run(self, images: int, address: int, results: int) -> int:
        """Run images that are in memory, and return the clocks it took."""
        _, cycles = self._ask("g", images, address, results, expected=2)
        return cycles

    def digest(self, tap: int) -> int:
        """Return the digest of the last image's stream downstream of a tap."""
        return self._ask("d", tap, expected=1)[0]

    def _ask(self, kind: str, *words: int, expected: int = 0) -> list[int]:
        """Send a request until it is answered, and return the words behind the status."""
        self._number = (self._number + 1) % 256
        request = Frame(kind, self._number, struct.pack(f"<{len(words)}I", *words))
        received = 0
        for attempt in range(self._attempts):
            self.repeated += attempt > 0
            answer, count = self._exchange(request)
            received += count
            if answer is not None:
                return self._words(answer, expected)
        if received:
            raise UserError(
                f"no answer from a board: {received} bytes came, and no frame: is another program "
                f"in the FPGA, or another rate than {BAUD} baud on the line?"
            )
        raise UserError(
            f"no answer in {self._attempts} × {self._timeout:g} s: is the board on, its bitstream "
            "loaded, and this its port?"
        )

    def _exchange(self, request: Frame) -> tuple[Frame | None, int]:
        """Send a request once; return its answer, if one came in time, and the bytes that came."""
        decoder, received = Decoder(), 0
        try:
            self._port.reset_input_buffer()
            self._port.write(request.encode())
            until = time.monotonic() + self._timeout
            while time.monotonic() < until:
                data = self._port.read(MOST)
                received += len(data)
                if data:
                    until = time.monotonic() + self._timeout
                answer = decoder.feed(data)
                while answer is not None:
                    if (answer.kind, answer.number) == (request.kind, request.number):
                        return answer, received
                    answer = decoder.feed(b"")
        except (OSError, termios.error) as error:
            raise UserError(f"the serial port is gone: {error}; was the cable pulled?") from None
        return None, received

    def _words(self, answer: Frame, expected: int) -> list[int]:
        words = list(struct.unpack(f"<{len(answer.payload) // 4}I", answer.payload))
        if words and words[0] != Status.OK:
            name = Status(words[0]).name if words[0] in list(Status) else str(words[0])
            cause = f", cause {words[1]}" if len(words) > 1 else ""
            raise UserError(f"the board refuses a request of kind {answer.kind}: {name}{cause}")
        if len(words) != 1 + expected:
            raise UserError(
                f"the board answers {len(words)} words to a request of kind {answer.kind}, not "
                f"{1 + expected}: its bitstream is of another version"
            )
        return words[1:]
