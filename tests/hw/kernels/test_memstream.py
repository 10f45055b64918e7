"""Weight streamer in RTL: the words of its file, in order, and the port that reads and writes."""

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from sim.runner import REPOSITORY
from tests.helpers.variants import Variant, simulate

SOURCE = REPOSITORY / "hw" / "kernels" / "memstream_axi.sv"
OKAY, SLAVE_ERROR = 0, 2
SIZES = [(1, 8), (2, 1), (5, 13), (9, 300), (3, 64)]
"""Depth and width."""
STALLS = [0.0, 0.6]


def address(word, part, parts):
    """FINN's address of a part of a word, bytes."""
    return ((word << (parts - 1).bit_length()) + part) * 4


@dataclass(frozen=True)
class Memory:
    """A memory's first words, and those that the port writes at every other place."""

    depth: int
    width: int

    @property
    def contents(self) -> list[list[int]]:
        rng = random.Random(self.depth)
        return [[rng.getrandbits(self.width) for _ in range(self.depth)] for _ in range(2)]

    @property
    def parts(self) -> int:
        return -(-self.width // 32)

    @property
    def places(self) -> list[tuple[int, int]]:
        return [(word, part) for word in range(self.depth) for part in range(self.parts)]

    @property
    def rewritten(self) -> list[tuple[int, int]]:
        return [place for place in self.places if place[0] % 2 == 0]

    @property
    def beyond(self) -> int | None:
        """An address beyond the memory, if the port's address can tell."""
        found = address(self.depth, 0, self.parts)
        bits = (self.depth * (1 << (self.parts - 1).bit_length()) - 1).bit_length() + 2
        return found if found < 1 << bits else None

    def job(self, stall: float) -> dict:
        _, others = self.contents
        reads = [address(*place, self.parts) for place in self.places]
        writes = [
            (address(word, part, self.parts), others[word] >> 32 * part & 0xFFFFFFFF)
            for word, part in self.rewritten
        ]
        if self.beyond is not None:
            reads.append(self.beyond)
            writes.append((address(self.depth, self.parts - 1, self.parts), 1))
        return {"count": 3 * self.depth + 1, "stall": stall, "reads": reads, "writes": writes}

    def variant(self, stall: float, folder: Path) -> Variant:
        """Write the memory's first words, and return the kernel that reads them."""
        digits, name = -(-self.width // 4), f"words_{self.depth}.dat"
        words = [f"{word:0{digits}x}\n" for word in self.contents[0]]
        (folder / name).write_text("".join(words))
        parameters = {"DEPTH": self.depth, "WIDTH": self.width, "INIT_FILE": f'"{name}"'}
        # a job rewrites the memory, so each has its own
        return Variant(parameters, [self.job(stall)])


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memstream")
    variants = {
        (depth, stall): Memory(depth, width).variant(stall, folder)
        for depth, width in SIZES
        for stall in STALLS
    }
    return simulate("memstream_axi", [SOURCE], "memstream_bench", variants, folder)


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "width"), SIZES)
@pytest.mark.parametrize("stall", STALLS)
def test_words_come_in_order_and_the_port_has_them(depth, width, stall, results):
    memory = Memory(depth, width)
    words, others = memory.contents
    beyond = memory.beyond is not None

    def read(content):
        found = [[content[word] >> 32 * part & 0xFFFFFFFF, OKAY] for word, part in memory.places]
        return found + [[0, SLAVE_ERROR]] * beyond

    (out,) = results[depth, stall]
    after = [others[n] if n % 2 == 0 else word for n, word in enumerate(words)]
    assert out["words"] == (4 * words)[: 3 * depth + 1]
    assert out["reads"] == read(words)
    assert out["writes"] == [OKAY] * len(memory.rewritten) + [SLAVE_ERROR] * beyond
    assert out["reads_after"] == read(after)
    assert out["words_after"] == (4 * after)[: 3 * depth + 1]
