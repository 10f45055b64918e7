"""Golden model: equal to FINN's execution, to Brevitas, and to Brevitas with the same noise."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from flow.compiler import calibration
from flow.compiler.host import HostQuantiser
from flow.errors import Defect, UserError
from flow.golden.layers import MatrixVector, Thresholds
from flow.golden.model import GoldenModel, Record
from flow.models import evaluate
from flow.noise import Noise
from flow.noise.hardware.registers import TapSettings
from flow.noise.hardware.sampler import HardwareSampler
from flow.rtl import equivalence


@pytest.mark.parametrize("name", ["accelerator", "bipolar_accelerator"])
def test_equals_finn_on_every_intermediate_tensor(name, request, inputs):
    accelerator = request.getfixturevalue(name)
    golden = accelerator.golden_model()
    found = equivalence.against_finn(accelerator, golden, accelerator.quantise(inputs[:6]))
    assert found.tensors == len(golden.layers) >= 15
    assert found.differing == []


def test_a_changed_weight_is_seen_by_the_check_against_finn(accelerator, inputs):
    golden = accelerator.golden_model()
    unit = golden.layers[1]
    assert isinstance(unit, MatrixVector)
    unit.weights[5, 7] += 1
    found = equivalence.against_finn(accelerator, golden, accelerator.quantise(inputs[:6]))
    assert unit.name in found.differing


@pytest.mark.parametrize(
    ("net", "name"),
    [("network", "accelerator"), ("bipolar_network", "bipolar_accelerator")],
)
def test_labels_equal_brevitas(net, name, request, inputs):
    network, accelerator = request.getfixturevalue(net), request.getfixturevalue(name)
    found = equivalence.against_brevitas(
        accelerator.golden_model(), accelerator.quantise(inputs), evaluate(network, inputs)
    )
    assert found.images == 500
    assert found.differing == []


def test_parts_equal_the_whole(accelerator, inputs):
    golden, stream = accelerator.golden_model(), accelerator.quantise(inputs)
    for site, tap in golden.taps.items():
        noise = {site: TapSettings.of(Noise.at("additive", 3.0), 1.0, seed=4)}
        part = golden.before([site], stream)
        assert part.layers[0] is tap and list(part.streams) == list(tap.inputs)
        assert torch.equal(golden.run(part, noise), golden.run(stream, noise))


def test_every_tap_changes_the_stream_behind_it_and_none_before(accelerator, inputs):
    golden, stream = accelerator.golden_model(), accelerator.quantise(inputs[:50])
    clean = Record(sites=golden.taps)
    golden.run(stream, record=clean)
    sites = list(golden.taps)
    assert sites == ["input", *(f"fc{i}.{e}" for i in range(3) for e in ("acc", "act")), "fc3.acc"]
    for place, site in enumerate(sites):
        noisy = Record(sites=golden.taps)
        noise = {site: TapSettings.of(Noise.at("additive", 2.0), 1.0, seed=4)}
        golden.run(stream, noise, record=noisy)
        for before in sites[:place]:
            assert torch.equal(noisy.digests[before], clean.digests[before])
        assert (noisy.digests[site] != clean.digests[site]).float().mean() > 0.9


@pytest.mark.parametrize("kind", ["additive", "multiplicative", "mixed"])
@pytest.mark.parametrize("site", ["input", "fc0.acc", "fc1.act", "fc2.acc", "fc3.acc"])
def test_brevitas_with_the_hardware_s_samples_gives_the_same_labels(
    kind, site, network, accelerator, inputs
):
    """The unit of σ is right: the same z, in real units, moves the same images."""
    tap = accelerator.sites[site]
    noise = Noise.at(kind, 6.0 if site.endswith(".acc") else 0.9)
    labels = evaluate(
        network, inputs, noise={site: noise}, sampler=HardwareSampler(accelerator.sites, 77)
    )
    golden = accelerator.golden_model().run(
        accelerator.quantise(inputs), {site: TapSettings.of(noise, tap.scale, seed=77)}
    )
    same = (golden.numpy() == labels).mean()
    clean = (golden.numpy() == evaluate(network, inputs)).mean()
    assert same >= 0.985, f"{same}; against the clean network {clean}"
    assert same > clean


OPTIONS = {
    "fixed-pattern": {"device": 3},
    "drift": {"gain_rate": -1.0, "sigma_rate": 2.0},
    "mixed": {"executions": 4},
    "empirical": {},
}


@pytest.mark.parametrize(("kind", "options"), OPTIONS.items(), ids=OPTIONS)
@pytest.mark.parametrize("site", ["fc0.acc", "fc1.act"])
def test_every_kind_is_the_same_in_software(
    kind, options, site, network, accelerator, inputs, tmp_path
):
    """With the same random numbers; what is left is rounding, and the table's smoothing."""
    if kind == "empirical":
        np.save(tmp_path / "noise.npy", np.random.default_rng(2).gamma(2, size=5000) - 1)
        options = {"file": str(tmp_path / "noise.npy")}
    noise = Noise.at(kind, 6.0 if site.endswith(".acc") else 0.9, **options)
    sampler = HardwareSampler(accelerator.sites, 77)
    labels = evaluate(network, inputs, noise={site: noise}, sampler=sampler)
    settings = TapSettings.of(noise, accelerator.sites[site].scale, seed=77)
    golden = accelerator.golden_model().run(accelerator.quantise(inputs), {site: settings})
    clean = (golden.numpy() == evaluate(network, inputs)).mean()
    same = (golden.numpy() == labels).mean()
    assert same >= 0.97, f"{same}; against the clean network {clean}"
    assert same > clean


def test_scale_of_every_site_is_that_of_brevitas(accelerator, network):
    for name, site in accelerator.sites.items():
        assert site.scale == pytest.approx(1.0), name
        assert site.scale_error < 1e-5, name


def test_a_scale_an_offset_and_a_turned_sign_are_found():
    rng = np.random.default_rng(0)
    integer = rng.integers(-50, 50, (400, 6)).astype(np.float64)
    sign, offset = np.array([1, -1, 1, 1, -1, 1]), np.array([0, 3, -2.5, 0, 0.5, 1])
    real = 0.25 * sign * (integer + offset)
    found = calibration.find_scales({"a.acc": real}, {"a.acc": integer})["a.acc"]
    assert found.magnitude == pytest.approx(0.25)
    assert (np.sign(found.scale) == sign).all()
    assert found.offset.tolist() == offset.tolist()


def test_unlike_scales_and_a_wrong_graph_are_refused():
    rng = np.random.default_rng(0)
    integer = rng.integers(-50, 50, (400, 2)).astype(np.float64)
    with pytest.raises(UserError, match=r"a\.acc.*unlike scales"):
        calibration.find_scales({"a.acc": integer * [1.0, 2.0]}, {"a.acc": integer})
    wrong = integer.copy()
    wrong[7, 1] += 1
    with pytest.raises((Defect, UserError), match=r"a\.acc"):
        calibration.find_scales({"a.acc": wrong}, {"a.acc": integer})


def test_the_scale_of_a_site_that_never_changes_is_the_networks_own():
    real, integer = {"a.acc": np.full((5, 2), 0.75)}, {"a.acc": np.full((5, 2), -2)}
    found = calibration.find_scales(real, integer, steps={"a.acc": 0.25})["a.acc"]
    assert found.magnitude == 0.25 and (found.offset == 5).all() and found.error == 0
    with pytest.raises(UserError, match="no channel ever changes"):
        calibration.find_scales(real, integer)


def test_a_product_beyond_float32_is_refused(accelerator):
    from flow.golden.model import GoldenModel

    initialised = accelerator.golden_model()
    assert initialised.layers
    from qonnx.core.modelwrapper import ModelWrapper

    model = ModelWrapper(str(accelerator.hardware_graph))
    node = model.get_nodes_by_op_type("MVAU")[0]
    model.set_initializer(node.input[1], model.get_initializer(node.input[1]) * 1e6)
    with pytest.raises(UserError, match=node.name):
        GoldenModel.of(model)


def _first_accumulator(golden):
    return next(tap for site, tap in golden.taps.items() if site.endswith(".acc"))


def _proof(network, accelerator, golden, images):
    """Prove scales on a graph that is compiled already, whose streams have the taps' names."""
    names = {"input": golden.entry}
    for site, tap in golden.taps.items():
        names[site] = tap.inputs[0]
        behind = next(layer for layer in golden.layers if tap.output in layer.inputs)
        if isinstance(behind, Thresholds):
            names[site.replace(".acc", ".act")] = behind.output
    return calibration.verify_scales(network, golden, images, accelerator.quantise(images), names)


def _with_first_thresholds(golden, change):
    """Return the model with the thresholds of its first layer behind a tap changed."""
    wanted = _first_accumulator(golden).output
    number, layer = next((n, x) for n, x in enumerate(golden.layers) if wanted in x.inputs)
    thresholds = layer.thresholds.clone()
    change(thresholds)
    layers = list(golden.layers)
    layers[number] = replace(layer, thresholds=thresholds)
    return GoldenModel(layers, golden.entry, golden.input_shape)


def test_an_activation_on_a_threshold_does_not_spoil_the_proof_behind_it(
    accelerator, network, inputs
):
    golden = accelerator.golden_model()
    assert set(_proof(network, accelerator, golden, inputs).on_thresholds.values()) == {0.0}
    tap = _first_accumulator(golden)
    record = Record([tap.output])
    golden.run(accelerator.quantise(inputs), record=record)

    def nudge(thresholds):
        """Move a threshold past the values of a few images."""
        for channel, values in enumerate(record.streams[tap.output].T):
            above, counts = values[values >= thresholds[-1, channel]].unique(return_counts=True)
            if len(above) > 1 and counts[0] <= 30:
                thresholds[-1, channel] = above[1]
                return
        raise LookupError("no threshold that few values pass")

    proof = _proof(network, accelerator, _with_first_thresholds(golden, nudge), inputs)
    shares = list(proof.on_thresholds.values())
    # the first is that of the input
    assert 0 < shares[1] <= calibration.ON_THRESHOLDS and not any([shares[0], *shares[2:]])


@pytest.mark.parametrize("rows, channels_last", [(1, True), (3, True), (3, False), (12, False)])
def test_the_host_rounds_as_the_network(rows, channels_last):
    """0.5 is a step of 255 · x in float32, but lies beside the exact one of x / (1 / 255)."""
    generator = np.random.default_rng(rows)
    scale = generator.uniform(0.9, 1.1, (rows, 1)).astype(np.float32) / np.float32(255)
    thresholds = (scale.astype(np.float64) * (np.arange(255) + 0.5)).astype(np.float32)
    exact = HostQuantiser(thresholds, 1.0, -128.0, "INT8", channels_last)
    shape = (3, 2, 2)

    def network(images):
        x = images.reshape(len(images), *((rows, -1) if rows > 1 else (1, -1)))
        values = np.clip(np.round(x / scale + np.float32(-128)), -128, 127)
        values = values.reshape(images.shape)
        return (values.transpose(0, 2, 3, 1) if channels_last else values).reshape(len(images), -1)

    images = np.concatenate([thresholds, np.nextafter(thresholds, np.float32(0))], axis=1)
    images = np.resize(images.T[:, :, None], (510, rows, 12 // rows)).reshape(-1, *shape)
    images = np.concatenate([images, np.nextafter(images, np.float32(1))])
    assert (exact(images) != network(images)).any()
    assert (exact.rounding_as(network, shape)(images) == network(images)).all()
    endless = np.concatenate([thresholds, np.full((rows, 1), np.inf, np.float32)], axis=1)
    moved = replace(exact, thresholds=endless).rounding_as(network, shape)
    assert np.isinf(moved.thresholds[:, -1]).all() and (moved(images) == network(images)).all()


def test_a_pixel_on_a_threshold_of_the_host_does_not_spoil_the_proof(accelerator, network, inputs):
    golden = accelerator.golden_model()
    names, stream = {"input": golden.entry}, accelerator.quantise(inputs)
    step = int(accelerator.manifest["host_quantiser"]["scale"])
    stream[0, 0] += step if stream[0, 0] < 0 else -step
    shares = calibration.verify_scales(network, golden, inputs, stream, names).on_thresholds
    assert shares == {"input": pytest.approx(1 / stream.numel())}
    with pytest.raises(Defect, match=r"site input: .* differ from the network's"):
        calibration.verify_scales(network, golden, inputs, stream.flip(1), names)


def test_scales_are_not_those_of_a_run_in_which_roundings_add_up(
    accelerator, network, inputs, monkeypatch
):
    """In a deep network, the last activations of a free run hardly resemble the network's."""
    run = GoldenModel.run

    def drifting(self, source, *args, record=None, **options):
        labels = run(self, source, *args, record=record, **options)
        for name in record.names if isinstance(source, torch.Tensor) else ():
            record.streams[name] = record.streams[name].roll(1, 0)
            record.streams[name][::2] *= 2
        return labels

    golden = accelerator.golden_model()
    monkeypatch.setattr(GoldenModel, "run", drifting)
    shares = _proof(network, accelerator, golden, inputs).on_thresholds
    assert len(shares) > 2 and set(shares.values()) == {0.0}


def test_thresholds_that_are_not_the_network_s_are_refused(accelerator, network, inputs):
    golden = accelerator.golden_model()
    site = _first_accumulator(golden).site.replace(".acc", ".act")

    def shift(thresholds):
        thresholds[:, :8] += 8 * 256

    with pytest.raises(Defect, match=rf"site {re.escape(site)}: .* differ from the network's"):
        _proof(network, accelerator, _with_first_thresholds(golden, shift), inputs)
