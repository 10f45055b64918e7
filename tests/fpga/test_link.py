"""The host's side of the serial line: frames, and a board that does not answer as one."""

import os
import random
import struct

import pytest

from flow.errors import UserError
from flow.fpga.frames import Decoder, Frame
from flow.fpga.link import Board, open_port
from flow.soc.driver import Status


def test_frames_are_found_among_anything():
    rng = random.Random(1)
    frames = [Frame("w", i, rng.randbytes(rng.choice((0, 4, 64)))) for i in range(40)]
    # bytes between them that begin no frame
    noise = [bytes(b for b in rng.randbytes(rng.randrange(4)) if b != 0x55) for _ in frames]
    line = b"".join(a + frame.encode() for a, frame in zip(noise, frames, strict=True))
    decoder, found = Decoder(), []
    while line:
        size = rng.randrange(1, 50)
        answer, line = decoder.feed(line[:size]), line[size:]
        while answer is not None:
            found.append(answer)
            answer = decoder.feed(b"")
    assert found == frames and decoder.skipped == sum(map(len, noise))


@pytest.mark.parametrize("place", range(14))
def test_a_damaged_frame_is_skipped_and_the_next_one_found(place):
    first, second = Frame("r", 1, b"abcd"), Frame("r", 2, b"abcd")
    damaged = bytearray(first.encode())
    assert len(damaged) == 14
    damaged[place] ^= 1
    decoder = Decoder()
    found = decoder.feed(bytes(damaged) + 80 * second.encode())
    assert found == second


class Line:
    """A port at whose other end is `answer`."""

    def __init__(self, answer):
        self.answer, self.waiting, self.sent = answer, b"", []

    def read(self, size):
        data, self.waiting = self.waiting[:size], self.waiting[size:]
        return data

    def write(self, data):
        self.sent.append(data)
        self.waiting += self.answer(Decoder().feed(data))

    def reset_input_buffer(self):
        self.waiting = b""


def of_words(request: Frame, *words: int) -> bytes:
    return Frame(request.kind, request.number, struct.pack(f"<{len(words)}I", *words)).encode()


def board(answer) -> Board:
    return Board(Line(answer), timeout=0.01, attempts=3)


def test_what_does_not_answer():
    with pytest.raises(UserError, match=r"no answer in 3 × 0\.01 s: is the board on"):
        board(lambda request: b"").hello()


def test_what_answers_garbage():
    with pytest.raises(UserError, match="27 bytes came, and no frame"):
        board(lambda request: b"login: \r\n").hello()


def test_what_refuses():
    with pytest.raises(UserError, match=r"request of kind g: REFUSED, cause 2"):
        board(lambda request: of_words(request, Status.REFUSED, 2, 0)).run(1, 0, 0)


def test_another_version():
    with pytest.raises(UserError, match="answers 2 words to a request of kind h, not 6"):
        board(lambda request: of_words(request, Status.OK, 4)).hello()


def test_an_answer_to_an_earlier_request_is_not_taken():
    def late(request: Frame) -> bytes:
        earlier = Frame(request.kind, request.number - 1, request.payload)
        return of_words(earlier, 0, 111) + of_words(request, 0, 7)

    assert board(late).digest(0) == 7


def test_a_lost_request_is_sent_again_under_its_number():
    line = Line(lambda request: b"" if len(line.sent) < 3 else of_words(request, 0, 5))
    asked = Board(line, timeout=0.01, attempts=3)
    assert asked.digest(0) == 5 and asked.repeated == 2
    assert len(set(line.sent)) == 1


def test_a_port_that_is_not_there():
    with pytest.raises(UserError, match="cannot open serial port /dev/nowhere"):
        open_port("/dev/nowhere")


def test_a_port_that_goes_away():
    terminal, name = os.openpty()
    asked = Board(open_port(os.ttyname(name)), timeout=1)
    os.close(terminal)
    os.close(name)
    with pytest.raises(UserError, match=r"the serial port is gone.*cable"):
        asked.hello()
