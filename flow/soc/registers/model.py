"""A model of the accelerator's port as software sees it, and of what may go wrong there."""

from dataclasses import dataclass, field

from flow.soc.registers.access import Block, Register
from flow.soc.registers.generated import NoiseRegisters

WORD = 0xFFFFFFFF
BUSY, NO_IMAGES, IMAGES_OUTSIDE, RESULTS_OUTSIDE = range(1, 5)
"""Causes of an error."""
DONE, ERROR = 1, 2
"""Bits of IRQ_STATUS and IRQ_ENABLE."""
START, RESET = 1, 2
"""Bits of CONTROL."""
LATE = 2
"""Bit of a tap's STATUS."""
_CYCLES = 100
"""Clock cycles that the model counts for an image."""


@dataclass
class RegisterModel:
    """Registers, and a device that has finished its run when software waits for it."""

    taps: int = 2
    image_words: int = 1
    classes: int = 10
    memory_bytes: int = 1 << 16
    hang: bool = False
    """A run that was started stays busy."""
    pending: bool = False
    """No tap takes its settings."""
    broken: bool = False
    """The bus answers every access with an error."""
    fixed: dict[str, int] = field(default_factory=dict)
    """What registers hold in place of what they should."""

    def __post_init__(self) -> None:
        self.content: dict[int, int] = {}
        self.places: dict[int, tuple[str, Register]] = {}
        self.registers = NoiseRegisters(self.read, self.write)
        self._faulty = self.busy = False
        self._enter("", self.registers)
        for tap in range(self.taps):
            self._enter(f"TAP[{tap}].", self.registers.tap(tap))
        self._set("TAPS", self.taps)
        self._set("IMAGE_WORDS", self.image_words)
        self._set("CLASSES", self.classes)
        for name, value in self.fixed.items():
            self._set(name, value)

    def _enter(self, prefix: str, block: Block) -> None:
        for name, register in block.REGISTERS.items():
            self.places[block.offset(name)] = (prefix + name, register)
            self.content[block.offset(name)] = register.reset or 0

    def _set(self, name: str, value: int) -> None:
        self.content[self.registers.offset(name)] = value

    def value(self, name: str) -> int:
        """Return a register's content, whether software may read it or not."""
        return self.content[self.registers.offset(name)]

    @property
    def irq(self) -> bool:
        """The interrupt line."""
        return bool(self.value("IRQ_STATUS") & self.value("IRQ_ENABLE"))

    def readable(self, offset: int) -> bool:
        """Whether a read there is answered."""
        return offset in self.places and self.places[offset][1].readable and not self.broken

    def writable(self, offset: int) -> bool:
        """Whether a write there is answered."""
        return offset in self.places and self.places[offset][1].writable and not self.broken

    def settings_come_late(self, tap: int) -> None:
        """Apply settings to a tap whose first image has passed."""
        self.content[self.registers.tap(tap).offset("STATUS")] |= LATE

    def read(self, offset: int) -> int:
        """Return a word; 0 where the bus answers with an error."""
        if not self.readable(offset):
            self._faulty = True
            return 0
        name, _ = self.places[offset]
        if name == "STATUS":
            return int(self.busy) | 4 * self.pending
        if name.startswith("TAP[") and name.endswith(".STATUS"):
            return int(self.pending) | self.content[offset]
        return self.content[offset]

    def write(self, offset: int, value: int, strobe: int = 0b1111) -> None:
        """Write the bytes of a word that the strobe names."""
        if not self.writable(offset):
            self._faulty = True
            return
        name, register = self.places[offset]
        bits = sum(0xFF << 8 * byte for byte in range(4) if strobe >> byte & 1) & register.mask
        if name == "CONTROL":
            self._control(value & bits)
        elif name == "IRQ_STATUS" or name.endswith(".STATUS"):
            self.content[offset] &= ~(value & bits) & WORD
        else:
            self.content[offset] = self.content[offset] & ~bits | value & bits

    def _control(self, value: int) -> None:
        if value & START:
            cause = BUSY if value & RESET else self._cause()
            self._set("ERROR", cause)
            if cause:
                self._set("IRQ_STATUS", self.value("IRQ_STATUS") | ERROR)
            else:
                self.busy = True
        if value & RESET:
            self.busy = False
            for name in ("IMAGES_IN", "IMAGES_OUT", "CYCLES", "LABEL"):
                self._set(name, 0)
            for offset, (name, register) in self.places.items():
                if name.startswith("TAP[") and not name.endswith(".SITE"):
                    self.content[offset] = register.reset or 0

    def _cause(self) -> int:
        images, result = self.value("IMAGES"), 4 * (self.classes + 1)
        if self.busy:
            return BUSY
        if not images:
            return NO_IMAGES
        if self._outside(self.value("IMAGE_ADDRESS"), 4 * self.image_words * images):
            return IMAGES_OUTSIDE
        return RESULTS_OUTSIDE * self._outside(self.value("RESULT_ADDRESS"), result * images)

    def _outside(self, address: int, size: int) -> bool:
        return bool(address % 4) or address + size > self.memory_bytes

    def fault(self) -> bool:
        """Return whether an access was answered with an error since the last call."""
        faulty, self._faulty = self._faulty, False
        return faulty

    def wait(self, clocks: int) -> bool:
        """Wait at most this many clocks for a run to end; return whether there was an interrupt."""
        images = self.value("IMAGES")
        if not self.busy or self.hang or clocks < _CYCLES * images:
            return self.irq
        self.busy = False
        for name in ("IMAGES_IN", "IMAGES_OUT"):
            self._set(name, self.value(name) + images & WORD)
        self._set("CYCLES", _CYCLES * images)
        self._set("IRQ_STATUS", self.value("IRQ_STATUS") | DONE)
        return self.irq
