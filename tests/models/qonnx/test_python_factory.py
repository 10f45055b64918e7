"""What a user may get wrong with a network or data set of their own: one message each."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from brevitas import nn as qnn
from brevitas.quant import Int8AccumulatorAwareWeightQuant
from onnx import helper, numpy_helper
from PIL import Image
from torch import nn

from flow import data, models
from flow.compiler.graph.compatibility import check_nodes, reject_unfit
from flow.errors import UserError
from flow.models.qonnx.file import export_qonnx, own_shape
from flow.models.qonnx.network import open_network
from flow.models.qonnx.python_factory import exported, image_shape, write_qonnx
from flow.training.zoo import find_checkpoint, load_trained
from tests.helpers import custom_networks

SHAPE = (8, 8, 1)


def file_of(network: torch.nn.Module, path, shape=SHAPE):
    export_qonnx(network.eval(), shape, path)
    return path


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """An untrained network that fits."""
    network = custom_networks.flat()
    network(torch.randn(8, 1, 8, 8))
    return file_of(network, tmp_path_factory.mktemp("good") / "good.onnx")


def changed(path, tmp_path, change):
    """Return the file of a network with a change made to it."""
    proto = onnx.load(str(path))
    change(proto)
    (tmp_path / "changed.onnx").write_bytes(proto.SerializeToString())
    return tmp_path / "changed.onnx"


def images_of(proto):
    constants = {tensor.name for tensor in proto.graph.initializer}
    return next(value for value in proto.graph.input if value.name not in constants)


def _nan(proto):
    tensor = next(t for t in proto.graph.initializer if len(t.dims) == 2)
    values = numpy_helper.to_array(tensor).copy()
    values[0, 0] = np.nan
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _foreign(proto):
    proto.graph.node[0].domain = "os.path"


def _two_inputs(proto):
    proto.graph.input.append(helper.make_tensor_value_info("second", 1, [1, 4]))


def _open_size(proto):
    value = images_of(proto)
    value.type.tensor_type.shape.dim[2].dim_param = "height"


def _qcdq(proto):
    proto.graph.node[0].op_type, proto.graph.node[0].domain = "QuantizeLinear", ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_nan, "not finite .*train the network again"),
        (_foreign, "domain 'os.path', which is not supported"),
        (_two_inputs, "has 2 inputs"),
        (_open_size, "leaves sizes of its input open"),
        (_qcdq, "no part of a pair that quantises.*export_qonnx"),
    ],
)
def test_a_file_that_is_no_such_network_is_refused(change, message, good, tmp_path):
    with pytest.raises(UserError, match=message):
        open_network(changed(good, tmp_path, change), SHAPE)


def test_a_damaged_or_missing_file_is_refused(good, tmp_path):
    cut = tmp_path / "cut.onnx"
    for share in (0.3, 0.9):
        cut.write_bytes(good.read_bytes()[: int(share * good.stat().st_size)])
        with pytest.raises(UserError, match="export"):
            open_network(cut, SHAPE)
    cut.write_bytes(b"")
    with pytest.raises(UserError, match="empty"):
        open_network(cut, SHAPE)
    with pytest.raises(UserError, match="there is no network file"):
        models.resolve(str(tmp_path / "absent.onnx"))


@pytest.mark.slow
def test_a_network_without_quantisers_is_refused(tmp_path):
    path = file_of(custom_networks.unquantised(), tmp_path / "float.onnx")
    with pytest.raises(UserError, match="has no quantisers: build the network of Brevitas' layers"):
        open_network(path, SHAPE)


@pytest.mark.slow
def test_operators_that_are_not_known_are_all_named(tmp_path):
    path = file_of(custom_networks.unknown(), tmp_path / "unknown.onnx")
    said = r"node \w+ \(HardSwish.*, node \w+ \(Sigmoid.*known are Add"
    with pytest.raises(UserError, match=said):
        open_network(path, SHAPE)


def test_a_batch_left_open_is_made_one_image(good, tmp_path):
    def open_batch(proto):
        for value in (images_of(proto), proto.graph.output[0]):
            value.type.tensor_type.shape.dim[0].dim_param = "batch"

    ours, images = open_network(good, SHAPE), torch.randn(5, 1, 8, 8)
    other = open_network(changed(good, tmp_path, open_batch), SHAPE)
    assert torch.equal(ours(images), other(images))


@pytest.mark.slow
def test_what_hardware_cannot_do_is_told_for_every_node_with_what_to_change(tmp_path):
    network = open_network(file_of(custom_networks.unfit(), tmp_path / "unfit.onnx"), SHAPE)
    bad = [verdict for verdict in check_nodes(network.graph) if verdict.problem]
    assert [v.step.node.op_type for v in bad] == ["MaxPool", "Gemm"]
    with pytest.raises(UserError, match="unfit cannot be compiled") as raised:
        reject_unfit(network.name, network.graph)
    message = str(raised.value)
    assert "use a plain MaxPool2d" in message and "are not quantised with one scale" in message
    # in software it walks all the same
    assert network(torch.randn(2, 1, 8, 8)).shape == (2, 10)


FACTORIES = {
    "failing": r"failed: \S*custom_networks.py, line \d+: RuntimeError: the weights are on another",
    "nothing": "returned a NoneType: it must return a trained Brevitas module",
    "flatt": "unknown function in .*: did you mean flat",
}


@pytest.mark.parametrize(("name", "message"), FACTORIES.items())
def test_a_factory_that_gives_no_network_is_told_with_its_place(name, message, tmp_path):
    with pytest.raises(UserError, match=message):
        exported(f"{custom_networks.__file__}:{name}", SHAPE, tmp_path)


RANDOM = """
from brevitas import nn as qnn
from torch import nn
def net():
    return nn.Sequential(qnn.QuantIdentity(bit_width=8), nn.Flatten(), qnn.QuantLinear(64, 10))
"""


@pytest.mark.slow
def test_a_factory_becomes_a_file_of_the_same_content_each_time(tmp_path):
    (tmp_path / "random.py").write_text(RANDOM)
    model, before = f"{tmp_path}/random.py:net", torch.random.get_rng_state()
    files = {exported(model, SHAPE, tmp_path) for _ in range(2)}
    assert len(files) == 1 and torch.equal(torch.random.get_rng_state(), before)
    (file,) = files
    assert models.resolve(file) == "random-net"
    # the user's paths are no part of the network
    assert str(tmp_path).encode() not in Path(file).read_bytes()
    with pytest.raises(UserError, match="there is no file"):
        exported(f"{tmp_path}/absent.py:flat", SHAPE, tmp_path)
    (tmp_path / "wrong.py").write_text("def net(:\n")
    with pytest.raises(UserError, match=r"wrong.py, line 1: SyntaxError"):
        exported(f"{tmp_path}/wrong.py:net", SHAPE, tmp_path)
    with pytest.raises(UserError, match=r"cannot be exported .* images of 9×9×1"):
        exported(model, (9, 9, 1), tmp_path)


def test_an_own_network_needs_no_checkpoint_and_suits_its_data_set(good, tmp_path):
    with pytest.raises(UserError, match="holds its own weights"):
        find_checkpoint(str(good), "digits", given=Path("other.safetensors"))
    network, metadata = load_trained(find_checkpoint(str(good), "digits"), str(good), "digits")
    assert network.image_shape == SHAPE and metadata.noise is None
    with pytest.raises(UserError, match=r"images of 28×28×1 .* that takes 8×8×1"):
        load_trained(good, str(good), "fashion-mnist")
    np.savez(tmp_path / "many.npz", x=np.zeros((12, 8, 8), np.uint8), y=np.arange(12))
    with pytest.raises(UserError, match=r"has 12 classes, but .* has 10"):
        load_trained(good, str(good), str(tmp_path / "many.npz"))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def test_a_folder_has_a_class_for_each_subfolder(folder):
    known, found = data.dataset(str(folder)), data.load(str(folder))
    assert (known.name, known.image_shape, known.classes) == ("images", (8, 8, 3), 2)
    assert found.labels.tolist() == [0, 1, 0, 1, 0, 1]
    pixels = np.asarray(Image.open(folder / "dog" / "0.png"))
    assert (found.images[1] == pixels).all()
    assert float(data.to_input(found.images).abs().max()) <= 1
    with pytest.raises(UserError, match=r"all images of .* are test images"):
        data.load(str(folder), "train")
    # what has changed is read anew
    (folder / "cat" / "0.png").unlink()
    assert len(data.load(str(folder))) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "cat" / "1.png").write_bytes(b"no image"), "cat/1.png cannot be read"),
        (
            lambda f: Image.new("RGB", (9, 8)).save(f / "dog" / "9.png"),
            "dog/9.png has 8×9 pixels, .*cat/0.png 8×8",
        ),
        (lambda f: Image.new("I;16", (8, 8)).save(f / "dog" / "9.png"), "more than 8 bits"),
        (lambda f: (f / "empty").mkdir(), "empty holds no images"),
        (lambda f: [p.rename(f / p.name) for p in (f / "cat").iterdir()] + [
            (f / "cat").rmdir()], "has 1 subfolders"),
    ],
)  # fmt: skip
def test_a_folder_that_holds_other_things_is_told_by_the_file(change, message, folder):
    change(folder)
    with pytest.raises(UserError, match=message):
        data.load(str(folder))


def test_arrays_are_bytes_or_what_the_network_takes(tmp_path):
    path = tmp_path / "set.npz"
    images = np.random.default_rng(0).normal(size=(6, 8, 8, 1)) * 3
    np.savez(path, x=images, y=np.array([0, 0, 0, 1, 1, 2]))
    found = data.load(str(path))
    assert found.name == "set" and data.dataset(str(path)).classes == 3
    assert found.labels.tolist() == [0, 1, 2, 0, 0, 1]
    inputs = data.to_input(found.images, SHAPE)
    np.testing.assert_array_equal(inputs[1, 0].numpy(), images[3, ..., 0].astype(np.float32))
    # floats get no border
    with pytest.raises(UserError, match="do not fit a network that takes 9×9×1"):
        data.to_input(found.images, (9, 9, 1))
    np.savez(path, x=np.zeros((4, 7), np.float32), y=np.arange(4))
    assert data.dataset(str(path)).image_shape == (1, 7, 1)


X, Y = np.zeros((4, 8, 8), np.uint8), np.zeros(4, np.int64)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X, "labels": Y}, "it needs images x, and labels y; or x alone"),
        ({"x": X.astype(np.int32), "y": Y}, "x is of type int32; give uint8"),
        ({"x": np.full((4, 8, 8), np.nan), "y": Y}, "not finite"),
        ({"x": np.zeros(4, np.uint8), "y": Y}, r"x has the shape \(4,\)"),
        ({"x": X, "y": Y[:3]}, "one whole number from 0 for each of the 4 images"),
        ({"x": X, "y": Y - 1}, "one whole number from 0"),
        ({"x": X, "y": Y.astype(np.float32)}, "one whole number from 0"),
        ({"x": np.array([{}] * 4, dtype=object), "y": Y}, "cannot read"),
    ],
)
def test_arrays_of_another_kind_are_told(arrays, message, tmp_path):
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(UserError, match=message):
        data.load(str(tmp_path / "set.npz"))


def test_a_set_that_is_missing_or_damaged_is_told(tmp_path):
    with pytest.raises(UserError, match="there is no data set"):
        data.dataset(str(tmp_path / "absent.npz"))
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(UserError, match=r"cannot read .*cut.npz"):
        data.dataset(str(tmp_path / "cut.npz"))


def told(caplog):
    """How many images are labelled otherwise, of each warning."""
    said = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    return [found[0] for one in said if (found := re.search(r"\d+ of \d+", one))]


def test_a_file_that_computes_something_else_than_its_module_is_told(tmp_path, caplog):
    torch.manual_seed(0)
    module = nn.Sequential(
        qnn.QuantIdentity(bit_width=8, return_quant_tensor=True),
        qnn.QuantConv2d(
            1, 4, 3, bias=False, weight_quant=Int8AccumulatorAwareWeightQuant,
            weight_bit_width=4, weight_accumulator_bit_width=10,
        ),
        qnn.QuantReLU(bit_width=4),
        nn.Flatten(),
        qnn.QuantLinear(4 * 36, 10, bias=False, weight_bit_width=4),
    )  # fmt: skip
    module(torch.rand(8, 1, 8, 8) * 2 - 1)
    write_qonnx(module.eval(), "net.py:a2q", "a2q", (8, 8, 1), tmp_path)
    assert told(caplog) == ["15 of 16"]
    caplog.clear()
    usual = nn.Sequential(module[0], module[2], module[3], qnn.QuantLinear(64, 10, bias=False))
    usual(torch.rand(8, 1, 8, 8) * 2 - 1)
    write_qonnx(usual.eval(), "net.py:usual", "usual", (8, 8, 1), tmp_path)
    assert not told(caplog)


@pytest.mark.parametrize(
    ("network", "text", "own"),
    [
        (nn.Sequential(qnn.QuantIdentity(bit_width=4), qnn.QuantConv1d(3, 2, 5), nn.Flatten()),
         "3,9", (3, 9)),
        (nn.Sequential(nn.BatchNorm1d(12), qnn.QuantIdentity(bit_width=4), qnn.QuantLinear(12, 3)),
         "12", (12,)),
        (nn.Sequential(qnn.QuantIdentity(bit_width=4), qnn.QuantConv2d(3, 2, 2), nn.Flatten()),
         "3,4,5", (3, 4, 5)),
    ],
)  # fmt: skip
def test_a_module_gets_images_signals_or_flat_values(network, text, own):
    channels, height, width = image_shape(text)
    assert own_shape(network.eval(), (height, width, channels)) == own
