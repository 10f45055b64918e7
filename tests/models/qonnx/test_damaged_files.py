"""Damaged files: each is a network, or is refused with one message."""

import os
import signal

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from flow.errors import UserError
from flow.models.qonnx.file import export_qonnx
from flow.models.qonnx.network import open_network
from tests.helpers import damaged
from tests.helpers.custom_networks import _depthwise

COUNT = 60
"""Damaged files of each run of the suite; `python -m tests.helpers.damaged` makes any number."""


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("good") / "good.onnx"
    export_qonnx(_depthwise().eval(), (8, 8, 1), file)
    return file


@pytest.mark.slow
def test_a_damaged_file_is_a_network_or_refused_with_one_message(good):
    found = dict(damaged.results(good, range(COUNT)))
    assert len(found) == COUNT
    assert [f"{n}: {how}" for n, how in found.items() if how not in ("network", "refused")] == []
    assert "refused" in found.values()


def test_what_ends_a_process_is_noticed(good, monkeypatch):
    def ends(file):
        if file.read_bytes() == b"0":
            os.kill(os.getpid(), signal.SIGKILL)
        raise KeyboardInterrupt

    monkeypatch.setattr(damaged, "damaged", lambda whole, number: str(number).encode())
    monkeypatch.setattr(damaged, "open_network", ends)
    found = dict(damaged.results(good, range(2)))
    assert found == {0: "ended its process with -9", 1: "ended its process with 1"}


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_scale_that_is_no_size_is_refused(good, tmp_path, value):
    model = onnx.load(good)
    quantiser = next(node for node in model.graph.node if node.op_type == "Quant")
    scale = next(one for one in model.graph.initializer if one.name == quantiser.input[1])
    scale.CopyFrom(numpy_helper.from_array(np.float32(value), scale.name))
    onnx.save(model, tmp_path / "bad.onnx")
    with pytest.raises(UserError):
        open_network(tmp_path / "bad.onnx")


def test_a_graph_that_goes_in_a_circle_is_refused(good, tmp_path):
    model = onnx.load(good)
    first, last = (
        [node for node in model.graph.node if node.op_type == "Quant"][n] for n in (0, -1)
    )
    first.input[0] = last.output[0]
    onnx.save(model, tmp_path / "circle.onnx")
    with pytest.raises(UserError):
        open_network(tmp_path / "circle.onnx")


def test_strides_of_zero_are_refused_before_they_are_divided_by(good, tmp_path):
    model = onnx.load(good)
    layer = next(node for node in model.graph.node if node.op_type == "Conv")
    strides = next(one for one in layer.attribute if one.name == "strides")
    strides.ints[0] = 0
    onnx.save(model, tmp_path / "zero.onnx")
    with pytest.raises(UserError, match=r"has strides \[0, 1\]"):
        open_network(tmp_path / "zero.onnx")
