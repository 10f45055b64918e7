"""Quantisers that are written as arithmetic in torch are read as quantisers."""

import numpy as np
import pytest
import torch

from flow.compiler.graph.compatibility import check_nodes
from flow.errors import UserError
from flow.models.qonnx.fake_quantisers import as_arithmetic
from flow.models.qonnx.network import open_network
from flow.models.qonnx.tidy.weights import step_of
from tests.helpers.arithmetic_networks import STYLES, exported, network, prepared


def check(module, path):
    """Check that a file fits the hardware and computes what its module does."""
    network = open_network(path)
    assert not [one.problem for one in check_nodes(network.graph) if one.problem]
    images = torch.rand(500, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        theirs, ours = module(images), network(images)
    assert (theirs.argmax(1) == ours.argmax(1)).all()
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("style", STYLES)
def test_a_file_computes_what_its_module_does(style, tmp_path):
    module = network(style)
    check(module, exported(module, tmp_path / "net.onnx"))


@pytest.mark.parametrize(
    ("backend", "graph"), [("fbgemm", False), ("qnnpack", False), ("fbgemm", True)]
)
def test_a_module_that_torch_prepared(backend, graph, tmp_path):
    module = prepared(backend, graph=graph)
    before = {name: one.clone() for name, one in module.state_dict().items()}
    written = as_arithmetic(module)
    after = module.state_dict()
    assert all(torch.equal(one, after[name]) for name, one in before.items())
    assert as_arithmetic(written) is written
    module.apply(torch.ao.quantization.disable_observer)
    check(module, exported(written, tmp_path / "net.onnx"))


@pytest.mark.parametrize("bits", range(2, 11))
@pytest.mark.parametrize("count", [3, 40])
def test_the_step_of_multiples_is_found_and_none_for_others(bits, count):
    generator = np.random.default_rng(bits)
    for _ in range(5):
        whole = generator.integers(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1), count)
        step = generator.uniform(0.001, 3)
        if not whole.any():
            continue
        common = np.gcd.reduce(whole)
        values = (whole * np.float32(step)).astype(np.float32)
        assert step_of(values) == pytest.approx(step * common, rel=1e-6)
        noisy = values + generator.normal(0, step / 50, count).astype(np.float32)
        assert step_of(noisy) == 0


def test_a_rounding_without_limits_is_told(tmp_path):
    module = network("LSQ")
    module.activation = lambda x: torch.round(x / 0.1) * 0.1
    with pytest.raises(UserError, match="limits") as told:
        open_network(exported(module, tmp_path / "net.onnx"))
    print(told.value)
