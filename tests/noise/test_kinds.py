"""Kinds of noise beyond the three of the paper, executions, and what is written down of a noise."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from flow.errors import UserError
from flow.noise import (
    KINDS,
    Drift,
    Empirical,
    FixedPattern,
    Mixed,
    Noise,
    NoiseTap,
    TorchSampler,
)
from flow.noise.measured import read_samples

MADE = ("additive", "multiplicative", "mixed", "fixed-pattern", "drift", "empirical")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Measured samples of a skewed distribution whose mean is not 0."""
    path = tmp_path_factory.mktemp("measured") / "samples.npy"
    np.save(path, np.random.default_rng(1).gamma(2.0, 1.5, (200, 100)))
    return str(path)


def made(kind: str, sigma: float, file: str, executions: int = 1) -> Noise:
    options = {"drift": {"sigma_rate": 0.5}, "empirical": {"file": file}}
    return Noise.at(kind, sigma, executions=executions, **options.get(kind, {}))


def noisy(noise: Noise, y: Tensor, *, seed: int = 0, first: int = 0, site: str = "a") -> Tensor:
    sampler = TorchSampler(seed)
    sampler.start_batch(first)
    tap = NoiseTap()
    tap.set(site, noise, sampler)
    return tap(y)


def test_there_is_a_test_for_each_kind() -> None:
    assert KINDS == MADE


@pytest.mark.parametrize("kind", MADE)
def test_no_level_is_no_noise_and_what_is_written_down_comes_back(kind: str, file: str) -> None:
    y = torch.ones(2, 3)
    assert noisy(made(kind, 0, file), y) is y
    noise = made(kind, 0.5, file)
    assert not torch.equal(noisy(noise, y), y)
    assert Noise.from_json(json.loads(json.dumps(noise.to_json()))) == noise
    assert noise.scaled(2) == made(kind, 1, file)
    assert made(kind, 0, file).name == "clean" and "/" not in noise.name and len(noise.name) < 40


def test_metadata_of_older_checkpoints_is_still_noise() -> None:
    older = {"kind": "additive", "sigma_add": 8.0, "sigma_mul": 0.0, "order": "mul-add"}
    assert Noise.from_json(older) == Noise.at("additive", 8)
    assert Noise.from_json(older | {"kind": "mixed", "order": "add-mul"}) == Mixed(
        8, order="add-mul"
    )


def test_names_tell_noises_apart(file: str) -> None:
    noises = [
        Mixed(1, 0),
        Mixed(0, 1),
        Mixed(0, 1, executions=3),
        FixedPattern(1, 0),
        FixedPattern(1, 0, device=0),
        Drift(1, gain_rate=0.1),
        Drift(1, sigma_rate=0.1),
        Empirical(1, file=file),
    ]
    assert len({noise.name for noise in noises}) == len(noises)
    assert FixedPattern(1, 0.5).name == "fixed-pattern-1-0.5"


@pytest.mark.parametrize("kind", ["additive", "multiplicative", "mixed", "drift", "empirical"])
def test_values_of_elements_images_and_sites_are_independent(kind: str, file: str) -> None:
    noise, y = made(kind, 0.5, file), torch.ones(1000, 100)
    found = noisy(noise, y).double()
    pairs = {
        "elements": (found[:, :-1], found[:, 1:]),
        "images": (found[:-1], found[1:]),
        "sites": (found, noisy(noise, y, site="b").double()),
        "batches": (found, noisy(noise, y, first=1000).double()),
        "seeds": (found, noisy(noise, y, seed=1).double()),
    }
    for name, (a, b) in pairs.items():
        correlation = torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]
        assert abs(correlation) < 5 / math.sqrt(a.numel()), name


def test_a_fixed_pattern_is_of_a_channel_and_device_not_of_image_or_seed() -> None:
    noise = FixedPattern(0.5, 0.25, device=3)
    y = torch.full((6, 5, 4, 4), 2.0)
    found = noisy(noise, y)
    one = found[0, :, 0, 0]
    assert torch.equal(found, one.view(1, 5, 1, 1).expand(6, 5, 4, 4))
    assert len(one.unique()) == 5
    assert torch.equal(noisy(noise, y, seed=9, first=100), found)
    again = FixedPattern(0.5, 0.25, device=3, executions=8)
    assert torch.allclose(noisy(again, y), found)
    assert not torch.equal(noisy(FixedPattern(0.5, 0.25, device=4), y), found)
    assert not torch.equal(noisy(noise, y, site="b"), found)


def test_without_a_device_s_seed_each_noise_draw_is_a_device() -> None:
    y = torch.full((6, 5), 2.0)
    found = noisy(FixedPattern(0.5, 0.25), y)
    assert torch.equal(noisy(FixedPattern(0.5, 0.25), y, first=100), found)
    assert torch.equal(found, found[:1].expand(6, 5))
    assert not torch.equal(noisy(FixedPattern(0.5, 0.25), y, seed=1), found)
    assert torch.equal(
        noisy(FixedPattern(0.5, 0.25, device=1), y), noisy(FixedPattern(0.5, 0.25), y, seed=1)
    )


def test_gains_and_offsets_of_many_devices_are_normal() -> None:
    y = torch.full((1, 400), 2.0)
    found = torch.cat([noisy(FixedPattern(0.5, 0.25, device=d), y) for d in range(100)])
    variance = 0.5**2 + (2 * 0.25) ** 2
    z = ((found - 2) / math.sqrt(variance)).flatten().numpy()
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 5 / math.sqrt(z.size)


def test_drift_changes_gain_and_level_with_the_image_number() -> None:
    noise = Drift(0.5, gain_rate=0.1, sigma_rate=1.0)
    y = torch.full((2000, 500), 3.0)
    found = noisy(noise, y, first=1000)
    number = torch.arange(1000, 3000)
    assert (found.mean(1) - 3 * (1 + 0.1 * number / 1000)).abs().max() < 5 * 2 / math.sqrt(500)
    level = found[1900:].std(1).mean() / found[:100].std(1).mean()
    assert level == pytest.approx((1 + 2.95) / (1 + 1.05), rel=0.02)
    # σ that has fallen to 0 stays there
    assert noisy(Drift(0.5, sigma_rate=-1.0), y[:1], first=1500).equal(y[:1])
    # a gain alone is no noise, and yet changes y
    assert noisy(Drift(gain_rate=0.1), y[:1], first=1000)[0, 0] == pytest.approx(3.3)
    # and one that has fallen to 0 does not turn the sign
    assert noisy(Drift(gain_rate=-0.5), y[:1], first=4000)[0, 0] == 0


def test_measured_samples_come_back_in_distribution(file: str, tmp_path: Path) -> None:
    samples = np.load(file).ravel()
    text = tmp_path / "s.txt"
    text.write_text("\n".join(str(s) for s in samples))
    found = noisy(Empirical(1.0, file=file), torch.zeros(200, 250)).flatten().numpy()
    assert stats.ks_2samp(found, samples).pvalue > 1e-3
    assert set(found) <= set(samples.astype(np.float32))
    assert found.mean() == pytest.approx(samples.mean(), abs=5 * samples.std() / math.sqrt(50_000))
    assert found.var() == pytest.approx(samples.var(), rel=0.05)
    y = torch.full((200, 250), 3.0)
    doubled = noisy(Empirical(2.0, file=str(text)), y).flatten().numpy()
    assert np.allclose(doubled, 3 + 2 * found)


def test_rare_large_samples_are_drawn_as_often_as_they_were_measured(tmp_path: Path) -> None:
    samples = np.zeros(10_000)
    samples[5:8] = -100.0
    samples[9] = 50.0
    np.save(tmp_path / "s.npy", samples)
    found = noisy(Empirical(1.0, file=str(tmp_path / "s.npy")), torch.zeros(1000, 1000))
    for value, expected in ((-100.0, 300), (50.0, 100)):
        assert abs(int((found == value).sum()) - expected) < 5 * math.sqrt(expected)
    assert set(found.unique().tolist()) == {-100.0, 0.0, 50.0}


def test_a_file_of_samples_that_has_changed_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text("1 2 3")
    old = Empirical(1.0, file=str(path))
    path.write_text("3 2 1\n")
    assert Noise.from_json(old.to_json()) == old
    path.write_text("1 2 3 4")
    assert Empirical(1.0, file=str(path)) != old
    with pytest.raises(UserError, match=r"digest of Empirical.*s\.txt"):
        Noise.from_json(old.to_json())
    # what was read stays
    assert noisy(old, torch.zeros(100, 10)).unique().tolist() == [1, 2, 3]


@pytest.mark.parametrize("kind", [kind for kind in MADE if kind != "fixed-pattern"])
@pytest.mark.parametrize("executions", [2, 9])
def test_the_mean_of_k_executions_has_sigma_by_root_k(
    kind: str, executions: int, file: str
) -> None:
    y = torch.full((1000, 200), 3.0)
    once, again = made(kind, 0.5, file), made(kind, 0.5, file, executions)
    ratio = (noisy(again, y).var() / noisy(once, y, seed=1).var()).item()
    # of two variances of 200,000 values, each known to 0.32 %
    assert ratio * executions == pytest.approx(1, abs=5 * 0.0032 * math.sqrt(2) * 1.5)
    assert noisy(again, y).mean().item() == pytest.approx(noisy(once, y).mean().item(), abs=0.02)


def test_each_execution_has_draws_of_its_own() -> None:
    """Samplers that count nothing, as the hardware's, would give the same samples again."""

    class Spy(TorchSampler):
        def __call__(self, site, draw, shape):
            draws.append(draw)
            return super().__call__(site, draw, shape)

    draws: list[int] = []
    tap = NoiseTap()
    tap.set("a", Mixed(1, 1, executions=3), Spy(0))
    tap(torch.ones(2, 3))
    assert draws == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", MADE)
def test_kinds_say_whether_k_executions_are_one_of_a_smaller_sigma(kind: str, file: str) -> None:
    """Told by the distribution, which for mixed noise is that of ``mul-add``."""
    y, k = torch.full((400, 250), 3.0), 8
    again, smaller = made(kind, 2.0, file, k), made(kind, 2.0 / math.sqrt(k), file)
    a, b = (noisy(n, y, seed=s).flatten().numpy() for s, n in enumerate((again, smaller)))
    assert (stats.ks_2samp(a, b).pvalue > 1e-3) == again.averages


def test_the_order_add_mul_does_not_average() -> None:
    y, k = torch.zeros(400, 250), 8
    again, smaller = (
        Mixed(2.0, 2.0, order="add-mul", executions=k),
        Mixed(2.0, 2.0, order="add-mul").scaled(1 / math.sqrt(k)),
    )
    assert noisy(again, y).var() > 2 * noisy(smaller, y).var()
    assert not again.averages and Mixed(2.0, 2.0).averages


def test_one_execution_has_the_bits_of_plain_noise_and_others_are_independent() -> None:
    y = torch.zeros(500, 400)
    once = noisy(Noise.at("additive", 1.0), y)
    assert torch.equal(noisy(Noise.at("additive", 1.0, executions=1), y), once)
    second = 2 * noisy(Noise.at("additive", 1.0, executions=2), y) - once
    assert abs(np.corrcoef(once.flatten(), second.flatten())[0, 1]) < 5 / math.sqrt(y.numel())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.txt", b"", "holds no noise samples"),
        ("s.txt", b"1 2 nan", "not finite"),
        ("s.txt", b"1 2 1e99", "not finite"),
        ("s.txt", b"3", "one value only"),
        ("s.txt", b"3 3 3", "one value only"),
        ("s.txt", b"1 two 3", "cannot read noise samples"),
        ("s.txt", b"\xff\xfe\x00", "cannot read noise samples"),
        ("s.txt", None, "cannot read noise samples"),
        ("s.npy", b"", "holds no noise samples"),
        ("s.npy", b"1 2 3", "cannot read noise samples"),
        ("s.npy", b"PK\x03\x04 cut", "cannot read noise samples"),
        ("s.npy", np.array([], np.float64), "holds no noise samples"),
        ("s.npy", np.array([1, np.inf]), "not finite"),
        ("s.npy", np.array([1, 2j]), "values of type complex128"),
        ("s.npy", np.array(["a", "b"]), "values of type <U1"),
        ("s.npy", np.array([{}], object), "cannot read noise samples"),
    ],
)
def test_bad_files_of_samples(
    name: str, content: bytes | np.ndarray | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(UserError, match=message) as raised:
        Noise.at("empirical", 1, file=str(path))
    assert str(path) in str(raised.value)


def test_a_cut_or_packed_array_is_told_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "s.npy"
    np.save(path, np.arange(100.0))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(UserError, match=r"s\.npy"):
        read_samples(path)
    np.savez(tmp_path / "s.npz", np.arange(100.0))
    (tmp_path / "s.npz").rename(path)
    with pytest.raises(UserError, match=r"s\.npy"):
        read_samples(path)
    with pytest.raises(UserError, match=str(tmp_path)):
        read_samples(tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Noise.at("additive", 1, device=3), "additive noise has no device"),
        (lambda: Noise.at("additive", 1, executions=0), "executed 0 times: give 1 to 64"),
        (lambda: Noise.at("additive", 1, executions=65), "executed 65 times: give 1 to 64"),
        (lambda: Noise.at("fixed-pattern", 1, device=-1), "the device is -1"),
        (lambda: Noise.at("drift", 1, gain_rate=math.inf), "drift of the gain is inf"),
        (lambda: Noise.at("empirical", 1), "needs samples: give a file"),
        (lambda: Noise.at("drift", 1), "drift without a rate is mixed noise"),
        (lambda: Noise.at("additive", 1, sigma_add=3), "has no sigma add"),
        (lambda: Mixed(1, 1, order="mul"), r"unknown noise order 'mul'"),  # type: ignore[arg-type]
        (lambda: Noise.at("fixedpattern", 1), r"unknown noise 'fixedpattern'.*fixed-pattern"),
    ],
)
def test_bad_settings(make, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()
