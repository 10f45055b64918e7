"""Philox4x32-10 against the known answers that Random123 publishes, in Python and in RTL."""

import json

import numpy as np
import pytest

from flow.noise.philox import noise_words, philox4x32
from sim.runner import REPOSITORY, run_sim

ONES = 0xFFFFFFFF
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([ONES] * 4, [ONES] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


def encrypt(counter: list[int], key: list[int]) -> list[int]:
    words = philox4x32(*np.array(counter, dtype=np.uint64), (key[0], key[1]))
    return [int(word) for word in words]


def test_known_answers_in_python():
    for counter, key, words in KNOWN:
        assert encrypt(counter, key) == words


@pytest.mark.slow
def test_known_answers_in_rtl(tmp_path):
    cases = [{"counter": counter, "key": key} for counter, key, _ in KNOWN]
    (tmp_path / "in.json").write_text(json.dumps(cases))
    source = REPOSITORY / "hw" / "noise" / "philox4x32.sv"
    run_sim("philox4x32", [source], "tests.benches.philox_bench", workdir=tmp_path)
    assert json.loads((tmp_path / "out.json").read_text()) == [words for _, _, words in KNOWN]


@pytest.mark.slow
def test_known_answers_in_the_iterated_core(tmp_path):
    """Several counters are in its ring at a time, each answer among seven that Python gives."""
    others = np.random.default_rng(7).integers(0, 1 << 32, (7, 4)).tolist()
    cases = [{"counters": [*others, counter], "key": key} for counter, key, _ in KNOWN]
    (tmp_path / "in.json").write_text(json.dumps(cases))
    source = REPOSITORY / "hw" / "noise" / "philox_core.sv"
    run_sim("philox_core", [source], "tests.benches.philox_core_bench", workdir=tmp_path)
    found = json.loads((tmp_path / "out.json").read_text())
    for case, (_, key, words), out in zip(cases, KNOWN, found, strict=True):
        assert [one["tag"] for one in out] == [0, 1, 0, 1, 0, 1, 0, 1]
        expected = [encrypt(counter, key) for counter in case["counters"]]
        assert expected[-1] == words
        assert [one["words"] for one in out] == expected


def test_words_are_placed_as_the_design_says():
    seed, site, draw, elements = 0xFEDC_BA98_7654_3210, 5, 1, 11
    words = noise_words(seed, site, draw, first_image=3, images=2, elements=elements)
    key = [seed & ONES, seed >> 32]
    for image in (3, 4):
        for element in range(elements):
            counter = [element // 4, image, site << 16 | draw, 0]
            assert words[image - 3, element] == encrypt(counter, key)[element % 4]


def test_words_do_not_depend_on_the_batch():
    whole = noise_words(1, 2, 0, 0, images=5000, elements=30)
    part = noise_words(1, 2, 0, 4321, images=7, elements=30)
    assert np.array_equal(whole[4321:4328], part)


def test_image_number_wraps_at_32_bits():
    words = noise_words(1, 2, 0, ONES, images=2, elements=4)
    assert np.array_equal(words[1:], noise_words(1, 2, 0, 0, images=1, elements=4))
