"""Tiles in software: the layers' own sums without noise, and a sample for each partial sum."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from flow import models, tap
from flow.errors import OptionError, UserError
from flow.models import Network
from flow.models.planes import Array, Grid, Planes
from flow.models.qonnx.network import open_network
from flow.models.tiles import TiledLayer, partial_sums, tile
from flow.noise import Noise, Sampler, TorchSampler
from tests.helpers.random_graphs import Builder


def images(network: Network, count: int = 8) -> Tensor:
    height, width, channels = network.image_shape
    generator = torch.Generator().manual_seed(3)
    return torch.rand(count, channels, height, width, generator=generator) * 2 - 1


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("rows", [1, 5, 7, 18, 36, 50])
def test_partial_sums_are_those_of_the_rows(rows, groups):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-3, 4, (2, 6, 9, 8), generator=generator).float()
    w = torch.randint(-3, 4, (4, 6 // groups, 3, 2), generator=generator).float()
    options = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": groups}
    sums = partial_sums(x, w, rows, **options).unflatten(1, (-1, 4))
    assert sums.shape[1] == -(-36 // rows)
    assert torch.equal(sums.sum(1), functional.conv2d(x, w, **options))
    if groups == 1:
        # kernel row, kernel column, channel
        of_row = torch.arange(36).view(3, 2, 6).permute(2, 0, 1) // rows
        for number in range(sums.shape[1]):
            own = torch.where(of_row == number, w, 0.0)
            assert torch.equal(sums[:, number], functional.conv2d(x, own, **options))


@pytest.mark.parametrize("name", ["float-lenet5", "lenet5-w4a4", "tfc-w2a2"])
def test_built_in_networks_compute_the_same_without_noise(name):
    network = models.build(name).eval()
    tiled = tile(network, Array(40))
    x = images(network)
    with torch.no_grad():
        assert torch.equal(tiled(x), network(x))
        # every partial sum is seen, and so computed
        seen = {}
        for site in tiled.accumulator_sites:
            tiled.tap(site).register_forward_hook(lambda m, a, y, s=site: seen.update({s: y}))
        assert torch.allclose(tiled(x), network(x), atol=1e-4)
    several = [site for site in seen if site.is_tile]
    assert len(several) >= 3
    for site in several:
        layer = network.layer_at(site.accumulator(network.sites))
        outputs, *inputs = layer.weight.shape
        assert seen[site].shape[1] == -(-np.prod(inputs) // 40) * outputs


def test_a_dense_layer_behind_a_convolution_reads_channels_last():
    network = models.build("lenet5-w4a4").eval()
    tiled = tile(network, Array(40))
    layers = {n: m for n, m in tiled.named_modules() if isinstance(m, TiledLayer)}
    found = {name: layer.image for name, layer in layers.items()}
    channels, height, width = found.pop("fc0.linear")
    assert channels == 16 and height * width * channels == network.fc0.linear.in_features
    assert set(found.values()) == {None}


class Ones(Sampler):
    """1 at the first element of each tile of one image, else 0."""

    def start_batch(self, first_image: int) -> None:
        pass

    def __call__(self, site, draw, shape):
        z = torch.zeros(tuple(shape))
        z[0, :: self.channels] = 1.0
        return z

    channels = 10


def test_noise_of_every_tile_is_added():
    network = models.build("tfc-w2a2", (8, 8, 1)).eval()
    tiled, x = tile(network, Array(24)), images(network)
    noise = {"fc3.tile": Noise.at("additive", 1.0)}
    seen = {}
    for which, one in (("clean", network), ("noisy", tiled)):
        one.fc3.norm.register_forward_pre_hook(lambda m, a, w=which: seen.update({w: a[0]}))
    with torch.no_grad(), tiled.noise(noise, Ones()):
        network(x), tiled(x)
    expected = torch.zeros(len(x), 10)
    expected[0, 0] = 3.0
    assert torch.equal(seen["noisy"] - seen["clean"], expected)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize(("low", "high"), [(-128, 127), (-7, 7), (0, 255), (0, 6), (-1, 1)])
def test_planes_are_the_bits_of_whole_numbers(low, high, bits):
    grid, values = Grid(0.5, low, high), np.arange(low, high + 1)
    planes = Planes.of(grid, bits)
    assert planes.count == max(1, -(-grid.bits // bits))
    for given in (values, torch.from_numpy(values).float()):
        cut = [np.asarray(plane, dtype=np.int64) for plane in planes.cut(given)]
        assert (sum(w * p for w, p in zip(planes.weights, cut, strict=True)) == values).all()
        for plane in cut[:-1]:
            assert plane.min() == 0 and plane.max() < 1 << bits
        if planes.count > 1:
            assert cut[-1].max() < 1 << bits and cut[-1].min() >= (-1 << bits - 1) * (low < 0)
    # two's complement, as NumPy has it
    if planes.count > 1:
        for number, plane in enumerate(cut[:-1]):
            assert (plane == (values >> bits * number & (1 << bits) - 1)).all()
    assert Planes.of(Grid(1.0, -1, 1, bipolar=True), bits) == Planes()


def dense_sums(x, weights, rows, bits, width):
    """Partial sums of signed whole numbers in plain NumPy, [N, planes · tiles · outputs]."""
    found = []
    for first in range(0, width, bits):
        plane = x >> first
        if first + bits < width:
            plane = plane & (1 << bits) - 1
        for row in range(0, x.shape[1], rows):
            found.append(plane[:, row : row + rows] @ weights[:, row : row + rows].T)
    return np.concatenate(found, 1)


@pytest.mark.parametrize(("rows", "bits"), [(40, 1), (40, 2), (None, 3), (64, 3), (128, 1)])
def test_partial_sums_of_planes_are_those_of_numpy(rows, bits):
    network = models.build("lenet5-w4a4").eval()
    tiled, seen = tile(network, Array(rows, bits)), {}
    site = next(site for site in tiled.sites if site.layer == "fc1" and site.is_accumulator)
    assert site.is_tile
    tiled.tap(site).register_forward_hook(lambda m, a, y: seen.update(sums=a[0]))
    entering = tiled.fc1.linear
    entering.register_forward_pre_hook(lambda m, a: seen.update(x=a[0]))
    with torch.no_grad():
        assert torch.equal(
            tile(network, Array(rows, bits))(images(network)), network(images(network))
        )
        assert torch.allclose(tiled(images(network)), network(images(network)), atol=1e-4)
        real = network.fc1.linear.quant_weight()
    step = 1 / 7
    x = np.asarray(seen["x"] / step).round().astype(np.int64)
    assert x.min() < -4 and x.max() > 4
    weights = np.asarray(real.value.detach() / real.scale).round().astype(np.int64)
    expected = dense_sums(x, weights, rows or 120, bits, 4) * step * float(real.scale)
    assert np.allclose(seen["sums"].numpy(), expected, atol=1e-4)
    parts = tiled.tap(site).parts
    assert parts == -(-4 // bits) * -(-120 // (rows or 120)) and expected.shape[1] == parts * 84


def test_noise_of_a_plane_counts_as_its_bits_do():
    network = models.build("tfc-w2a2", (8, 8, 1)).eval()
    tiled, x = tile(network, Array(24, 1)), images(network)
    seen = {}
    for which, one in (("clean", network), ("noisy", tiled)):
        one.fc3.norm.register_forward_pre_hook(lambda m, a, w=which: seen.update({w: a[0]}))
    with torch.no_grad(), tiled.noise({"fc3.tile": Noise.at("additive", 1.0)}, Ones()):
        network(x), tiled(x)
    expected = torch.zeros(len(x), 10)
    # three tiles of each plane, of which the second counts twice
    expected[0, 0] = 3.0 + 2 * 3.0
    assert torch.equal(seen["noisy"] - seen["clean"], expected)


def test_inputs_as_wide_as_the_activations_change_nothing():
    network = models.build("tfc-w2a2", (8, 8, 1)).eval()
    assert tile(network, Array(input_bits=2)).sites == network.sites
    # one bit, of -1 and 1, is one plane
    bipolar = models.build("tfc-w1a1", (8, 8, 1)).eval()
    assert tile(bipolar, Array(input_bits=1)).sites == bipolar.sites
    # the image has eight bits, the activations two
    mixed = tile(models.build("cnv-w2a2", (32, 32, 3)), Array(input_bits=2))
    assert [site for site in mixed.sites if site.is_tile] == ["conv0.tile"]
    assert mixed.tap("conv0.tile").parts == 4


def test_an_own_network_has_tiles_with_scales_for_each_channel(tmp_path):
    build = Builder(np.random.default_rng(4), (1, 4, 6, 5), exact=True)
    build.stream = build.quant("images", 0.125, 4)
    build.convolution(6, True, False)
    build.norm(negative=True)
    build.activation("signed", 0.25, 4)
    build.flatten()
    build.dense(5, per_channel=True, whole=False)
    path = tmp_path / "own.onnx"
    path.write_bytes(build.model(open_batch=True).SerializeToString())
    network = open_network(path)
    tiled, x = tile(network, Array(8)), images(network, 200)
    with torch.no_grad():
        planes = tile(network, Array(8, 3))
        assert (
            planes.tap(planes.accumulator_sites[0]).parts
            > tiled.tap(planes.accumulator_sites[0]).parts
        )
        seen = []
        for site in planes.accumulator_sites:
            planes.tap(site).register_forward_hook(lambda m, a, y: seen.append(y))
        assert torch.equal(planes(x), network(x)) and len(seen) == 2
    assert all(site.is_tile for site in tiled.accumulator_sites)
    with torch.no_grad():
        assert torch.equal(tiled(x), network(x))
        clean = network(x)
        site = tiled.accumulator_sites[-1]
        with tiled.noise({site: Noise.at("additive", 2.0)}, TorchSampler(1)):
            noise = tiled(x) - clean
    # in LSB of each channel, whose scales differ
    unit = network.tap(site.accumulator(network.sites)).__dict__["unit"]
    step = network.graph.layer_of(site.accumulator(network.sites)).module.weight.shape[1] / 8
    assert torch.allclose(noise.std(0) / unit, torch.full((5,), 2 * step**0.5), rtol=0.2)


def test_layers_that_have_no_tiles():
    with pytest.raises(UserError, match="window of the depth-wise convolution"):
        tile(models.build("mobilenet-w4a4", (32, 32, 3)), Array(8))
    with pytest.raises(UserError, match="as whole layers"):
        tile(tap(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).eval()), Array(100))
    with pytest.raises(OptionError, match="values that conv0 reads are not quantised"):
        tile(models.build("float-lenet5"), Array(input_bits=2))
    with pytest.raises(OptionError, match="input_bits is 0: give 1 or more"):
        tile(models.build("tfc-w2a2"), Array(input_bits=0))
