"""A second device of torch, which does not mix with the first: a process of its own runs this."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flow import device
from flow.callbacks import StageClock, no_progress
from flow.device import CPU
from flow.errors import UserError
from flow.experiments import software_walk
from flow.experiments.settings import SoftwareWalkSettings
from flow.golden import device_check
from flow.golden.layers import Pool, Thresholds
from flow.golden.model import GoldenModel, Record
from flow.models import Levels, evaluate, evaluate_groups
from flow.models.traced import TracedNetwork
from flow.noise import Empirical, FixedPattern, Noise, TorchSampler, torch_draws
from flow.noise.hardware import fixed_point
from flow.noise.hardware.registers import TapSettings
from flow.noise.hardware.sampler import HardwareSampler
from flow.noise.hardware.weights import settings_of
from flow.training import checkpoint, trainer
from flow.walks.loading import prepare_walk
from flow.walks.points.point import NoisePoint
from flow.walks.points.side import INTEGER, SOFTWARE, Side
from flow.walks.settings import HardwareWalkSettings
from tests.helpers.convolutional_networks import compiled
from tests.second_device.device import NAME, second_device


@pytest.fixture(scope="session")
def second(built) -> torch.device:
    return second_device(built / "sim")


def test_forgotten_tensors_are_refused(second):
    """What all other tests here rest on."""
    assert device.names() == ["cpu", NAME] and device.find(NAME) == second
    there, here = torch.ones(2, 3, device=second), torch.ones(2, 3)
    for mix in (
        lambda: there + here,
        lambda: there @ here.T,
        lambda: torch.cat([there, here]),
        lambda: nn.functional.conv2d(there[None, None], here[None, None]),
        lambda: there.numpy(),
    ):
        with pytest.raises((RuntimeError, TypeError)):
            mix()


@pytest.mark.parametrize("fault", ["key", "table", "product", "pool", "threshold"])
def test_the_check_passes_and_finds_faults(second, fault, monkeypatch):
    device_check.check_arithmetic.__wrapped__(second)
    if fault == "key":
        monkeypatch.setattr(torch_draws, "KEY_STEPS", (0x9E3779B9, 0xBB67AE84))
    elif fault == "table":
        monkeypatch.setattr(torch_draws, "GUARD", 5)
    elif fault == "product":
        shifted = fixed_point._round_shift_product
        monkeypatch.setattr(
            fixed_point, "_round_shift_product",
            lambda a, b, s: shifted(a, b, s) + (not isinstance(a, np.ndarray)),
        )  # fmt: skip
    else:
        layer = {"pool": Pool, "threshold": Thresholds}[fault]
        exact = layer.__call__
        monkeypatch.setattr(layer, "__call__", lambda self, v: exact(self, v) + 1)
    with pytest.raises(UserError, match=f"{NAME}:0 does not compute"):
        device_check.check_arithmetic.__wrapped__(second)


def test_a_golden_model_that_differs_is_refused(second, accelerator, inputs, monkeypatch):
    golden, stream = accelerator.golden_model(), accelerator.quantise(inputs[:8])
    noise = {"fc1.acc": TapSettings.of(Noise.at("additive", 4.0), 1.0, seed=3)}
    device_check.check_model(golden, second, stream, {"all": {}, "noise": noise})
    draws = torch_draws.samples
    monkeypatch.setattr(torch_draws, "samples", lambda *a: draws(*a).neg())
    device_check.check_model(golden, second, stream, {"all": {}})
    with pytest.raises(UserError, match=r"does not compute noise at fc1\.acc exactly"):
        device_check.check_model(golden, second, stream, {"noise at fc1.acc": noise})


@pytest.mark.parametrize("kind", ["additive", "multiplicative", "mixed", "repeated",
                                  "fixed-pattern", "drift", "empirical"])  # fmt: skip
def test_golden_is_the_same_bit_for_bit(second, kind, accelerator, inputs, tmp_path):
    np.save(tmp_path / "noise.npy", np.random.default_rng(2).gamma(2, size=5000) - 1)
    noise = {
        "additive": Noise.at("additive", 8.0),
        "multiplicative": Noise.at("multiplicative", 1.0),
        "mixed": Noise.at("mixed", 6.0, order="add-mul"),
        "repeated": Noise.at("mixed", 6.0, executions=3),
        "fixed-pattern": FixedPattern(6.0, 0.5, device=3),
        "drift": Noise.at("drift", 6.0, gain_rate=-1.0, sigma_rate=2.0),
        "empirical": Empirical(6.0, file=str(tmp_path / "noise.npy")),
    }[kind]
    golden, stream = accelerator.golden_model(), accelerator.quantise(inputs[:60])
    for site in ("input", "fc0.acc", "fc2.act", "fc3.acc"):
        settings = TapSettings.of(noise, accelerator.sites[site].scale, 77, image_base=5)
        same_on_both(golden, second, stream, {site: settings})


def test_golden_of_weights_is_the_same(second, accelerator, inputs):
    golden, stream = accelerator.golden_model(), accelerator.quantise(inputs[:60])
    for site, weights in accelerator.weights.items():
        noise = settings_of(Noise.at("mixed", 1.0), weights, 9)
        same_on_both(golden, second, stream, {site: noise})


@pytest.mark.parametrize("name", ["short-w1a2", "resnet6-w4a4"])
def test_golden_of_convolutions_is_the_same(second, name, built):
    case = compiled(name, built)
    network, accelerator, inputs = case.network, case.accelerator, case.inputs[:24]
    golden, stream = accelerator.golden_model(), accelerator.quantise(inputs)
    same_on_both(golden, second, stream, {})
    site = next(s for s in golden.taps if s.endswith(".acc"))
    for noise in (Noise.at("mixed", 3.0), Noise.at("fixed-pattern", 2.0)):
        settings = TapSettings.of(noise, accelerator.sites[site].scale, 4)
        same_on_both(golden, second, stream, {site: settings})
    other = network.on(second)
    sampler = HardwareSampler(accelerator.sites, 4, second)
    for levels in ({}, {site: Noise.at("mixed", 3.0 * accelerator.sites[site].scale)}):
        here, there = (
            evaluate(one, inputs, noise=levels, sampler=sampler if levels else None)
            for one, sampler in (
                (network, HardwareSampler(accelerator.sites, 4)), (other, sampler),
            )
        )  # fmt: skip
        assert np.mean(here == there) > 0.95


def test_software_is_the_same_within_rounding(second, network, inputs):
    other = network.on(second)
    assert other is not network and other.device == second and network.device == CPU
    assert other.on(second) is other
    for site in ("input", "fc0.acc", "fc1.weight", "fc2.act"):
        for noise in (
            Noise.at("mixed", 0.7),
            Noise.at("additive", 1.0, executions=2),
            *([] if site.endswith("weight") else [Noise.at("drift", 1.0, gain_rate=3.0)]),
        ):
            group = Levels([{site: noise}, {}, {site: noise.scaled(2)}], TorchSampler(3))
            here, there = (
                evaluate_groups(one, inputs[:200], [group], batch=50)[0] for one in (network, other)
            )
            assert np.mean(here == there) > 0.98 and (here[0] != here[1]).any()


def test_a_user_s_module(second):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
                           nn.Flatten(), nn.Linear(36, 10)).eval()  # fmt: skip
    network, images = TracedNetwork(module), torch.randn(40, 1, 8, 8)
    network.fit_to(images)
    other = network.on(second)
    for site in network.sites:
        here, there = (
            evaluate(one, images, noise={site: Noise.at("additive", 0.5)},
                     sampler=TorchSampler(2))
            for one in (network, other)
        )  # fmt: skip
        assert np.mean(here == there) > 0.95


def test_training_goes_on_anywhere(second, tmp_path, monkeypatch):
    """Without dropout, whose random numbers are the device's, weights are bit-equal here."""
    monkeypatch.setattr(nn.Dropout, "forward", lambda self, x: x)
    settings = {"epochs": 2, "noise": Noise.at("additive", 1.0), "augment": True}
    here = trainer.train("tfc-w2a2", "digits", out=tmp_path / "here", **settings)
    there = trainer.train("tfc-w2a2", "digits", out=tmp_path / "there", device=NAME, **settings)
    assert here.read_bytes() == there.read_bytes()
    network, metadata = checkpoint.load(there)
    assert network.device == CPU and metadata.noisy_accuracy is not None

    class Killed(BaseException):
        pass

    def kill(progress: trainer.Progress) -> None:
        raise Killed

    moved = tmp_path / "moved"
    for first, last in ((NAME, "cpu"), ("cpu", NAME)):
        with pytest.raises(Killed):
            trainer.train("tfc-w2a2", "digits", out=moved, device=first, progress=kill, **settings)
        trainer.train("tfc-w2a2", "digits", out=moved, device=last, **settings)
        assert moved.read_bytes() == here.read_bytes()
        moved.unlink()


def test_a_walk_in_software(second, tmp_path):
    chosen = {"model": "tfc-w2a2", "dataset": "digits", "images": 100, "seeds": 1,
              "levels": "4,16", "sites": "fc0.acc,global"}  # fmt: skip
    found = [
        software_walk.walk(
            SoftwareWalkSettings(**chosen, device=name, out=tmp_path / name), no_progress
        )
        for name in ("cpu", NAME, NAME)
    ]
    accuracies = [[level.value.level for level in one["fc0.acc"].levels] for one in found]
    assert accuracies[1] == accuracies[2] == pytest.approx(accuracies[0], abs=0.02)


def test_a_walk_in_hardware(second, results_folder, tmp_path):
    """Golden's points have one key for all devices, since they are equal; software's do not."""
    chosen = {"model": "tfc-w2a2", "dataset": "digits", "images": 60, "cycles": 256}
    walks = [
        prepare_walk(
            HardwareWalkSettings(
                **chosen, device=name, build=results_folder(tmp_path / f"build-{name}")
            ),
            StageClock(), no_progress,
        ).walk
        for name in ("cpu", NAME)
    ]  # fmt: skip
    places = [NoisePoint("", 0.0)]
    places += [NoisePoint(s, level, 1) for s in ("fc0.acc", "fc3.acc") for level in (8.0, 40.0)]
    wanted = walks[0].wanted((Side.GOLDEN, *SOFTWARE), places)
    wanted += walks[0].wanted(INTEGER, places[1:])
    assert walks[1].context.device == second
    here, there = (walk.run(wanted).points for walk in walks)
    for one, a, b in zip(wanted, here, there, strict=True):
        same = walks[0].key(one) == walks[1].key(one)
        assert same == (not one.side.is_software)
        if same:
            assert np.array_equal(a.predictions, b.predictions), one
        assert np.mean(a.predictions == b.predictions) > 0.95


def same_on_both(
    golden: GoldenModel, second: torch.device, stream: Tensor, noise: dict[str, TapSettings]
) -> None:
    """Compare labels, scores and every tap's stream; the noise must matter."""
    record = Record([golden.scores], list(golden.taps))
    here, there = replace(record), replace(record)
    other = golden.to(second)
    assert other is not golden and other.to(second) is other
    labels = golden.run(stream, noise, record=here)
    assert torch.equal(other.run(stream, noise, record=there), labels)
    scores = there.streams[golden.scores]
    assert scores.device == second and torch.equal(scores.cpu(), here.streams[golden.scores])
    for site, digests in here.digests.items():
        assert torch.equal(there.digests[site].cpu(), digests), site
    for site in noise:
        # from the clean prefix, as a walk computes it
        part = other.before([site], stream)
        assert torch.equal(other.run(part, noise), labels)
        clean = Record([golden.scores])
        golden.run(stream, record=clean)
        assert not torch.equal(clean.streams[golden.scores], here.streams[golden.scores])
