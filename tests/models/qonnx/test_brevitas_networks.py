"""Networks of Brevitas' examples by name, with weights from a file."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from flow.errors import OptionError, UserError
from flow.models.qonnx import brevitas_networks, python_factory
from flow.models.qonnx.network import open_network

NAME = "tfc_1w2a"


@pytest.fixture
def trained():
    torch.manual_seed(3)
    return brevitas_networks.build(NAME)


def test_every_factory_of_the_examples_is_named():
    found = brevitas_networks.names()
    assert {"tfc_1w1a", "cnv_2w2a", "lfc_1w2a", "resnet18_4w4a"} <= set(found)
    assert {"quant_mobilenet_v1_4b", "quant_proxylessnas_mobile14_4b"} <= set(found)
    assert "model_with_cfg" not in found


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean tfc_1w2a"):
        brevitas_networks.build("tfc_1w2")


@pytest.mark.parametrize("form", ["safetensors", "pt", "module", "nested"])
def test_weights_come_from_the_users_file(trained, tmp_path, form):
    state = trained.state_dict()
    file = tmp_path / f"weights.{'safetensors' if form == 'safetensors' else 'pt'}"
    if form == "safetensors":
        save_file(state, file)
    elif form == "module":
        torch.save({f"module.{key}": value for key, value in state.items()}, file)
    else:
        torch.save({"state_dict": state, "epoch": 3} if form == "nested" else state, file)
    network = brevitas_networks.build(NAME)
    brevitas_networks.load_weights(network, file)
    assert all((network.state_dict()[key] == value).all() for key, value in state.items())


def test_weights_that_cannot_be_loaded_are_told(trained, tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ("executed",)

    torch.save(Evil(), tmp_path / "evil.pt")
    (tmp_path / "text.pt").write_text("no weights")
    (tmp_path / "text.safetensors").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pt")
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    for name, said in {
        "missing.pt": "cannot be read",
        "evil.pt": "no state dict",
        "text.pt": "no state dict",
        "text.safetensors": "no state dict",
        "list.pt": "holds no state dict",
        "other.safetensors": "of another network",
    }.items():
        with pytest.raises(OptionError, match=said):
            brevitas_networks.load_weights(trained, tmp_path / name)


@pytest.mark.slow
def test_a_named_network_becomes_a_file_with_its_weights(trained, tmp_path):
    save_file(trained.state_dict(), tmp_path / "weights.safetensors")
    options = {
        "model": f"brevitas:{NAME}", "dataset": None, "shape": "1,28,28",
        "weights": tmp_path / "weights.safetensors",
    }  # fmt: skip
    found = python_factory.filed(options, tmp_path)
    assert found["weights"] is found["shape"] is None
    images = torch.rand(4, 1, 28, 28)
    with torch.no_grad():
        expected = trained.eval()(images)
        torch.testing.assert_close(open_network(Path(found["model"]))(images), expected)


@pytest.mark.parametrize("shape", ["1,2,3,4", "1,0,28", "a,b,c"])
def test_a_shape_that_is_none_is_told(shape, tmp_path):
    with pytest.raises(OptionError, match="3,32,32"):
        python_factory.filed(
            {"model": f"brevitas:{NAME}", "dataset": None, "shape": shape}, tmp_path
        )


def test_without_a_data_set_the_shape_is_asked_for(tmp_path):
    with pytest.raises(UserError, match="3,32,32"):
        python_factory.filed({"model": f"brevitas:{NAME}", "dataset": None}, tmp_path)
