"""Frames on the serial line to a board, as ``hw/soc/firmware/frame.h`` describes them."""

import struct
import zlib
from dataclasses import dataclass

BEGIN = b"\x55\xaa"
MOST = 1024
"""Most bytes of a payload."""
_HEAD = struct.Struct("<BBH")
_SUM = struct.Struct("<I")


@dataclass(frozen=True)
class Frame:
    """A request, or the answer to it."""

    kind: str
    """A letter, `hw/soc/firmware/board.c` lists them."""
    number: int
    """0 to 255; an answer has that of its request."""
    payload: bytes

    def encode(self) -> bytes:
        """Return the bytes on the line."""
        body = _HEAD.pack(ord(self.kind), self.number, len(self.payload)) + self.payload
        return BEGIN + body + _SUM.pack(zlib.crc32(body))


class Decoder:
    """Finds whole frames among received bytes; what is damaged is skipped."""

    def __init__(self) -> None:
        self._bytes = b""
        self.skipped = 0
        """Bytes that belong to no frame."""

    def feed(self, received: bytes) -> Frame | None:
        """Take bytes, and return the next frame if it is whole."""
        self._bytes += received
        while True:
            place = self._bytes.find(BEGIN)
            if place < 0:
                place = len(self._bytes) - self._bytes.endswith(BEGIN[:1])
            self.skipped += place
            self._bytes = self._bytes[place:]
            head = self._bytes[len(BEGIN) : len(BEGIN) + _HEAD.size]
            if len(head) < _HEAD.size:
                return None
            kind, number, length = _HEAD.unpack(head)
            end = len(BEGIN) + _HEAD.size + length
            if length <= MOST and len(self._bytes) < end + _SUM.size:
                return None
            body, total = self._bytes[len(BEGIN) : end], self._bytes[end : end + _SUM.size]
            if length <= MOST and _SUM.unpack(total)[0] == zlib.crc32(body):
                self._bytes = self._bytes[end + _SUM.size :]
                return Frame(chr(kind), number, body[_HEAD.size :])
            self.skipped += 1
            self._bytes = self._bytes[1:]
