"""Quantisers that are written as arithmetic in torch are read as quantisers."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flow.compiler.graph.compatibility import check_nodes
from flow.errors import UserError
from flow.models.qonnx.fake_quantisers import as_arithmetic, evaluating, is_quantised_by_torch
from flow.models.qonnx.network import open_network
from flow.models.qonnx.python_factory import write_qonnx
from flow.models.qonnx.tidy.weights import step_of
from tests.helpers.arithmetic_networks import (
    STYLES,
    Residual,
    converted,
    exported,
    graph_of_pairs,
    network,
    prepared,
)
from tests.models.qonnx.test_found_graphs import operators


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


@pytest.mark.parametrize(
    ("backend", "graph"), [("fbgemm", False), ("qnnpack", False), ("fbgemm", True)]
)
def test_a_module_that_torch_converted(backend, graph, tmp_path):
    module = converted(backend, graph=graph)
    network = open_network(exported(module, tmp_path / "net.onnx"))
    assert not [one.problem for one in check_nodes(network.graph) if one.problem]
    images = torch.rand(500, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        theirs, ours = module(images), network(images)
    # torch rounds products with integers, and halves otherwise; a step is a hundredth
    assert (theirs.argmax(1) != ours.argmax(1)).sum() <= 2
    assert (torch.isclose(theirs, ours, atol=1e-4).all(1)).sum() >= 490
    assert {"conv0.acc", "conv1.act", "quant0.act", "dense.acc"} <= set(map(str, network.sites))


@pytest.mark.parametrize("bits", [4, 8])
def test_a_graph_of_torchao(bits, tmp_path):
    module = graph_of_pairs(bits)
    written = as_arithmetic(module)
    assert "quantized_decomposed" in module.code and "quantized_decomposed" not in written.code
    assert as_arithmetic(written) is written
    path = exported(written, tmp_path / "net.onnx")
    # zero points, which are the least values, are gone; the images alone have thresholds
    assert operators(path).count("MultiThreshold") == 1
    check(module, path)


def test_a_graph_that_takes_single_images_and_cannot_be_put_into_evaluation_mode(
    tmp_path, monkeypatch
):
    def refuse(mode=True):
        raise NotImplementedError("Calling train() or eval() is not supported for exported models")

    module, moved = graph_of_pairs(4, batch=1), []
    module.eval = module.train = refuse
    with pytest.raises(NotImplementedError):
        evaluating(module)
    torchao = SimpleNamespace(move_exported_model_to_eval=lambda one: moved.append(one) or one)
    monkeypatch.setitem(sys.modules, "torchao.quantization.pt2e", torchao)
    file = write_qonnx(module, "net.py:net", "net", (8, 8, 1), tmp_path)
    assert len(moved) == 1 and moved[0] is not module
    image = torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(open_network(file)(image), module(image), atol=1e-4, rtol=1e-4)


def test_fake_quantisers_of_torchao(tmp_path, monkeypatch):
    module = prepared("fbgemm")

    class Theirs(torch.ao.quantization.FakeQuantize):
        """A class of torchao, which has copies of torch's."""

    places = {
        torch.ao.quantization.FakeQuantize,
        torch.ao.quantization.FusedMovingAvgObsFakeQuantize,
    }
    for one in module.modules():
        if type(one) in places:
            one.__class__ = Theirs
    monkeypatch.delitem(sys.modules, "torch.ao.quantization.fake_quantize")
    assert not is_quantised_by_torch(module)
    loaded = SimpleNamespace(FakeQuantize=Theirs)
    monkeypatch.setitem(sys.modules, "torchao.quantization.pt2e.fake_quantize", loaded)
    assert is_quantised_by_torch(module)
    assert not is_quantised_by_torch(as_arithmetic(module))


def test_a_converted_layer_that_cannot_be_exported_is_told(tmp_path):
    module = converted("fbgemm")
    module.relu0 = torch.ao.nn.quantized.BatchNorm2d(4)
    with pytest.raises(UserError, match=r"batch_norm2d.* before its convert"):
        write_qonnx(module, "net.py:net", "net", (8, 8, 1), tmp_path)


def test_a_module_that_only_observes_is_told():
    from torch.ao import quantization as q

    made = Residual().eval()
    made.qconfig = q.get_default_qconfig("fbgemm")
    with pytest.raises(UserError, match=r"only observes its values: .* what convert"):
        as_arithmetic(q.prepare(made))


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
