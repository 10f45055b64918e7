"""The networks: what they compute, where noise may enter, and what an export shows."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from brevitas.export import export_qonnx
from torch import Tensor, nn

from flow import models
from flow.errors import UserError
from flow.models import quantisers, registry
from flow.models.evaluation import evaluate
from flow.models.quantisers import TensorNorm
from flow.models.residual import STEP
from flow.noise import Noise, NoiseTap, TorchSampler

SITES = [
    "input",
    *("fc0.acc", "fc0.act", "fc1.acc", "fc1.act", "fc2.acc", "fc2.act"),
    "fc3.acc",
]


def images(count: int = 32, shape: tuple[int, int, int] = (28, 28, 1)) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    height, width, channels = shape
    return torch.rand(count, channels, height, width, generator=generator) * 2 - 1


def settled(name: str, shape: tuple[int, int, int] = (28, 28, 1)) -> models.Network:
    """Build a network whose batch norms have seen a batch, so that they do something."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = models.build(name, shape)
        # a convolution has many values of each channel in an image
        count = 100 if name[1:3] == "fc" else 12
        for _ in range(5):
            network(images(count, network.image_shape))
    return network.eval()


@pytest.mark.parametrize("name", [n for n in models.names() if n[1:3] == "fc"])
def test_every_dense_network_has_its_sites_grid_and_widths(name: str) -> None:
    network = settled(name)
    assert network.sites == SITES
    assert network.accumulator_sites == [s for s in SITES if s.endswith(".acc")]
    weight, act = int(name[-3]), int(name[-1])
    grid = {1: {-1.0, 1.0}, 2: {-1.0, 0.0, 1.0}}
    seen: dict[str, Tensor] = {}
    for site in SITES:
        network.tap(site).register_forward_hook(
            lambda module, args, out, site=site: seen.update({site: out})
        )
    assert network(images()).shape == (32, 10)
    width = {"tfc": 64, "sfc": 256, "lfc": 1024}[name[:3]]
    assert seen["input"].shape == (32, 784) and seen["fc1.acc"].shape == (32, width)
    assert set(seen["input"].unique().tolist()) == grid[act]
    assert set(seen["fc1.act"].unique().tolist()) == grid[act]
    for number in range(4):
        layer: Any = network.get_submodule(f"fc{number}.linear")
        assert set(layer.quant_weight().value.unique().tolist()) == grid[weight]
        accumulator = seen[f"fc{number}.acc"]
        assert torch.equal(accumulator, accumulator.round()), "not an integer of unit 1"


CONVOLUTIONAL = {
    "cnv": (6, [(64, 30), (64, 14), (128, 12), (128, 5), (256, 3), (256, 1)]),
    "lenet5": (2, [(6, 12), (16, 4)]),
}
"""By family: convolutions, and (channels, side) of each one's activations on 28×28×1 images."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in models.names() if n.split("-")[0] in CONVOLUTIONAL])
def test_every_convolutional_network_has_its_sites_grid_and_shapes(name: str) -> None:
    family, bits = name.split("-")
    convolutions, shapes = CONVOLUTIONAL[family]
    weight, act = int(bits[1]), int(bits[3])
    network = settled(name)
    layers = [f"conv{i}" for i in range(convolutions)] + ["fc0", "fc1"]
    expected = [f"{layer}.{end}" for layer in layers for end in ("acc", "act")]
    assert network.sites == ["input", *expected, "fc2.acc"]
    seen: dict[str, Tensor] = {}
    for site in network.sites:
        network.tap(site).register_forward_hook(
            lambda module, args, out, site=site: seen.update({site: out})
        )
    assert network(images(32, network.image_shape)).shape == (32, 10)
    for number, (channels, side) in enumerate(shapes):
        assert seen[f"conv{number}.act"].shape == (32, channels, side, side)
    steps = {1: 1.0, 2: 1.0, 4: 7.0}
    scale = 128.0
    assert set((seen["input"] * scale).unique().tolist()) <= set(range(-128, 128))
    for layer in [*layers, "fc2"]:
        module: Any = network.get_submodule(f"{layer}.{'linear' if layer[0] == 'f' else 'conv'}")
        levels = module.quant_weight().value.unique() * steps[weight]
        torch.testing.assert_close(levels, levels.round())
        assert levels.abs().max() <= steps[weight]
        # an accumulator is an integer in steps of the weights' and the activations' own
        accumulator = seen[f"{layer}.acc"].double() * steps[weight] * scale
        torch.testing.assert_close(accumulator, accumulator.round(), rtol=0, atol=2e-2)
        scale = steps[act]


RESIDUAL = ["stage0", "stage1", "stage2"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in models.names() if n.startswith("resnet8")])
def test_a_residual_network_has_its_sites_grid_and_shapes(name: str) -> None:
    network = settled(name)
    layers = ["conv", "stage0.conv0", "stage0.conv1"]
    for stage in RESIDUAL[1:]:
        layers += [f"{stage}.{layer}" for layer in ("conv0", "conv1", "shortcut")]
    expected = ["input"]
    for layer in layers:
        expected += [f"{layer}.acc", f"{layer}.act"]
        if layer in ("stage0.conv1", "stage1.shortcut", "stage2.shortcut"):
            expected.append(f"{layer.split('.')[0]}.act")
    assert network.sites == [*expected, "average.act", "fc.acc"]
    seen: dict[str, Tensor] = {}
    for site in network.sites:
        network.tap(site).register_forward_hook(
            lambda module, args, out, site=site: seen.update({site: out})
        )
    assert network(images(32, network.image_shape)).shape == (32, 10)
    shapes = [(16, 32), (32, 16), (64, 8)]
    for stage, (channels, side) in zip(RESIDUAL, shapes, strict=True):
        assert seen[f"{stage}.act"].shape == (32, channels, side, side)
    assert seen["average.act"].shape == (32, 64, 1, 1)
    # all between the first convolution and the mean lies on one grid: an adder adds integers
    largest = 2 ** int(name[-1]) - 1
    terms = {f"{stage}.{term}.act" for stage in RESIDUAL for term in ("conv1", "shortcut")}
    for site in [s for s in network.sites if s.endswith(".act") and s != "average.act"]:
        steps = seen[site] / STEP
        assert torch.equal(steps, steps.round()), site
        low, high = (-(largest // 2), largest // 2) if site in terms else (0, largest)
        assert steps.min() >= low and steps.max() <= high, site
        assert len(steps.unique()) > largest // 2, site
    # the identity shortcut: the block's sum, clipped and requantised, loses nothing else
    sums = seen["conv.act"] + seen["stage0.conv1.act"]
    assert torch.equal(seen["stage0.act"], sums.clamp(0, largest * STEP))


DEEP = {
    "mobilenet": ((32, 32, 3), [(16, 32)] + [(32, 16)] * 2 + [(64, 8)] * 2 + [(128, 4)] * 6),
    "dscnn": ((10, 49, 1), [(64, (5, 25))] * 4),
    "resnet18": ((32, 32, 3), [(8, 32)] * 2 + [(16, 16)] * 2 + [(32, 8)] * 2 + [(64, 4)] * 2),
}
"""Images, and (channels, side) of what each block gives; MobileNet's last two are 256 × 2 × 2."""


@pytest.mark.parametrize("name", DEEP)
def test_a_deep_network_has_its_blocks_shapes_and_gradients(name: str) -> None:
    shape, blocks = DEEP[name]
    if name == "mobilenet":
        blocks = [*blocks, (256, 2), (256, 2)]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = models.build(name, shape, 12)
    end = {"resnet18": "act"}.get(name, "point.act")
    seen: dict[str, Any] = {}
    for number in range(len(blocks)):
        site = f"block{number}.{end}"
        network.tap(site).register_forward_hook(
            lambda module, args, out, site=site: seen.update({site: tuple(out.shape[1:])})
        )
    logits = network(images(4, shape))
    assert logits.shape == (4, 12) and network.sites[-2:] == ["average.act", "fc.acc"]
    for number, (channels, side) in enumerate(blocks):
        sides = side if isinstance(side, tuple) else (side, side)
        assert seen[f"block{number}.{end}"] == (channels, *sides)
    assert f"block{len(blocks)}.{end}" not in network.sites
    logits.square().sum().backward()
    dead = [one for one, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


def test_sounds_are_quantised_in_whole_steps_and_images_from_minus_one_to_one() -> None:
    for shape, step in (((10, 49, 1), 1.0), ((28, 28, 1), 2.0**-7)):
        network = models.build("dscnn", shape).eval()
        steps = network.get_submodule("input_quant")(images(4, shape) * 100 * step) / step
        assert torch.equal(steps, steps.round()) and steps.abs().max() > 90


def test_images_that_a_convolutional_network_cannot_take() -> None:
    with pytest.raises(UserError, match=r"cnv-w2a2 takes images of up to 32×32.*not 64×64×3"):
        models.build("cnv", (64, 64, 3))
    with pytest.raises(UserError, match=r"resnet8-w4a4 takes images of up to 32×32.*not 16×16×2"):
        models.build("resnet8", (16, 16, 2))
    with pytest.raises(UserError, match=r"lenet5-w4a4 takes images of at least 16×16.*not 8×8"):
        models.build("lenet5", (8, 8, 1))


def test_short_names_and_unknown_ones() -> None:
    assert models.build("tfc").name == "tfc-w2a2"
    assert models.resolve("lfc") == "lfc-w2a2"
    with pytest.raises(UserError, match=r"unknown model 'tfc-w2a3'.*tfc-w2a2"):
        models.build("tfc-w2a3")


def test_other_image_shapes() -> None:
    assert models.build("tfc", (8, 8, 1)).get_submodule("fc0.linear").in_features == 64
    assert models.build("tfc", (32, 32, 3)).get_submodule("fc0.linear").in_features == 3072


def test_a_network_of_another_module_is_built_by_the_same_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    monkeypatch.setattr(registry, "_ALIASES", dict(registry._ALIASES))
    models.register("other-w2a2", models.Network, alias="other")
    assert models.build("other").name == "other-w2a2"


def test_tensor_norm_is_a_batch_norm_of_one_channel() -> None:
    ours, torchs = TensorNorm(), nn.BatchNorm1d(1, eps=1e-4)
    for step in range(3):
        x = torch.randn(20, 10, generator=torch.Generator().manual_seed(step)) * 5 + 2
        torch.testing.assert_close(ours(x), torchs(x.reshape(1, 1, -1)).reshape(20, 10))
    torch.testing.assert_close(ours.running_mean, torchs.running_mean)
    torch.testing.assert_close(ours.running_var, torchs.running_var)
    torch.testing.assert_close(ours.eval()(x), torchs.eval()(x.reshape(200, 1)).reshape(20, 10))


def test_noise_of_level_zero_changes_nothing() -> None:
    network, inputs = settled("tfc"), images()
    clean = network(inputs)
    network.set_noise(dict.fromkeys(SITES, Noise.at("mixed", 0)), TorchSampler(0))
    assert torch.equal(network(inputs), clean)


@pytest.mark.parametrize("site", SITES)
def test_noise_enters_at_its_site_and_nowhere_else(site: str) -> None:
    network, inputs = settled("tfc"), images()

    def values() -> dict[str, Tensor]:
        seen: dict[str, Tensor] = {}
        hooks = [
            network.tap(s).register_forward_hook(lambda m, a, out, s=s: seen.update({s: out}))
            for s in SITES
        ]
        network(inputs)
        for hook in hooks:
            hook.remove()
        return seen

    clean = values()
    with network.noise({site: Noise.at("additive", 5)}, TorchSampler(0)):
        noisy = values()
    before, after = SITES[: SITES.index(site)], SITES[SITES.index(site) :]
    assert all(torch.equal(noisy[s], clean[s]) for s in before)
    assert not any(torch.equal(noisy[s], clean[s]) for s in after)
    if site.endswith(".acc"):
        z = TorchSampler(0)(site, 1, clean[site].shape)
        torch.testing.assert_close(noisy[site], clean[site] + 5 * z)
    else:
        assert set(noisy[site].unique().tolist()) == {-1, 0, 1}
    assert torch.equal(values()["fc3.acc"], clean["fc3.acc"]), "the noise stayed on"


def test_setting_noise_replaces_what_was_set() -> None:
    network = settled("tfc")
    network.set_noise({"fc0.acc": Noise.at("additive", 1)}, TorchSampler(0))
    with pytest.raises(UserError, match=r"unknown site 'fc9.acc'.*fc3.acc"):
        network.set_noise({"fc9.acc": Noise.at("additive", 1)}, TorchSampler(0))
    assert network.tap("fc0.acc").noise is not None
    network.set_noise({"fc1.acc": Noise.at("additive", 1)}, TorchSampler(0))
    assert network.tap("fc0.acc").noise is None


def test_a_copy_has_its_own_quantisers() -> None:
    network = settled("tfc")
    twin = copy.deepcopy(network)
    assert twin.tap("fc0.act").__dict__["requantise"] is twin.get_submodule("fc0.quant")
    assert torch.equal(twin(images()), network(images()))


@pytest.mark.parametrize(
    "quantiser",
    [
        quantisers.identity(2),
        quantisers.identity(4),
        quantisers.stepped(4, STEP, signed=False),
        quantisers.stepped(3, STEP, signed=True),
        quantisers.input_identity(),
        quantisers.linear(40, 25, 2).weight_quant,
        quantisers.linear(40, 25, 4).weight_quant,
    ],
)
def test_values_and_gradients_of_a_quantiser_are_those_of_brevitas(quantiser, monkeypatch) -> None:
    generator = torch.Generator().manual_seed(0)
    # values beyond the limits, halves of a step, and the limits themselves
    x = torch.cat([torch.randn(1000, generator=generator) * 2, torch.arange(-40, 41) / 8])
    towards = torch.randn(x.shape, generator=generator)

    def passed() -> tuple[Tensor, Tensor]:
        leaf = x.clone().requires_grad_()
        found = quantiser(leaf)
        y = getattr(found, "value", found)
        y.backward(towards)
        assert leaf.grad is not None
        return y.detach(), leaf.grad

    ours = passed()
    monkeypatch.delattr(quantisers._FusedIntQuant, "forward")
    theirs = passed()
    assert len(theirs[0].unique()) > 2
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


def test_noise_is_on_in_training_and_in_evaluation_at_the_sites_asked_for() -> None:
    network = settled("tfc")
    noise = dict.fromkeys(("fc0.acc", "fc1.acc", "fc2.acc"), Noise.at("additive", 1))
    network.set_noise(
        noise, TorchSampler(0), training={"fc0.acc"}, evaluation=["fc0.acc", "fc1.acc"]
    )
    y, on = torch.zeros(2, 3), {}
    for mode in (True, False):
        on[mode] = [site for site in noise if network.train(mode).tap(site)(y) is not y]
    assert on == {True: ["fc0.acc"], False: ["fc0.acc", "fc1.acc"]}
    with pytest.raises(UserError, match=r"unknown site with noise 'fc3.acc'"):
        network.set_noise(noise, TorchSampler(0), training={"fc3.acc"})
    assert network.tap("fc0.acc").noise, "what was set is gone"


def test_evaluation_is_batched_and_leaves_the_network_as_it_was() -> None:
    network, inputs = settled("tfc").train(), images(50)
    predicted = evaluate(network, inputs, batch=16)
    assert network.training
    with torch.no_grad():
        expected = network.eval()(inputs).argmax(1)
    assert predicted.dtype == np.uint8
    np.testing.assert_array_equal(predicted, expected.numpy())


def test_noisy_evaluation_repeats_itself_and_tells_the_sampler_where_it_is() -> None:
    class Spy(TorchSampler):
        def start_batch(self, first_image: int) -> None:
            starts.append(first_image)
            super().start_batch(first_image)

    starts: list[int] = []
    network, inputs = settled("tfc"), images(50)
    noise = {"fc1.acc": Noise.at("additive", 8)}
    first = evaluate(network, inputs, noise=noise, sampler=Spy(3), batch=20)
    assert starts == [0, 20, 40]
    np.testing.assert_array_equal(
        first, evaluate(network, inputs, noise=noise, sampler=TorchSampler(3), batch=20)
    )
    assert (first != evaluate(network, inputs)).any()
    assert (
        first != evaluate(network, inputs, noise=noise, sampler=TorchSampler(4), batch=20)
    ).any()


def _exported(network: nn.Module, path: Path) -> onnx.ModelProto:
    export_qonnx(network, args=images(1), export_path=str(path))
    return onnx.load(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tfc-w1a1", "tfc-w2a2"])
def test_an_export_shows_no_trace_of_taps_and_dropout(name: str, tmp_path: Path) -> None:
    network = settled(name)
    bare = copy.deepcopy(network)
    for path, module in list(bare.named_modules()):
        if isinstance(module, NoiseTap | nn.Dropout):
            parent, _, child = path.rpartition(".")
            setattr(bare.get_submodule(parent), child, nn.Identity())
    ours, theirs = (_exported(n, tmp_path / "n.onnx").graph.node for n in (network, bare))
    assert [n.op_type for n in ours] == [n.op_type for n in theirs]
    kinds = {n.op_type for n in ours}
    assert kinds & {"Quant", "BipolarQuant"}
    assert not kinds & {"Dropout", "Identity", "RandomNormal", "RandomNormalLike"}
    assert sum(n.op_type in ("MatMul", "Gemm") for n in ours) == 4
