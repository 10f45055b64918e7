"""Weight streamer in RTL: the words of its file, in order, and the port that reads and writes."""

import json
import random

import pytest

from sim.runner import REPOSITORY, run_sim

SOURCE = REPOSITORY / "hw" / "kernels" / "memstream_axi.sv"
OKAY, SLAVE_ERROR = 0, 2


def address(word, part, parts):
    """FINN's address of a part of a word, bytes."""
    return ((word << (parts - 1).bit_length()) + part) * 4


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "width"), [(1, 8), (2, 1), (5, 13), (9, 300), (3, 64)])
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_words_come_in_order_and_the_port_has_them(depth, width, stall, tmp_path):
    rng = random.Random(depth)
    words, others = ([rng.getrandbits(width) for _ in range(depth)] for _ in range(2))
    digits, parts = -(-width // 4), -(-width // 32)
    (tmp_path / "words.dat").write_text("".join(f"{word:0{digits}x}\n" for word in words))
    places = [(word, part) for word in range(depth) for part in range(parts)]
    reads = [address(*place, parts) for place in places]
    rewritten = [place for place in places if place[0] % 2 == 0]
    job = {
        "count": 3 * depth + 1,
        "stall": stall,
        "reads": reads,
        "writes": [
            (address(word, part, parts), others[word] >> 32 * part & 0xFFFFFFFF)
            for word, part in rewritten
        ],
    }
    # what lies beyond the memory, if the port's address can tell
    beyond = address(depth, 0, parts)
    if beyond < 1 << (depth * (1 << (parts - 1).bit_length()) - 1).bit_length() + 2:
        reads.append(beyond)
        job["writes"].append((address(depth, parts - 1, parts), 1))
    (tmp_path / "in.json").write_text(json.dumps(job))
    run_sim(
        "memstream_axi",
        [SOURCE],
        "tests.benches.memstream_bench",
        workdir=tmp_path,
        parameters={"DEPTH": depth, "WIDTH": width, "INIT_FILE": '"words.dat"'},
    )

    def read(content):
        found = [[content[word] >> 32 * part & 0xFFFFFFFF, OKAY] for word, part in places]
        return found + [[0, SLAVE_ERROR]] * (beyond in reads)

    out = json.loads((tmp_path / "out.json").read_text())
    after = [others[n] if n % 2 == 0 else word for n, word in enumerate(words)]
    assert out["words"] == (4 * words)[: 3 * depth + 1]
    assert out["reads"] == read(words)
    assert out["writes"] == [OKAY] * len(rewritten) + [SLAVE_ERROR] * (beyond in reads)
    assert out["reads_after"] == read(after)
    assert out["words_after"] == (4 * after)[: 3 * depth + 1]
