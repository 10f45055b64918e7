"""The Python API: ten lines on networks of every origin, with the results of the command line."""

import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import flow
from flow import data
from flow.cli import main
from flow.models import evaluate
from flow.models.qonnx.file import export_qonnx
from flow.noise import TorchSampler
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.summaries import WalkSummary
from tests.helpers import custom_networks
from tests.helpers.arithmetic_networks import converted, graph_of_pairs
from tests.helpers.torchvision_networks import models

LEVELS = (0.5, 4.0)


class MLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(64, 24)
        self.last = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.hidden(x.flatten(1))))


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    found = data.load("digits", "test", 90)
    return found.images, found.labels


@pytest.fixture(scope="module")
def floats(digits) -> tuple[Tensor, np.ndarray]:
    return data.to_input(digits[0]), digits[1]


@pytest.fixture(scope="module")
def mlp() -> nn.Module:
    torch.manual_seed(0)
    return custom_networks.trained(MLP())


def command_line(monkeypatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["noisewalk", *words])
    main.main()


def same_points(found: pd.DataFrame, folder: Path) -> bool:
    return found.equals(pd.read_parquet(folder / "curves.parquet"))


def test_import_is_quick_and_loads_nothing():
    code = "import flow, sys; print('torch' in sys.modules, 'pandas' in sys.modules, dir(flow))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("False False")
    assert "walk_hw" in said.stdout
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = flow.nonsense


def test_every_public_name_is_there_and_documented():
    for name in flow.__all__:
        assert getattr(flow, name).__doc__, name


@pytest.mark.slow
def test_ten_lines_on_a_float_mlp(mlp, floats, tmp_path):
    net = flow.tap(mlp)
    walk = flow.walk(net, *floats, noise=flow.Additive(), build=tmp_path, precision_of_mu=0.2)
    assert list(walk) == ["input", "hidden.acc", "relu.act", "last.acc"]
    value, low, high = walk["last.acc"].midpoint
    assert low < value < high
    assert walk["global"].midpoint.value < value
    assert {"site", "sigma", "accuracy"} <= set(walk.to_pandas().columns)
    assert set(walk.figures()) == {"curves", "midpoints"}
    assert WalkSummary.read(walk.folder / "summary.json") == walk.summary
    with pytest.raises(flow.UserError, match=r"did you mean last\.acc"):
        walk["lst.acc"]


@pytest.mark.slow
def test_a_point_is_what_evaluation_says(mlp, floats, tmp_path):
    net, (images, labels) = flow.tap(mlp), floats
    walk = flow.walk(
        net, images, labels, sites=["relu.act"], levels=LEVELS, seeds=2, seed=5, build=tmp_path
    )
    table = walk.to_pandas()
    for level in LEVELS:
        for draw in range(2):
            seed = NoiseSetting("additive", seed=5).seed_of(draw)
            noise = {"relu.act": flow.Additive(level)}
            found = evaluate(net, images, noise=noise, sampler=TorchSampler(seed))
            (row,) = table[(table["sigma"] == level) & (table["seed"] == seed)].itertuples()
            assert row.correct == (found == labels).sum()


@pytest.mark.slow
def test_every_container_gives_the_same_walk(mlp, floats, tmp_path):
    images, labels = floats
    pairs = TensorDataset(images, torch.from_numpy(labels))
    options = {"sites": ["hidden.acc"], "levels": LEVELS, "seeds": 1, "build": tmp_path}
    found = [
        flow.walk(mlp, *given, **options).to_pandas()
        for given in ((images, labels), (images.numpy(), list(labels)), (pairs,),
                      (DataLoader(pairs, batch_size=7),))
    ]  # fmt: skip
    assert all(table.equals(found[0]) for table in found)


@pytest.mark.slow
def test_walks_of_several_kinds_and_of_other_weights_do_not_mix(mlp, floats, tmp_path):
    options = {"sites": ["last.acc"], "levels": LEVELS, "seeds": 1, "build": tmp_path}
    first = flow.walk(mlp, *floats, **options)
    kept = first.to_pandas()
    both = flow.walk(mlp, *floats, noise=["additive", flow.Mixed(1.0, 3.0)], **options)
    assert list(both.summary.kinds) == ["additive", "mixed"]
    assert both.summary.kinds["mixed"].ratio == 0.25
    assert first.to_pandas().equals(kept)
    torch.manual_seed(1)
    other = flow.walk(MLP().eval(), *floats, **options)
    assert other.folder != first.folder


@pytest.mark.slow
def test_torchvision_s_resnet18(tmp_path):
    torch.manual_seed(0)
    net = flow.tap(models.resnet18().eval())
    images, labels = torch.randn(24, 3, 32, 32), torch.arange(24) * 41
    walk = flow.walk(
        net, images, labels, sites=["layer1.0.conv1.acc", "global"], levels=[1.0], seeds=1,
        build=tmp_path,
    )  # fmt: skip
    assert walk.summary.classes == 1000
    table = walk.to_pandas()
    noise = {"layer1.0.conv1.acc": flow.Additive(1.0)}
    order = data.sets.interleave(labels.numpy(), 944)
    found = evaluate(net, images[order], noise=noise, sampler=TorchSampler(0))
    (row,) = table[table["site"] == "layer1.0.conv1.acc"].itertuples()
    assert row.correct == (found == labels.numpy()[order]).sum()
    assert found.max() > 255


@pytest.mark.slow
def test_a_brevitas_module_as_on_the_command_line(digits, results_folder, tmp_path, monkeypatch):
    """The same module, images and seed: equal points in software, and in hardware."""
    module = custom_networks.one_bit()
    build = results_folder(tmp_path / "build")
    names = {"levels": LEVELS, "build": build, "seed": 3}
    walk = flow.walk(flow.tap(module), *digits, seeds=2, **names)
    hw = flow.walk_hw(module, *digits, hw_images=4, draws=1, budget=0, **names)
    assert hw.summary.rtl.bit_mismatches == 0 and hw.summary.rtl.images > 0
    assert hw.verdict in ("agree", "disagree", "undecided")
    accelerator = flow.compile(module, digits[0], build=build)
    assert list(accelerator.sites) == list(hw) and accelerator.folder.is_dir()
    site = hw["conv0.acc"]
    assert site.software and site.golden and site.verdict == "undecided"
    page = hw.report(tmp_path / "report.html").read_text()
    assert "conv0.acc" in page
    assert list(hw.figures()) == ["curves"]

    monkeypatch.chdir(tmp_path)
    np.savez("set.npz", x=digits[0], y=digits[1])
    factory = f"{custom_networks.__file__}:one_bit"
    words = ["--model", factory, "--dataset", "set.npz", "--levels", "0.5,4", "--seed", "3"]
    command_line(monkeypatch, "walk", *words, "--seeds", "2", "--out", "soft")
    assert same_points(walk.to_pandas(), Path("soft"))
    # the file that the module was exported to is compiled
    (file,) = (build / "own").rglob(f"{hw.summary.model}.onnx")
    command_line(
        monkeypatch, "walk-hw", "--model", str(file), *words[2:], "--hw-images", "4", "--draws",
        "1", "--budget", "0", "--jobs", "1", "--out", "hard",
    )  # fmt: skip
    assert same_points(hw.to_pandas(), Path("hard"))


@pytest.mark.slow
def test_a_qonnx_file_as_on_the_command_line(digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export_qonnx(custom_networks.flat(), (8, 8, 1), Path("net.onnx"))
    np.savez("set.npz", x=digits[0], y=digits[1])
    net = flow.tap("net.onnx", image_shape=(8, 8, 1))
    walk = flow.walk(net, *digits, levels=LEVELS, seeds=1)
    command_line(
        monkeypatch, "walk", "--model", "net.onnx", "--dataset", "set.npz", "--levels", "0.5,4",
        "--seeds", "1", "--out", "soft",
    )  # fmt: skip
    assert same_points(walk.to_pandas(), Path("soft"))


@pytest.mark.slow
def test_a_shipped_network_as_on_the_command_line(digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = flow.load("tfc-w2a2", "digits")
    walk = flow.walk(net, *digits, noise=flow.Multiplicative(), levels=LEVELS, seeds=1)
    command_line(
        monkeypatch, "walk", "--model", "tfc-w2a2", "--dataset", "digits", "--images", "90",
        "--noise", "multiplicative", "--levels", "0.5,4", "--seeds", "1", "--out", "soft",
    )  # fmt: skip
    assert same_points(walk.to_pandas(), Path("soft"))


def test_training_with_noise_and_a_checkpoint(floats, tmp_path):
    found = data.load("digits", "train")
    pairs = (data.to_input(found.images), found.labels)
    path = tmp_path / "mlp.safetensors"

    def trained(epochs: int, **options) -> tuple[nn.Module, list]:
        torch.manual_seed(4)
        module, told = MLP(), []
        net = flow.train(
            module, pairs, noise=flow.Additive(0.5), epochs=epochs, lr=5e-3, test=floats,
            progress=told.append, **options,
        )  # fmt: skip
        assert not module.training and net.image_range == (-1.0, 1.0)
        return module, told

    whole, told = trained(6, checkpoint=path)
    assert [one.epoch for one in told] == [1, 2, 3, 4, 5, 6]
    right = (whole(floats[0]).argmax(1).numpy() == floats[1]).mean()
    assert right > 0.8
    again, _ = trained(6)
    assert torch.equal(whole.last.weight, again.last.weight)
    restored = MLP()
    flow.load(path, into=restored)
    assert torch.equal(restored.last.weight, whole.last.weight) and not restored.training
    written = flow.checkpoint(flow.tap(whole), tmp_path / "copy.safetensors")
    other = MLP()
    flow.load(written, into=other)
    assert torch.equal(other.hidden.weight, whole.hidden.weight)


def test_training_resumes_where_it_was_stopped(tmp_path):
    images, labels = torch.randn(60, 64), torch.arange(60) % 10

    class Stop(Exception):
        pass

    def stop(progress) -> None:
        if progress.epoch == 2:
            raise Stop

    def trained(progress=None, **options) -> nn.Module:
        torch.manual_seed(4)
        module = MLP()
        flow.train(module, images, labels, epochs=4, progress=progress, **options)
        return module

    path = tmp_path / "mlp.safetensors"
    with pytest.raises(Stop):
        trained(stop, checkpoint=path)
    told: list[int] = []
    resumed = trained(lambda progress: told.append(progress.epoch), checkpoint=path)
    assert told == [3, 4]
    assert torch.equal(resumed.last.weight, trained().last.weight)


def test_dropout_is_on_in_training_alone():
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10))
    flow.train(module, torch.ones(40, 64), torch.arange(40) % 10, epochs=1)
    assert not module[1].training and torch.equal(*(module(torch.ones(1, 64)) for _ in range(2)))


def test_a_brevitas_module_is_trained(floats):
    module = custom_networks._depthwise()
    before = module[1].weight.clone()
    net = flow.train(module, *floats, noise={"conv0.acc": flow.Additive(0.1)}, epochs=1)
    assert not torch.equal(module[1].weight, before)
    assert net.accumulator_sites == ["conv0.acc", "conv1.acc", "fc0.acc"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda net, x, y: (net, x, y[:-1]), "90 images and 89 labels"),
        (lambda net, x, y: (net, x * torch.nan, y), "not finite"),
        (lambda net, x, y: (net.train(), x, y), "training mode: call .eval"),
        (lambda net, x, y: (net.to("meta"), x, y), "is on meta"),
        (lambda net, x, y: (net.double(), x, y), "call .float"),
        (lambda net, x, y: (net, x, y + 5), "labels go up to 14, but MLP has 10 classes"),
        (lambda net, x, y: (net, x[:, :, :4], y), "does not take images of shape"),
        (lambda net, x, y: (net, "images", y), "the images are a str"),
    ],
)
def test_bad_input_is_one_sentence(change, said, floats, tmp_path):
    torch.manual_seed(0)
    with pytest.raises(flow.UserError, match=said) as caught:
        flow.walk(*change(MLP().eval(), *floats), build=tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("made", [lambda: converted("fbgemm"), lambda: graph_of_pairs(4)])
def test_networks_that_torch_quantised_go_through_a_file(made, tmp_path, monkeypatch):
    module = made()
    if isinstance(module, torch.fx.GraphModule):
        # as torchao returns it
        module.eval = lambda: pytest.fail("an exported graph refuses this")
        torchao = SimpleNamespace(move_exported_model_to_eval=lambda one: one)
        monkeypatch.setitem(sys.modules, "torchao.quantization.pt2e", torchao)
    images = torch.rand(20, 1, 8, 8)
    walk = flow.walk(module, images, torch.arange(20) % 5, levels=[1.0], build=tmp_path)
    assert len(list(walk)) >= 3 and list(tmp_path.glob("own/*/*.onnx"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sede": 1}, "sede is no option here: did you mean seed"),
        ({"sites": ["hiden.acc"]}, r"did you mean hidden\.acc"),
        ({"levels": [0.0]}, "leave 0 out"),
        ({"seeds": 0}, "whole number of at least 1"),
    ],
)
def test_bad_options_name_what_was_meant(options, said, mlp, floats, tmp_path):
    with pytest.raises(flow.UserError, match=said):
        flow.walk(mlp, *floats, build=tmp_path, **options)


def test_hardware_needs_quantised_weights(mlp, floats, tmp_path):
    with pytest.raises(flow.UserError, match="has no quantisers"):
        flow.walk_hw(mlp, *floats, build=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.001, 255.0])
def test_images_on_another_scale_are_told_with_both_ranges(factor, floats, tmp_path):
    net = flow.load("tfc-w2a2", "digits")
    with pytest.warns(UserWarning, match=r"was trained on -1\.\.1"):
        flow.walk(
            net, floats[0] * factor, floats[1], levels=[1.0], sites=["fc0.acc"], seeds=1,
            build=tmp_path,
        )  # fmt: skip


@pytest.mark.slow
def test_a_network_from_a_file_is_not_trained(floats, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export_qonnx(custom_networks.flat(), (8, 8, 1), Path("net.onnx"))
    with pytest.raises(flow.UserError, match="no parameters to train"):
        flow.train(flow.tap("net.onnx", image_shape=(8, 8, 1)), *floats)
