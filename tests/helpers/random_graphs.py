"""Random small QONNX graphs, as people's tools write them: some fit the hardware, some do not."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CUSTOM = "qonnx.custom_op.general"
DOMAINS = (CUSTOM, "onnx.brevitas", "finn.custom_op.general")
LAST = "qonnx.custom_op.channels_last"


@dataclass
class Builder:
    """A graph in the making, whose stream has a name and a shape."""

    rng: np.random.Generator
    shape: tuple[int, ...]
    domain: str = CUSTOM
    stream: str = "images"
    nodes: list = field(default_factory=list)
    constants: list = field(default_factory=list)
    entry: tuple[int, ...] = ()
    exact: bool = False
    """Whether all scales are powers of two, so that float32 never rounds where a sum decides."""

    def __post_init__(self) -> None:
        self.entry = self.shape

    def constant(self, values: Any, kind: Any = np.float32) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def node(self, operator: str, inputs: Sequence[str], domain: str = "", **attributes) -> str:
        name = f"value{len(self.nodes)}"
        given = helper.make_node(operator, inputs, [name], domain=domain, **attributes)
        self.nodes.append(given)
        return name

    def apply(self, operator: str, *constants: str, domain: str = "", **attributes) -> None:
        self.stream = self.node(operator, [self.stream, *constants], domain, **attributes)

    def quant(
        self, source: str, scale, bits: int, *, signed=1, narrow=0, zero=0.0, mode="ROUND"
    ) -> str:
        inputs = [source, self.constant(scale), self.constant(zero), self.constant(bits)]
        more = {"signed": signed, "narrow": narrow, "rounding_mode": mode}
        return self.node("Quant", inputs, self.domain, **more)

    def activation(self, kind: str, scale: float, bits: int) -> None:
        if kind == "relu":
            self.apply("Relu")
            self.stream = self.quant(self.stream, scale, bits, signed=0)
        elif kind == "signed":
            self.stream = self.quant(self.stream, scale, bits, narrow=int(self.rng.integers(2)))
        elif kind == "twice":
            self.stream = self.quant(self.stream, scale, bits)
            self.apply("Relu")
            self.stream = self.quant(self.stream, scale, bits - 1, signed=0)
        elif kind == "signed relu":
            self.apply("Relu")
            self.stream = self.quant(self.stream, scale, bits + 1, narrow=1)
        elif kind == "function":
            self.apply(str(self.rng.choice(["Tanh", "Sigmoid", "LeakyRelu", "Softsign", "Elu"])))
            self.stream = self.quant(self.stream, scale / 2, bits)
        elif kind == "silu":
            values = self.stream
            self.apply("Sigmoid")
            self.stream = self.node("Mul", [values, self.stream])
            self.stream = self.quant(self.stream, scale / 2, bits + 1)
        elif kind == "zero point":
            zero = float(self.rng.integers(1, 2**bits - 1))
            self.stream = self.quant(self.stream, scale, bits, signed=0, zero=zero)
        elif kind == "bipolar":
            self.apply("BipolarQuant", self.constant(scale), domain=self.domain)
        else:
            self.thresholds(scale, bits)

    def thresholds(self, scale: float, bits: int) -> None:
        """Append thresholds of a row a channel, and what goes back from counts to values."""
        steps = 2**bits - 1
        rows = np.sort(self.rng.normal(size=(self.shape[1], steps)) * scale * steps / 4, axis=1)
        layout = {2: "NC", 3: "NCW", 4: "NCHW"}[len(self.shape)]
        given = {"out_dtype": f"UINT{bits}", "data_layout": layout}
        self.apply("MultiThreshold", self.constant(rows), domain=self.domain, **given)
        self.apply("Add", self.constant(-(2 ** (bits - 1))))
        self.apply("Mul", self.constant(scale))

    def weights(self, shape: Sequence[int], per_output: int | None, whole: bool) -> str:
        bits = int(self.rng.integers(2, 5))
        if whole:
            return self.constant(self.rng.integers(-2, 3, shape))
        scale = np.float32(2.0**-3 if self.exact or self.rng.random() < 0.5 else 0.13)
        if per_output is not None:
            sizes = [1] * len(shape)
            sizes[per_output] = shape[per_output]
            factors = self.rng.uniform(-1, 1, sizes)
            scale = scale * 2 ** (factors.round() if self.exact else factors)
        values = self.constant(self.rng.normal(size=shape) * 0.5)
        return self.quant(values, scale, bits, narrow=1)

    def bias(self, kind: str, shape: Sequence[int]) -> None:
        if kind == "none":
            return
        values = self.constant(self.rng.normal(size=shape) * 0.3)
        self.apply("Add", self.quant(values, 2.0**-4, 6) if kind == "quantised" else values)

    def idle(self) -> None:
        """Append operators that mean nothing."""
        kind = self.rng.integers(4)
        if kind == 0:
            self.apply("Identity")
        elif kind == 1:
            self.apply("Reshape", self.constant([*self.shape, 1], np.int64))
            self.apply("Reshape", self.constant(self.shape, np.int64))
        elif kind == 2 and len(self.shape) == 2:
            self.apply("Unsqueeze", self.constant([2], np.int64))
            self.apply("Squeeze", self.constant([2], np.int64))
        elif len(self.shape) == 4:
            self.apply("Transpose", perm=[0, 2, 3, 1])
            self.apply("Transpose", perm=[0, 3, 1, 2])

    def grouped(
        self, outputs: int, groups: int, kernel: Sequence[int], pads: Sequence[int], **more
    ) -> None:
        """Append a convolution of groups of channels; ``pads`` are above, left, below, right."""
        sides = tuple(
            (size + sum(pads[axis::2]) - dilation * (side - 1) - 1) // stride + 1
            for axis, (size, side, stride, dilation) in enumerate(
                zip(self.shape[2:], kernel, more["strides"], more["dilations"], strict=True)
            )
        )
        shape = (outputs, self.shape[1] // groups, *kernel)
        weights = self.weights(shape, None, whole=False)
        self.apply("Conv", weights, kernel_shape=kernel, pads=pads, group=groups, **more)
        self.shape = (1, outputs, *sides)

    def convolution(self, outputs: int, per_channel: bool, last: bool) -> None:
        rank = len(self.shape) - 2
        channels = self.shape[-1] if last else self.shape[1]
        kernel = [outputs, *[3] * rank, channels] if last else [outputs, channels, *[3] * rank]
        weights = self.weights(kernel, 0 if per_channel else None, whole=False)
        self.stream = self.node(
            "Conv",
            [self.stream, weights],
            LAST if last else "",
            kernel_shape=[3] * rank,
            pads=[1] * (2 * rank),
            strides=[1] * rank,
            dilations=[1] * rank,
            group=1,
        )
        sides = self.shape[1:-1] if last else self.shape[2:]
        self.shape = (1, *sides, outputs) if last else (1, outputs, *sides)

    def norm(self, negative: bool) -> None:
        channels = self.shape[1]
        gain = self.rng.uniform(0.5, 2, channels) * np.where(
            negative & (self.rng.random(channels) < 0.5), -1, 1
        )
        values = (gain, self.rng.normal(size=channels), self.rng.normal(size=channels) * 0.2)
        constants = [self.constant(one) for one in (*values, self.rng.uniform(0.5, 2, channels))]
        self.apply("BatchNormalization", *constants, epsilon=1e-5)

    def flatten(self) -> None:
        size = int(np.prod(self.shape))
        if self.rng.random() < 0.5:
            self.apply("Flatten", axis=1)
        else:
            self.apply("Reshape", self.constant([1, -1], np.int64))
        self.shape = (1, size)

    def dense(self, outputs: int, per_channel: bool, whole: bool) -> None:
        axis = 1 if per_channel else None
        weights = self.weights((self.shape[1], outputs), axis, whole)
        self.apply("MatMul", weights)
        self.shape = (1, outputs)

    def model(self, *, open_batch: bool) -> onnx.ModelProto:
        batch = ["batch"] if open_batch else [1]
        entry = helper.make_tensor_value_info(
            "images", TensorProto.FLOAT, [*batch, *self.entry[1:]]
        )
        whole = self.nodes[-1].op_type == "ArgMax"
        kind = TensorProto.INT64 if whole else TensorProto.FLOAT
        output = helper.make_tensor_value_info(self.stream, kind, None)
        graph = helper.make_graph(self.nodes, "random", [entry], [output], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])


def random_graph(seed: int, *, exact: bool = False) -> onnx.ModelProto:
    """Return a small network with weights of its own: one input, and scores of one to four.

    Args:
        seed: seed of everything.
        exact: whether all scales are powers of two.
    """
    rng = np.random.default_rng(seed)

    def chance(share: float) -> bool:
        return bool(rng.random() < share)

    kind = rng.choice(["flat", "image", "last", "signal"])
    shape = {"flat": (1, 12), "image": (1, 2, 5, 5), "last": (1, 5, 5, 2), "signal": (1, 2, 9)}
    build = Builder(rng, shape[kind], str(rng.choice(DOMAINS)), exact=exact)
    if chance(0.3):
        build.apply("Mul", build.constant(0.5))
        build.apply("Sub", build.constant(0.1))
    if chance(0.9):
        bits = int(rng.choice([4, 8, 10], p=[0.5, 0.4, 0.1]))
        build.stream = build.quant(build.stream, 2.0 ** (1 - bits), bits)
    if chance(0.3):
        build.idle()
    kinds = ["relu", "signed", "twice", "signed relu", "function", "silu"]
    kinds += ["zero point", "thresholds", "bipolar"]
    for _ in range(int(kind != "flat")):
        build.convolution(3, chance(0.3), kind == "last")
        if kind != "last" and chance(0.5):
            build.norm(chance(0.5))
        if chance(0.95):
            activation = str(rng.choice(kinds[: 7 if kind == "last" else 9]))
            scale = float(rng.choice([0.25, 0.25 if exact else 0.3]))
            build.activation(activation, scale, int(rng.integers(2, 5)))
        if chance(0.3):
            build.idle()
    if kind != "flat":
        build.flatten()
    for _ in range(int(rng.integers(0, 2))):
        build.dense(5, chance(0.3), chance(0.2))
        build.bias(str(rng.choice(["none", "float", "quantised"])), (5,))
        if chance(0.4):
            build.norm(chance(0.5))
        if chance(0.95):
            build.activation(str(rng.choice(kinds)), 0.25, int(rng.integers(2, 5)))
        if chance(0.3):
            build.idle()
    outputs = int(rng.choice([1, 2, 4]))
    build.dense(outputs, chance(0.15), chance(0.2))
    build.bias(str(rng.choice(["none", "float", "quantised"])), (outputs,))
    _end(build, rng, outputs)
    return build.model(open_batch=chance(0.3))


def _end(build: Builder, rng: np.random.Generator, outputs: int) -> None:
    choice = rng.choice(["plain", "rising", "quantised"])
    if choice == "rising":
        build.apply("Sigmoid" if outputs == 1 else "Softmax")
    elif choice == "quantised" and outputs == 1:
        build.apply("BipolarQuant", build.constant(1.0), domain=build.domain)
    elif choice == "quantised":
        build.stream = build.quant(build.stream, 0.5, 4)


def branched_graph(seed: int) -> onnx.ModelProto:
    """Return a small network that forks and joins, shuffles and averages."""
    rng = np.random.default_rng(seed)
    build = Builder(rng, (1, 2, 4, 4), exact=True)
    build.stream = build.quant(build.stream, 2.0**-5, 6)
    if rng.random() < 0.8:
        build.convolution(4, False, last=False)

    def quantise() -> None:
        kinds = ["relu", "signed", "thresholds", "function", "bipolar"]
        kind = str(rng.choice(kinds, p=[0.45, 0.3, 0.1, 0.1, 0.05]))
        build.activation(kind, float(rng.choice([0.25, 0.125, 0.17], p=[0.7, 0.2, 0.1])), 3)

    for _ in range(int(rng.integers(1, 3))):
        if rng.random() < 0.9:
            quantise()
        trunk, shape = build.stream, build.shape
        kinds = ["concat", "add", "multiply", "shuffle", "pool", "halves", "enlarge"]
        kind = str(rng.choice([*kinds, "itself", "signs"]))
        if kind == "itself":
            operator = str(rng.choice(["Add", "Concat", "Mul"]))
            more = {"axis": 1} if operator == "Concat" else {}
            build.stream = build.node(operator, [trunk, trunk], **more)
            build.shape = (1, shape[1] * (2 if more else 1), *shape[2:])
            build.convolution(4, False, last=False)
            continue
        if kind == "signs":
            build.convolution(shape[1], False, last=False)
            trunk, shape = build.stream, build.shape
            quantise()
            positive, build.stream, build.shape = build.stream, trunk, shape
            build.apply("Neg")
            quantise()
            build.stream = build.node("Concat", [positive, build.stream], axis=1)
            build.shape = (1, 2 * shape[1], *shape[2:])
            build.convolution(4, False, last=False)
            continue
        if kind == "shuffle":
            channels, *sides = shape[1:]
            build.apply("Reshape", build.constant([1, 2, channels // 2, *sides], np.int64))
            build.apply("Transpose", perm=[0, 2, 1, 3, 4])
            build.apply("Reshape", build.constant(shape, np.int64))
            build.convolution(4, False, last=False)
            continue
        if kind == "pool":
            more = {"count_include_pad": int(rng.integers(2))}
            build.apply("AveragePool", kernel_shape=[3, 3], pads=[1] * 4, strides=[1, 1], **more)
            quantise()
            build.convolution(4, False, last=False)
            continue
        if kind == "enlarge":
            build.apply("MaxPool", kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4)
            sizes = build.constant([1, 1, 2, 2])
            build.stream = build.node("Resize", [build.stream, "", sizes], mode="nearest")
            build.convolution(4, False, last=False)
            continue
        if kind == "halves":
            half = build.constant(range(shape[1] // 2), np.int64)
            build.stream = build.node("Gather", [trunk, half], axis=1)
            build.shape = (1, shape[1] // 2, *shape[2:])
        if rng.random() < 0.3:
            build.norm(bool(rng.random() < 0.5))
            quantise()
        build.convolution(shape[1], False, last=False)
        if kind == "add" and rng.random() < 0.5:
            build.norm(bool(rng.random() < 0.5))
        elif rng.random() < 0.9:
            quantise()
        if kind == "add":
            operator = "Sub" if rng.random() < 0.25 else "Add"
            build.stream = build.node(operator, [trunk, build.stream])
        elif kind == "multiply":
            if rng.random() < 0.5:
                build.apply("GlobalAveragePool")
                build.stream = build.quant(build.stream, 0.125, 3)
            build.stream, build.shape = build.node("Mul", [trunk, build.stream]), shape
        else:
            build.stream = build.node("Concat", [trunk, build.stream], axis=1)
            build.shape = (1, 2 * shape[1], *shape[2:])
        if rng.random() < 0.5:
            build.norm(bool(rng.random() < 0.5))
            quantise()
            build.convolution(4, False, last=False)
    if rng.random() < 0.5:
        build.norm(bool(rng.random() < 0.5))
        build.apply("GlobalAveragePool")
        build.shape = (*build.shape[:2], 1, 1)
        build.flatten()
    else:
        quantise()
        build.flatten()
        build.dense(3, per_channel=False, whole=False)
    return build.model(open_batch=False)


def write(seed: int, folder: Path, *, exact: bool = False, branched: bool = False) -> Path:
    """Write a random graph to a file; see `random_graph` and `branched_graph`."""
    path = folder / f"random{seed}.onnx"
    graph = branched_graph(seed) if branched else random_graph(seed, exact=exact)
    path.write_bytes(graph.SerializeToString())
    return path
