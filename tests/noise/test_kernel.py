"""The compiled kernel: the numbers of NumPy's functions, bit for bit, and the way back to them."""

import ctypes
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from flow import native
from flow.noise import gaussian, kernel
from flow.noise.hardware.fixed_point import TapFormat, apply_tap, draw_samples
from flow.noise.hardware.registers import SIGMA_ADD_BITS, SIGMA_MUL_BITS, TapSettings
from flow.noise.philox import noise_words
from flow.noise.quantile_table import QuantileTable
from tests.hw.noise.test_philox import KNOWN

SOURCE = native.source(Path(kernel.__file__))
ONES = 0xFFFFFFFF
SIZES = [
    (1, 1), (1, 2), (1, 3), (1, 4), (3, 5), (1, 255), (1, 256), (1, 257), (64, 4), (65, 4),
    (1000, 1), (333, 10), (7, 1023), (2, 4096), (1, 99_999), (1, 100_000), (3, 33_334),
]  # fmt: skip
PLACES = [
    (0, 0, 0, 0),
    (1, 1, 1, 1),
    (2026, 5, 0, 4321),
    (0xFEDC_BA98_7654_3210, 17, 1 << 14, 1 << 31),
    ((1 << 64) - 1, 0xFFFF, 0xFFFF, ONES),
    (ONES + 1, 3, (1 << 15) + 1, ONES - 2),
]
"""Seed, site, draw and first image."""


def skewed() -> QuantileTable:
    values = np.sort(np.random.default_rng(5).gamma(2.0, 1.0, 5000)).astype(np.float32)
    return QuantileTable.of(values)


TABLES = {"normal": gaussian.TABLE, "measured": skewed().entries}


@pytest.fixture
def compiled() -> kernel.Kernel:
    found = kernel.kernel()
    assert found is not None
    return found


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Folder of a cache of its own, which the next draw fills with a library compiled quickly."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    quick = tuple("-O0" if flag == "-O3" else flag for flag in native.FLAGS)
    monkeypatch.setattr(native, "FLAGS", quick)
    kernel._kernel.cache_clear()
    yield tmp_path / "noisewalk"
    kernel._kernel.cache_clear()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("size", SIZES)
def test_words_and_samples_are_numpys(compiled, place, size):
    expected = noise_words(*place, *size)
    assert np.array_equal(compiled.words(*place, *size), expected)
    for name, table in TABLES.items():
        out = np.full(size, -1, dtype=np.int32)
        compiled.samples(*place, out, table)
        assert np.array_equal(out, gaussian.gaussian(expected, table)), name


def test_random_places_and_sizes(compiled):
    rng = np.random.default_rng(2)
    for _ in range(300):
        seed = int(rng.integers(1 << 63)) << 1 | int(rng.integers(2))
        place = (seed, *map(int, rng.integers([1 << 16, 1 << 16, 1 << 32])))
        size = tuple(map(int, np.exp(rng.uniform(0, [4, 7])).astype(int)))
        expected = noise_words(*place, *size)
        assert np.array_equal(compiled.words(*place, *size), expected), (place, size)
        table = TABLES[("normal", "measured")[int(rng.integers(2))]]
        out = np.empty(size, dtype=np.int32)
        compiled.samples(*place, out, table)
        assert np.array_equal(out, gaussian.gaussian(expected, table)), (place, size)


ENCRYPT = """
#include "{kernel}"
extern "C" void any(const u32* counter, u64 seed, u32* out) {{
    Lanes c[4][abreast];
    for (int word = 0; word < 4; ++word)
        for (auto& v : c[word]) v = Lanes{{}} + counter[word];
    encrypt(c[0], c[1], c[2], c[3], seed);
    for (int word = 0; word < 4; ++word)
        for (auto& v : c[word])
            for (int lane = 0; lane < lanes; ++lane) *out++ = v[lane];
}}
"""


@pytest.mark.slow
def test_known_answers_in_every_lane(fresh):
    """Random123's, by the kernel's rounds: their counters are none of a site's."""
    fresh.parent.joinpath("known.cpp").write_text(ENCRYPT.format(kernel=SOURCE))
    library = native.load(str(fresh.parent / "known.py"))
    for counter, key, words in KNOWN:
        given, out = np.array(counter, dtype=np.uint32), np.zeros(4 * 64, dtype=np.uint32)
        seed = ctypes.c_uint64(key[1] << 32 | key[0])
        library.any(
            given.ctypes.data_as(ctypes.c_void_p), seed, out.ctypes.data_as(ctypes.c_void_p)
        )
        found = out[out != 0].reshape(4, -1)
        assert found.shape[1] % 16 == 0 and (found == np.array(words)[:, None]).all()


def test_nothing_is_written_beside_the_samples(compiled):
    for size in ((1, 1), (3, 5), (2, 256), (5, 1001)):
        whole = np.full(size[0] * size[1] + 32, 77, dtype=np.int32)
        compiled.samples(1, 2, 0, 3, whole[16:-16].reshape(size))
        assert (whole[:16] == 77).all() and (whole[-16:] == 77).all()
        assert (whole[16:-16] != 77).any()


def test_every_octave_and_both_halves(compiled):
    """Large draws meet the deep octaves; m = 0 has one chance in 2^31 and is seen by its words."""
    words = compiled.words(9, 1, 0, 0, 40, 100_000)
    m = words & np.uint32(0x7FFFFFFF)
    assert len(np.unique(np.floor(np.log2(np.maximum(m, 1))))) >= 18
    for table in TABLES.values():
        out = np.empty(words.shape, dtype=np.int32)
        compiled.samples(9, 1, 0, 0, out, table)
        assert np.array_equal(out, gaussian.gaussian(words, table))


@pytest.mark.parametrize("table", [None, skewed()], ids=["normal", "measured"])
def test_draws_of_a_tap_are_the_same_both_ways_and_on_threads(table):
    # several steps of either way
    draw = (7, 3, 1, 5, 400, 12_345, table)
    fast = draw_samples(*draw)
    with kernel.numpy_only():
        assert kernel.kernel() is None
        assert torch.equal(draw_samples(*draw), fast)
    torch.set_num_threads(3)
    assert kernel.kernel() is not None
    assert torch.equal(draw_samples(*draw), fast)
    assert fast.dtype == torch.int32


def random_tap(rng: np.random.Generator, wide: bool) -> tuple[TapFormat, TapSettings]:
    """Return any format and levels, with the largest among them; float32 holds the output."""
    frac, bits = int(rng.integers(0, 13)), int(rng.integers(2, 40 if wide else 24))
    step = 2 if rng.random() < 0.2 else 1
    low, high = (-1, 1) if step == 2 else (-(1 << bits), (1 << bits) - 1)
    rounds = step == 2 or rng.random() < 0.5
    fmt = TapFormat(frac, low, high, rounds, step, sigma_frac=int(rng.choice([8, 16])))
    mul, add = (
        int(rng.choice([0, 1, (1 << most) - 1, rng.integers(1 << int(rng.integers(1, most)))]))
        for most in (SIGMA_MUL_BITS, SIGMA_ADD_BITS)
    )
    pattern, executions, drift = rng.random(3)
    bits, unsigned = int(rng.choice([0, 0, 1, 12, rng.integers(2, 12)])), bool(rng.integers(2))
    settings = TapSettings(
        seed=int(rng.integers(1 << 62)),
        image_base=int(rng.integers(1 << 32)),
        sigma_mul=mul,
        sigma_add=add,
        add_first=bool(rng.integers(2)),
        enable=rng.random() < 0.95,
        pattern=pattern < 0.3,
        executions=3 if executions < 0.1 else 1,
        gain_rate=-123_456 if drift < 0.1 else 0,
        table=skewed() if rng.random() < 0.3 else None,
        adc_bits=bits,
        # a comparator's is even
        adc_step=max(1, int(rng.integers(1 << int(rng.integers(1, 32))))) * 2 if bits else 0,
        adc_unsigned=unsigned and bits > 0,
    )
    return fmt, settings


@pytest.mark.parametrize("wide", [False, True], ids=["float32", "int64"])
def test_a_tap_is_the_same_both_ways(compiled, wide):
    rng = np.random.default_rng(11)
    for case in range(250):
        fmt, settings = random_tap(rng, wide)
        channels, pixels = (int(n) for n in rng.integers(1, [70, 60]))
        images = int(rng.integers(1, 6))
        largest = 1 << (29 if wide else 22)
        acc = torch.from_numpy(rng.integers(-largest, largest, (images, channels * pixels)))
        acc = acc if wide else acc.float()
        offset = torch.from_numpy(rng.integers(-(1 << 30), 1 << 30, channels))
        tap = (acc, offset * int(rng.integers(2)), fmt, settings, 5)
        found = apply_tap(*tap)
        drawn = {d: draw_samples(settings.seed, 5, d, settings.image_base, *acc.shape,
                                 settings.table_of(d)) for d in settings.draws}  # fmt: skip
        assert torch.equal(apply_tap(*tap, drawn), found), (case, fmt, settings)
        with kernel.numpy_only():
            expected = apply_tap(*tap)
        assert found.dtype == acc.dtype
        assert torch.equal(found, expected), (case, fmt, settings)


def test_a_tap_that_rounds_at_the_half(compiled):
    """Values on both sides of each half, and of the ends of the range."""
    fmt = TapFormat(4, -3, 3, rounds=True)
    settings = TapSettings(enable=True, sigma_add=1 << 12)
    acc, z = torch.zeros(1, 2001, dtype=torch.int64), torch.arange(-1000, 1001).int()[None] * 256
    tap = (acc, torch.zeros(1, dtype=torch.int64), fmt, settings, 1, {1: z})
    found = apply_tap(*tap)
    with kernel.numpy_only():
        assert torch.equal(apply_tap(*tap), found)
    assert found.unique().tolist() == [-3, -2, -1, 0, 1, 2, 3]


def falls_back(caplog) -> str:
    """Draw where the kernel must be missing, and return the one line that tells so."""
    with caplog.at_level(logging.WARNING, logger=kernel.__name__):
        drawn = [draw_samples(1, 2, 0, 0, 3, 10) for _ in range(2)]
    assert kernel.kernel() is None
    expected = gaussian.gaussian(noise_words(1, 2, 0, 0, 3, 10))
    assert all(np.array_equal(one, expected) for one in drawn)
    (line,) = caplog.messages
    assert line.startswith("samples are drawn by NumPy") and "\n" not in line
    return line


def test_without_a_compiler_numpy_draws(fresh, monkeypatch, caplog):
    monkeypatch.setenv("PATH", str(fresh.parent))
    assert "no compiler" in falls_back(caplog)


def test_where_the_compiler_fails_numpy_draws(fresh, monkeypatch, caplog):
    program = fresh.parent / "g++"
    program.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(fresh.parent))
    assert "g++ failed: broken" in falls_back(caplog)


def test_where_the_cache_cannot_be_written_numpy_draws(fresh, caplog):
    fresh.write_text("a file, where root could write to any folder")
    assert "cannot write" in falls_back(caplog)


@pytest.mark.slow
def test_a_kernel_of_other_numbers_is_not_used(fresh, monkeypatch, tmp_path, caplog):
    text = SOURCE.read_text()
    other = tmp_path / "kernel.cpp"
    other.write_text(text.replace("0xD2511F53", "0xD2511F55"))
    monkeypatch.setattr(native, "source", lambda reader: other)
    assert "other numbers" in falls_back(caplog)


@pytest.mark.slow
@pytest.mark.parametrize("keep", [0, 20, 5000, -1], ids=["empty", "short", "half", "one byte less"])
def test_a_damaged_library_is_built_again(fresh, keep):
    first = kernel.kernel()
    assert first is not None
    (library,) = fresh.iterdir()
    whole = library.read_bytes()
    # beside the first, which stays loaded
    library.unlink()
    library.write_bytes(whole[:keep])
    kernel._kernel.cache_clear()
    again = kernel.kernel()
    assert again is not None
    assert len(library.read_bytes()) == len(whole)
    place = (1, 2, 0, 0, 3, 10)
    assert np.array_equal(again.words(*place), noise_words(*place))


@pytest.mark.slow
def test_a_library_is_built_once(fresh):
    assert kernel.kernel() is not None
    (library,) = fresh.iterdir()
    made = library.stat().st_mtime_ns
    kernel._kernel.cache_clear()
    assert kernel.kernel() is not None
    assert [one.stat().st_mtime_ns for one in fresh.iterdir()] == [made]


@pytest.mark.slow
def test_other_flags_or_another_processor_have_another_library(fresh, monkeypatch):
    assert kernel.kernel() is not None
    monkeypatch.setattr(native, "FLAGS", (*native.FLAGS, "-march=x86-64"))
    kernel._kernel.cache_clear()
    assert kernel.kernel() is not None
    assert len(list(fresh.iterdir())) == 2
