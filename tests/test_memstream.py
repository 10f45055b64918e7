"""Weight streamer in RTL: the words of its file, in order, again and again."""

import json
import random

import pytest

from sim.runner import REPOSITORY, run_sim

SOURCE = REPOSITORY / "hw" / "kernels" / "memstream_axi.sv"


@pytest.mark.parametrize(("depth", "width"), [(1, 8), (2, 1), (5, 13), (9, 300)])
@pytest.mark.parametrize("stall", [0.0, 0.6])
def test_words_come_in_order(depth, width, stall, tmp_path):
    rng = random.Random(depth)
    words = [rng.getrandbits(width) for _ in range(depth)]
    digits = -(-width // 4)
    (tmp_path / "words.dat").write_text("".join(f"{word:0{digits}x}\n" for word in words))
    (tmp_path / "in.json").write_text(json.dumps({"count": 3 * depth + 1, "stall": stall}))
    run_sim(
        "memstream_axi",
        [SOURCE],
        "sim.memstream_bench",
        workdir=tmp_path,
        parameters={"DEPTH": depth, "WIDTH": width, "INIT_FILE": '"words.dat"'},
    )
    out = json.loads((tmp_path / "out.json").read_text())
    assert out == (4 * words)[: 3 * depth + 1]
