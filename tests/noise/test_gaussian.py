"""The Gaussian table: its statistics, and that the RTL has the same."""

import numpy as np
import pytest
from scipy import stats

from flow.noise import gaussian
from flow.noise.philox import noise_words
from flow.noise.quantile_table import QuantileTable


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    """10^7 samples as the hardware draws them."""
    z = gaussian.gaussian(noise_words(2026, 1, 0, 0, images=10_000, elements=1000))
    return z.ravel() / (1 << gaussian.FRACTION_BITS)


def test_moments(samples):
    assert len(samples) == 10**7
    assert abs(samples.mean()) < 1e-3
    assert abs(samples.var() - 1) < 2e-3
    assert abs(stats.kurtosis(samples)) < 0.02


def test_kolmogorov_smirnov(samples):
    assert stats.kstest(samples[: 10**6], "norm").pvalue > 0.01


def test_tails(samples):
    for bound in (3.0, 4.0, 4.5):
        expected = len(samples) * 2 * stats.norm.sf(bound)
        seen = int((np.abs(samples) > bound).sum())
        assert abs(seen - expected) < 5 * np.sqrt(expected)
    assert np.abs(samples).max() > 5.0


def test_quantiles_over_the_whole_range():
    """Every octave, to the last: |z| at the middle of a segment is the normal's quantile."""
    for octave in range(28):
        m = (1 << (30 - octave)) + (1 << max(0, 29 - octave))
        z = int(gaussian.gaussian(np.array([m], dtype=np.uint32))[0]) / 4096
        assert z == pytest.approx(stats.norm.isf((m + 0.5) / 2**32), abs=1e-2)


def test_sign_is_the_top_bit_and_nothing_else():
    words = np.random.default_rng(1).integers(0, 1 << 31, 1000, dtype=np.uint32)
    words[:3] = 0, 1, (1 << 31) - 1
    negative = words | np.uint32(1 << 31)
    assert np.array_equal(gaussian.gaussian(words), -gaussian.gaussian(negative))


def test_neighbours_are_uncorrelated(samples):
    for lag in (1, 2, 4, 1000):
        r = np.corrcoef(samples[:-lag], samples[lag:])[0, 1]
        assert abs(r) < 5 / np.sqrt(len(samples))


def test_the_package_of_the_rtl_is_what_the_generator_writes():
    assert gaussian.PACKAGE.read_text() == gaussian.package_text()


def test_another_table_gives_another_distribution():
    half = gaussian.TABLE // 2
    words = noise_words(1, 1, 0, 0, 10, 1000)
    ratio = gaussian.gaussian(words, half).std() / gaussian.gaussian(words).std()
    assert ratio == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("name", ["gamma", "two values", "three values", "heavy tails", "normal"])
def test_measured_noise_keeps_its_distribution(name):
    rng = np.random.default_rng(7)
    measured = {
        "gamma": rng.gamma(2, size=10_000),
        "two values": np.array([-3.0, 5.0]),
        "three values": np.array([-5.0, 0.0, 5.0]),
        "heavy tails": rng.standard_t(3, size=5000),
        "normal": rng.normal(1.0, 2.0, size=100_000),
    }[name]
    table = QuantileTable.of(np.sort(measured).astype(np.float32))
    drawn = table.sample(noise_words(5, 1, 1, 0, 1000, 1000)).ravel()
    drawn = drawn * table.unit / (1 << gaussian.FRACTION_BITS)
    error = measured.std() / np.sqrt(len(drawn))
    assert drawn.mean() == pytest.approx(measured.mean(), abs=5 * error + 1e-3 * measured.std())
    assert drawn.std() == pytest.approx(measured.std(), rel=0.01)
    # values that occur with a probability may move by less than a percent of the deviation
    assert stats.ks_2samp(measured.round(1), drawn.round(1)).statistic < 0.02


def test_a_table_comes_back_from_its_file(tmp_path):
    table = QuantileTable.of(np.sort(np.random.default_rng(1).gamma(2, size=999)).astype("f4"))
    table.write(tmp_path / "table.npz")
    assert QuantileTable.read(tmp_path / "table.npz") == table
    assert table.samples().std() == pytest.approx(table.unit, rel=0.01)
