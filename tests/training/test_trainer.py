"""Training: it learns, repeats itself to the bit, and survives being killed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from flow import models
from flow.data.augment import augmented
from flow.errors import UserError
from flow.noise import Additive, Noise, Source
from flow.training import checkpoint, trainer, zoo
from flow.training import run as training_run
from flow.training.trainer import Progress
from flow.training.zoo import zoo_path

NOISE = Noise.at("additive", 2)


def run(
    out: Path, *, progress: Callable[[Progress], None] | None = None, **changes: object
) -> Path:
    settings: dict = {"epochs": 3, "seed": 1, "noise": NOISE} | changes
    return trainer.train("tfc-w2a2", "digits", out=out, progress=progress, **settings)


@pytest.mark.slow
def test_it_learns(tmp_path: Path) -> None:
    seen: list[Progress] = []
    path = run(tmp_path / "n.safetensors", epochs=25, noise=None, progress=seen.append)
    network, metadata = checkpoint.load(path, "tfc-w2a2")
    assert metadata.accuracy > 0.85
    assert (metadata.n, metadata.epochs, metadata.seed, metadata.noise) == (500, 25, 1, None)
    assert [p.epoch for p in seen] == list(range(1, 26))
    assert seen[-1].loss < 0.6 * seen[0].loss
    assert all(tap.noise is None for tap in map(network.tap, network.sites))
    assert list(tmp_path.iterdir()) == [path], "the state of the run was left behind"


@pytest.mark.slow
def test_the_seed_decides_everything(tmp_path: Path) -> None:
    torch.manual_seed(5)
    one = run(tmp_path / "1.safetensors").read_bytes()
    torch.manual_seed(6)
    assert run(tmp_path / "2.safetensors").read_bytes() == one
    assert run(tmp_path / "3.safetensors", seed=2).read_bytes() != one
    assert run(tmp_path / "4.safetensors", noise=Noise.at("additive", 3)).read_bytes() != one


@pytest.mark.slow
def test_training_leaves_the_random_state_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(tmp_path / "n.safetensors", epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_every_epoch_has_its_own_order_and_every_step_its_own_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Spy(training_run.TorchSampler):
        def __call__(self, site: str, draw: int, shape: Sequence[int]) -> Tensor:
            sample = super().__call__(site, draw, shape)
            samples.append((site, sample.flatten()[0].item()))
            return sample

    def spy_randperm(count: int) -> Tensor:
        orders.append(real_randperm(count))
        return orders[-1]

    samples: list[tuple[str, float]] = []
    orders: list[Tensor] = []
    real_randperm = torch.randperm
    monkeypatch.setattr(training_run, "TorchSampler", Spy)
    monkeypatch.setattr(torch, "randperm", spy_randperm)
    measured: list[int] = []
    run(tmp_path / "n.safetensors", epochs=2, progress=lambda p: measured.append(len(samples)))
    assert len(orders) == 2 and not torch.equal(*orders)
    # 1,297 images are 13 steps of 100
    training = samples[: measured[-1]]
    assert len(training) == len(set(training)) == 2 * 13 * 4
    assert {site for site, _ in training} == {f"fc{number}.acc" for number in range(4)}


class Killed(BaseException):
    pass


def killed_after(epoch: int) -> Callable[[Progress], None]:
    def kill(progress: Progress) -> None:
        if progress.epoch == epoch:
            raise Killed

    return kill


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole.safetensors")
    out = tmp_path / "killed.safetensors"
    for epoch in (1, 2):
        with pytest.raises(Killed):
            run(out, progress=killed_after(epoch))
    assert not out.exists()
    seen: list[Progress] = []
    run(out, progress=seen.append)
    assert [p.epoch for p in seen] == [3]
    assert out.read_bytes() == whole.read_bytes()


def test_a_killed_run_with_a_changing_level_at_some_sites_goes_on_to_the_same_bits(
    tmp_path: Path,
) -> None:
    noise = {"fc0.acc": Noise.at("additive", 1), "fc1.act": Noise.at("multiplicative", 0.5)}
    settings: dict = {"epochs": 2, "noise": noise, "spread": 0.5}
    whole = trainer.train("float-mlp-bn", "digits", out=tmp_path / "whole", **settings)
    out = tmp_path / "killed"
    with pytest.raises(Killed):
        trainer.train("float-mlp-bn", "digits", out=out, progress=killed_after(1), **settings)
    for other in (
        {"spread": 0.4},
        {"noise": noise | {"input": NOISE}},
        {"clamp": True},
        {"augment": True},
    ):
        with pytest.raises(UserError, match="other settings"):
            trainer.train("float-mlp-bn", "digits", out=out, **(settings | other))
    trainer.train("float-mlp-bn", "digits", out=out, **settings)
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_the_level_of_a_step_is_spread_around_the_one_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Spy(Additive):
        def apply(self, y: Tensor, source: Source) -> Tensor:
            levels.append(self.sigma_add)
            return super().apply(y, source)

    levels: list[float] = []
    settings: dict = {"noise": {"fc0.acc": Spy(2.0)}, "spread": 0.6, "epochs": 5, "batch": 8}
    steps = 5 * 162 + 5
    trainer.train("float-mlp", "digits", out=tmp_path / "n", **settings)
    factors = torch.tensor(levels[:steps]) / 2
    assert len(factors.unique()) > 0.99 * steps
    # |1 + 0.6 z| is folded normal: its second moment is 1 + 0.6², its mean a little over 1
    squares = factors.square()
    assert abs(squares.mean() - 1.36) < 4 * squares.std() / steps**0.5
    assert 1 < factors.mean() < 1.1 and factors.min() < 0.1


@pytest.mark.slow
def test_a_killed_run_can_be_begun_anew(tmp_path: Path) -> None:
    out = tmp_path / "n.safetensors"
    with pytest.raises(Killed):
        run(out, progress=killed_after(2))
    seen: list[Progress] = []
    run(out, progress=seen.append, resume=False)
    assert [p.epoch for p in seen] == [1, 2, 3]


def test_a_run_with_other_settings_is_not_gone_on_with(tmp_path: Path) -> None:
    out = tmp_path / "n.safetensors"
    with pytest.raises(Killed):
        run(out, progress=killed_after(1))
    with pytest.raises(UserError, match="other settings"):
        run(out, seed=9)


def test_the_state_of_a_run_may_be_corrupt(tmp_path: Path) -> None:
    state = tmp_path / "n.state.safetensors"
    state.write_bytes(b"hello")
    with pytest.raises(UserError, match=r"n.state.safetensors is corrupt"):
        run(tmp_path / "n.safetensors")


@pytest.mark.slow
def test_noise_in_training_makes_a_network_robust(tmp_path: Path) -> None:
    strong = Noise.at("additive", 6)
    noisy = checkpoint.load(run(tmp_path / "n.safetensors", epochs=25, noise=strong))
    clean = checkpoint.load(run(tmp_path / "c.safetensors", epochs=25, noise=None))
    assert noisy[1].noise == strong.to_json()
    everywhere = dict.fromkeys(clean[0].accumulator_sites, strong)
    test = trainer._samples("digits", "test", (8, 8, 1))

    def correct(network: models.Network) -> int:
        sampler = training_run.TorchSampler(0)
        predicted = models.evaluate(network, test[0], noise=everywhere, sampler=sampler)
        return int((predicted == test[1].numpy()).sum())

    # the two differ by over 50 of 500; a standard error is about 11
    assert correct(noisy[0]) > correct(clean[0]) + 20


def test_the_default_place_is_where_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (zoo, trainer):
        monkeypatch.setattr(module, "LOCAL", tmp_path / "build")
    monkeypatch.setattr(zoo, "ZOO", tmp_path / "zoo")
    path = trainer.train("tfc", "digits", epochs=1)
    assert zoo_path("tfc", "digits") == path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"batch": 1}, "batch is 1: give a whole number of at least 2"),
        ({"lr": float("nan")}, "lr is nan: give a number above 0"),
        ({"precision": "bfloat"}, r"precision is bfloat: did you mean bfloat16\?"),
    ],
)
def test_bad_numbers(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        run(tmp_path / "n.safetensors", **changes)


def test_bad_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown model 'tcf'.*tfc"):
        trainer.train("tcf", "digits", out=tmp_path / "n")
    with pytest.raises(UserError, match=r"unknown dataset 'digit'.*digits"):
        trainer.train("tfc", "digit", out=tmp_path / "n")


def test_the_estimate_grows_with_the_work() -> None:
    short = trainer.estimated_seconds("tfc", "digits", 1)
    assert 0 < short < 10
    assert trainer.estimated_seconds("tfc", "fashion-mnist", 10) > 20 * short


def test_augmented_images_are_shifted_mirrored_or_not() -> None:
    images = torch.randn(200, 3, 10, 12)
    torch.manual_seed(0)
    changed = augmented(images, margin=2)
    padded = F.pad(images, (2, 2, 2, 2), mode="replicate")
    mirrored = 0
    for image, wide in zip(changed, padded, strict=True):
        windows = [wide[:, y : y + 10, x : x + 12] for y in range(5) for x in range(5)]
        plain = any(torch.equal(image, w) for w in windows)
        negated = any(torch.equal(image, w.flip(2)) for w in windows)
        assert plain != negated
        mirrored += negated
    assert 70 <= mirrored <= 130


@pytest.mark.parametrize(("asked", "found"), [(None, False), (False, False), (True, True)])
def test_images_are_augmented_where_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool | None, found: bool
) -> None:
    seen = []
    monkeypatch.setattr(
        training_run, "augmented", lambda images, border: seen.append(images) or images
    )
    trainer.train("tfc", "digits", epochs=1, augment=asked, out=tmp_path / "one.safetensors")
    assert bool(seen) == found


@pytest.mark.slow
def test_training_begins_with_the_given_weights(tmp_path: Path) -> None:
    first = trainer.train("tfc-w2a2", "digits", epochs=5, out=tmp_path / "first.safetensors")
    tuned = trainer.train(
        "tfc-w2a2", "digits", epochs=1, lr=1e-9, start=first, out=tmp_path / "tuned.safetensors"
    )
    (before, _), (after, metadata) = checkpoint.load(first), checkpoint.load(tuned)
    assert metadata.start == "first.safetensors"
    assert torch.equal(before.fc0.linear.weight, after.fc0.linear.weight)


@pytest.mark.slow
def test_training_learns_in_bfloat16(tmp_path: Path) -> None:
    path = trainer.train(
        "tfc-w2a2", "digits", epochs=30, precision="bfloat16", out=tmp_path / "n.safetensors"
    )
    assert checkpoint.load(path)[1].accuracy > 0.8


@pytest.mark.slow
def test_training_may_begin_with_the_weights_of_other_bits(tmp_path: Path) -> None:
    """What has two bits has a head start for one."""
    first = trainer.train("tfc-w2a2", "digits", epochs=20, out=tmp_path / "first.safetensors")
    told: dict[str, float] = {}
    for name, start in (("with", first), ("without", None)):
        trainer.train(
            "tfc-w1a1", "digits", epochs=1, start=start, out=tmp_path / f"{name}.safetensors",
            progress=lambda report, name=name: told.update({name: report.accuracy}),
        )  # fmt: skip
    assert told["with"] > told["without"] + 0.1
    assert checkpoint.load(tmp_path / "with.safetensors")[1].start == "first.safetensors"


def test_training_cannot_begin_with_another_network(tmp_path: Path) -> None:
    first = trainer.train("sfc-w2a2", "digits", epochs=1, out=tmp_path / "first.safetensors")
    with pytest.raises(UserError, match="does not fit tfc-w2a2"):
        trainer.train("tfc-w2a2", "digits", epochs=1, start=first, out=tmp_path / "t.safetensors")
    with pytest.raises(UserError, match="no checkpoint"):
        trainer.train("tfc-w2a2", "digits", epochs=1, start=tmp_path / "none", out=tmp_path / "t")
