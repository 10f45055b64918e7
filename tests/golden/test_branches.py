"""Golden model of graphs that fork, join and pad."""

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from flow.compiler.finn import register_operators
from flow.golden.joins import Addition
from flow.golden.layers import LabelSelect, MatrixVector, Tap, Thresholds
from flow.golden.model import GoldenModel, Record
from flow.noise import Noise
from flow.noise.hardware.fixed_point import TapFormat, TapSettings

WIDTH, IMAGES = 6, 120


def tap(site: str, number: int, source: str, frac: int = 0) -> Tap:
    fmt = TapFormat(frac=frac, out_min=-(1 << 20), out_max=1 << 20)
    return Tap(site, (source,), f"{site}.out", site, number, fmt, torch.zeros(WIDTH).long())


def residual() -> GoldenModel:
    """A block with a matrix product on its shortcut, which is written after the main branch."""
    rng = np.random.default_rng(3)

    def product(name: str, source: str) -> MatrixVector:
        weights = torch.from_numpy(rng.integers(-2, 3, (WIDTH, WIDTH)).astype(np.float32))
        return MatrixVector(name, (source,), f"{name}.out", weights, ())

    steps = torch.tensor([[-3.0] * WIDTH, [0.0] * WIDTH, [4.0] * WIDTH])
    layers = [
        product("first", "images"),
        tap("first.acc", 0, "first.out"),
        Thresholds("quant", ("first.acc.out",), "quant.out", steps, -1),
        product("main", "quant.out"),
        tap("main.acc", 1, "main.out"),
        product("shortcut", "quant.out"),
        tap("shortcut.acc", 2, "shortcut.out"),
        Addition("sum", ("main.acc.out", "shortcut.acc.out"), "sum.out"),
        product("last", "sum.out"),
        tap("last.acc", 3, "last.out", frac=8),
        LabelSelect("labels", ("last.acc.out",), "labels.out"),
    ]
    return GoldenModel(layers, "images", (WIDTH,))


def images() -> torch.Tensor:
    values = np.random.default_rng(1).integers(-8, 8, (IMAGES, WIDTH))
    return torch.from_numpy(values.astype(np.int32))


def test_a_part_of_a_forked_graph_equals_the_whole():
    golden = residual()
    for site in golden.taps:
        noise = {site: TapSettings.of(Noise.at("additive", 4.0), 1.0, seed=4)}
        part = golden.before([site], images())
        labels = golden.run(part, noise)
        assert torch.equal(labels, golden.run(images(), noise)), site
        assert not torch.equal(labels, golden.run(part)), site


def test_a_part_holds_every_stream_across_the_cut_and_no_layer_that_noise_cannot_reach():
    part = residual().before(["main.acc"], images())
    assert set(part.streams) == {"main.out", "shortcut.acc.out"}
    assert [layer.name for layer in part.layers] == [
        "main.acc",
        "sum",
        "last",
        "last.acc",
        "labels",
    ]


def test_sums_beyond_float32_keep_their_side_of_a_threshold():
    gains = torch.tensor([[1 << 14, -3], [1 << 8, 1]])
    added = Addition("sum", ("a", "b"), "sum.out", gains, wide=True)
    a, b = torch.tensor([[5000, 7], [4999, 7]]), torch.tensor([[0.0, 9.0], [63.0, 8.0]])
    sums = added(a, b)
    assert sums.tolist() == [[5000 << 14, -12], [(4999 << 14) + (63 << 8), -13]]
    # float32 has the thresholds, and not the numbers below them
    steps = torch.tensor([[float(5000 << 14), -12.0]])
    count = Thresholds("quant", ("sum.out",), "out", steps, 0)
    assert count(torch.cat((sums, sums[:1] - 1))).tolist() == [[1, 1], [0, 0], [0, 0]]
    noisy = added(a.double() + 0.25, b)
    assert noisy[0].tolist() == [(5000 << 14) + 4096, -12.75]


def test_threads_do_not_change_streams_and_digests():
    golden, seen = residual(), []
    noise = {"main.acc": TapSettings.of(Noise.at("mixed", 4.0), 1.0, seed=4)}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        seen.append(Record(["last.acc.out"], list(golden.taps)))
        with torch.inference_mode(threads == 2):
            golden.run(images(), noise, record=seen[-1])
    one, two = seen
    assert torch.equal(one.streams["last.acc.out"], two.streams["last.acc.out"])
    for site in golden.taps:
        assert torch.equal(one.digests[site], two.digests[site]), site


@pytest.mark.parametrize("shift", range(-3, 4))
def test_thresholds_without_an_idle_tap_compare_alike(shift):
    """A run that records the tap's stream goes through the tap; one that does not, past it."""
    fmt = TapFormat(frac=4, out_min=-64, out_max=63)
    idle = Tap("tap", ("images",), "wide", "a.acc", 0, fmt, torch.zeros(1).long())
    steps = torch.tensor([[-33.0], [-16.0], [0.0], [40.0]]) + shift
    thresholds = Thresholds("quant", ("wide",), "quant.out", steps, -1)
    golden = GoldenModel(
        [idle, thresholds, LabelSelect("labels", ("quant.out",), "labels.out")], "images", (1,)
    )
    values = torch.arange(-20, 21).view(-1, 1)
    through, past = Record(["wide", "quant.out"]), Record(["quant.out"])
    golden.run(values, record=through)
    golden.run(values, record=past)
    assert torch.equal(through.streams["quant.out"], past.streams["quant.out"])
    assert len(through.streams["quant.out"].unique()) == 5
    assert thresholds.without(idle) is not None


@pytest.mark.parametrize("step", [-64.0, 64.0])
def test_a_tap_that_saturates_in_a_comparison_stays(step):
    fmt = TapFormat(frac=4, out_min=-64, out_max=63)
    idle = Tap("tap", ("images",), "wide", "a.acc", 0, fmt, torch.zeros(1).long())
    thresholds = Thresholds("quant", ("wide",), "quant.out", torch.tensor([[step]]), 0)
    assert thresholds.without(idle) is None


def test_the_join_reads_both_branches():
    golden, record = residual(), Record(["main.acc.out", "shortcut.acc.out", "sum.out"])
    golden.run(images(), record=record)
    main, shortcut, joined = (record.streams[name] for name in record.names)
    assert torch.equal(joined, main + shortcut)
    assert main.any() and shortcut.any()


def test_a_padded_convolution_and_a_fork_equal_finn(tmp_path):
    """3×3 pixels of 2 channels, padded on three sides, windows of 3×3 at stride 2, then labels."""
    register_operators()
    from qonnx.core.datatype import DataType
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.util.basic import qonnx_make_model

    channels, filters, classes = 2, 3, 4
    shapes = {
        "in": (1, 3, 3, channels),
        "padded": (1, 5, 6, channels),
        "windows": (1, 2, 2, 9 * channels),
        "acc": (1, 2, 2, filters),
        "left": (1, 2, 2, filters),
        "right": (1, 2, 2, filters),
        "scores": (1, classes),
        "labels": (1, 1),
    }

    def node(kind, inputs, outputs, **attributes):
        place = {"domain": "finn.custom_op.fpgadataflow", "backend": "fpgadataflow"}
        return helper.make_node(
            kind, inputs, outputs, name=kind + outputs[0], **place, **attributes
        )

    def product(source, target, inputs, outputs, vectors):
        return node(
            "MVAU", [source, f"{target}_w"], [target], MW=inputs, MH=outputs, SIMD=1, PE=1,
            inputDataType="INT8", weightDataType="INT4", outputDataType="INT20",
            noActivation=1, numInputVectors=vectors,
        )  # fmt: skip

    nodes = [
        node("FMPadding", ["in"], ["padded"], ImgDim=[3, 3], Padding=[1, 1, 1, 2],
             NumChannels=channels, inputDataType="INT8"),
        node("ConvolutionInputGenerator", ["padded"], ["windows"], ConvKernelDim=[3, 3],
             IFMChannels=channels, IFMDim=[5, 6], OFMDim=[2, 2], SIMD=1, Stride=[2, 2],
             Dilation=[1, 1], inputDataType="INT8", outputDataType="INT8"),
        product("windows", "acc", 9 * channels, filters, [1, 2, 2]),
        node("DuplicateStreams", ["acc"], ["left", "right"], NumChannels=filters, PE=1,
             NumOutputStreams=2, inputDataType="INT20", numInputVectors=[1, 2, 2]),
        product("right", "scores", 4 * filters, classes, [1]),
        node("LabelSelect", ["scores"], ["labels"], Labels=classes, PE=1, K=1,
             inputDataType="INT20", outputDataType="UINT2", numInputVectors=[1]),
    ]  # fmt: skip

    def info(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name])

    graph = helper.make_graph(nodes, "padded", [info("in")], [info("labels")])
    graph.value_info.extend(info(name) for name in shapes if name not in ("in", "labels"))
    model = ModelWrapper(qonnx_make_model(graph))
    rng = np.random.default_rng(0)
    for target, shape in (("acc", (9 * channels, filters)), ("scores", (4 * filters, classes))):
        model.set_initializer(f"{target}_w", rng.integers(-7, 8, shape).astype(np.float32))
    for name in shapes:
        model.set_tensor_datatype(name, DataType["INT8" if name == "in" else "INT20"])
    values = rng.integers(-128, 128, (5, *shapes["in"][1:]))
    golden = GoldenModel.of(model)
    record = Record(["padded", "acc", "scores", "labels"])
    golden.run(torch.from_numpy(values.astype(np.int32)).flatten(1), record=record)
    for image, one in enumerate(values):
        context = execute_onnx(
            model, {"in": one[None].astype(np.float32)}, return_full_exec_context=True
        )
        for name in record.names:
            assert np.array_equal(record.streams[name][image].numpy(), context[name][0]), name
