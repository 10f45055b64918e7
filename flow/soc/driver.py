"""The firmware's driver on the host: the same C, compiled for this machine, called by cffi."""

import re
import subprocess
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

from cffi import FFI

from flow.soc import firmware
from flow.soc.registers import description

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")
_HEADERS = ("noisewalk.h", "vote.h", "host/host_bus.h")
_SOURCES = ("noisewalk.c", "vote.c", "host/host_bus.c")


class Status(IntEnum):
    """``nw_status`` of ``noisewalk.h``."""

    OK = 0
    BAD_IDENTIFICATION = 1
    BAD_VERSION = 2
    NO_SUCH_TAP = 3
    BAD_ARGUMENT = 4
    BUSY = 5
    TIMEOUT = 6
    REFUSED = 7
    BUS_FAULT = 8


class Bus(Protocol):
    """What answers the driver; see ``bus.h``."""

    def read(self, offset: int) -> int:
        """Return a register."""

    def write(self, offset: int, value: int) -> None:
        """Write a register."""

    def fault(self) -> bool:
        """Return whether an access was answered with an error since the last call."""

    def wait(self, clocks: int) -> bool:
        """Wait for an interrupt, for at most this many clocks; return whether there was one."""


def build(folder: Path, options: Sequence[str] = ("-O2",)) -> Path:
    """Compile the driver for this machine.

    Args:
        folder: folder of the registers' header and the library.
        options: further ones for the compiler, such as ``SANITIZERS``.

    Returns:
        the library.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description.write_header(folder)
    library = folder / "libnoisewalk.so"
    places = [f"-I{folder}", f"-I{firmware.SOURCES}"]
    sources = [str(firmware.SOURCES / name) for name in _SOURCES]
    command = ["gcc", *firmware.WARNINGS, *options, "-shared", "-fPIC", *places, *sources]
    ended = subprocess.run([*command, "-o", str(library)], capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{ended.stderr}")
    return library


class Library:
    """The loaded driver."""

    def __init__(self, path: Path) -> None:
        self.ffi = FFI()
        for name in _HEADERS:
            text = re.sub(r"/\*.*?\*/", "", (firmware.SOURCES / name).read_text(), flags=re.DOTALL)
            self.ffi.cdef("\n".join(x for x in text.splitlines() if not x.startswith("#")))
        self.calls = self.ffi.dlopen(str(path))


class Driver:
    """The driver of one device; its calls are those of ``noisewalk.h``.

    Args:
        library: the driver, which has one device at a time: that of the last ``Driver``.
        bus: answers it.
    """

    def __init__(self, library: Library, bus: Bus) -> None:
        self._ffi, self._c = library.ffi, library.calls
        self.device = self._ffi.new("nw_device *")
        # cffi's callbacks live as long as somebody holds them
        self._answers = (
            self._ffi.callback("uint32_t(uint32_t)", bus.read),
            self._ffi.callback("void(uint32_t, uint32_t)", bus.write),
            self._ffi.callback("int(void)", lambda: int(bus.fault())),
            self._ffi.callback("int(uint32_t)", lambda clocks: int(bus.wait(clocks))),
        )
        self._c.nw_host_attach(*self._answers)

    def init(self, time_limit: int) -> Status:
        """Recognise and empty the device."""
        return Status(self._c.nw_init(self.device, time_limit))

    def set_noise(self, tap: int, **settings: int) -> Status:
        """Put noise on a tap, by the fields of ``nw_noise``; those not given are 0."""
        return Status(self._c.nw_set_noise(self.device, tap, self._ffi.new("nw_noise *", settings)))

    def load_table(self, tap: int, words: Sequence[int], entries: int) -> Status:
        """Load a table of quantiles."""
        content = self._ffi.new("uint32_t[]", list(words))
        return Status(self._c.nw_load_table(self.device, tap, content, entries))

    def start(self, images: int, image_address: int, result_address: int) -> Status:
        """Begin a run."""
        return Status(self._c.nw_start(self.device, images, image_address, result_address))

    def finish(self) -> Status:
        """Wait for its end."""
        return Status(self._c.nw_finish(self.device))

    def run(self, images: int, image_address: int, result_address: int) -> Status:
        """Do both."""
        return Status(self._c.nw_run(self.device, images, image_address, result_address))

    def cycles(self) -> int:
        """Return the clocks of the last run."""
        return self._c.nw_cycles(self.device)

    def label(self) -> int:
        """Return the last label."""
        return self._c.nw_label(self.device)

    def digest(self, tap: int) -> tuple[Status, int]:
        """Return the digest of the last image's stream behind a tap."""
        found = self._ffi.new("uint32_t *")
        return Status(self._c.nw_digest(self.device, tap, found)), found[0]

    def late(self, tap: int) -> tuple[Status, int]:
        """Return 1 if settings of a tap came late since the last call or reset, otherwise 0."""
        found = self._ffi.new("uint32_t *")
        return Status(self._c.nw_late(self.device, tap, found)), found[0]


def vote(library: Library, labels: Sequence[int], classes: int, early: bool) -> tuple[int, int]:
    """Let the firmware's vote decide, and return the winner and the executions it took."""
    ballot: Any = library.ffi.new("vote *")
    library.calls.vote_clear(ballot, classes)
    for label in labels:
        library.calls.vote_add(ballot, label)
        left = len(labels) - ballot.executions
        if early and library.calls.vote_decided(ballot, left):
            break
    return library.calls.vote_winner(ballot), ballot.executions
