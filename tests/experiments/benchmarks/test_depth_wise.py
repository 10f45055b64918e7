"""The table of depth-wise layers: both forms of each, and golden = FINN's execution in both."""

import numpy as np
import pytest
import torch

from flow.errors import UserError
from flow.experiments.benchmarks import depth_wise
from flow.models.qonnx.network import open_network
from tests.compiler.test_depth_wise import separable
from tests.helpers.random_graphs import Builder

CYCLES = 1000


def images(network, count=8):
    height, width, channels = network.image_shape
    generator = torch.Generator().manual_seed(1)
    return torch.rand((count, channels, height, width), generator=generator) * 2 - 1


@pytest.mark.slow
def test_each_layer_has_both_forms_at_one_target(tmp_path):
    network = separable(tmp_path)
    head, line, *rows, _, own, whole = depth_wise.measured(
        network, images(network), CYCLES, 1, tmp_path
    )
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert {len(row) for row in cells} == {head.count("|") - 1} == {line.count("|") - 1}
    # the other two layers of groups are whole in both
    assert len(cells) == 4
    for row in cells:
        _, channels, windows, *both, ratio = row
        for form, factor in ((both[:3], 1), (both[3:], int(channels))):
            pe, simd = (int(n) for n in form[0].split(" × "))
            products = int(channels) * factor * int(windows) * PLACES[row[0]]
            assert int(form[1].replace(",", "")) * pe * simd == products
            assert int(form[1].replace(",", "")) <= CYCLES
        own_luts, whole_luts = (int(form.replace(",", "")) for form in both[2::3])
        assert abs(float(ratio) - whole_luts / own_luts) < 0.06
    # the widest window, of 4 channels: four times the products
    wide = next(row for row in cells if row[0] == "conv1")
    assert float(wide[-1]) > 1
    for said in (own, whole):
        assert "; on 1 image(s), 0 of " in said


PLACES = {"conv0": 9, "conv1": 20, "conv2": 2, "conv3": 1}
"""Places of a layer's window."""


@pytest.mark.slow
def test_a_network_without_such_a_layer_is_refused(tmp_path):
    build = Builder(np.random.default_rng(4), (1, 2, 4, 4), exact=True)
    build.stream = build.quant("images", 0.125, 4)
    build.flatten()
    build.dense(4, per_channel=False, whole=False)
    path = tmp_path / "dense.onnx"
    path.write_bytes(build.model(open_batch=True).SerializeToString())
    network = open_network(path)
    with pytest.raises(UserError, match="dense has no depth-wise convolution"):
        depth_wise.measured(network, images(network), CYCLES, 1, tmp_path)
