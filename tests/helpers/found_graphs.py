"""Networks as other tools write them, each with something that hardware computes in its own way."""

import numpy as np

from flow.models.qonnx.network import open_network
from tests.helpers.random_graphs import CUSTOM, Builder


def one_score(tmp_path, bias):
    """Return a network of one score, on signals, with thresholds and a quantised end."""
    builder = Builder(np.random.default_rng(0), (1, 2, 9), exact=True)
    builder.stream = builder.quant("images", 0.125, 4)
    builder.convolution(3, per_channel=False, last=False)
    builder.activation("relu", 0.25, 3)
    builder.flatten()
    builder.dense(1, per_channel=False, whole=False)
    builder.bias(bias, (1,))
    builder.apply("BipolarQuant", builder.constant(1.0), domain=CUSTOM)
    path = tmp_path / f"{bias}.onnx"
    path.write_bytes(builder.model(open_batch=True).SerializeToString())
    return open_network(path)


def quantised_end(tmp_path, _):
    builder = Builder(np.random.default_rng(0), (1, 12), exact=True)
    builder.thresholds(0.25, 3)
    builder.dense(4, per_channel=True, whole=False)
    builder.bias("quantised", (4,))
    builder.stream = builder.quant(builder.stream, 0.25, 3)
    path = tmp_path / "end.onnx"
    path.write_bytes(builder.model(open_batch=False).SerializeToString())
    return open_network(path)


def gain_of_each_class(tmp_path, bias):
    """Return a network whose last weights have a scale for each class, and a gain after them."""
    builder = Builder(np.random.default_rng(0), (1, 12), exact=True)
    builder.stream = builder.quant("images", 0.125, 4)
    builder.dense(4, per_channel=True, whole=False)
    builder.apply("Mul", builder.constant([1.0, -0.5, 2.0, 0.75]))
    builder.bias(bias, (4,))
    path = tmp_path / "gains.onnx"
    path.write_bytes(builder.model(open_batch=False).SerializeToString())
    return open_network(path)


def ten_bits(tmp_path, _):
    """Return a depth-wise and a dense layer with operands of 9 and 10 bits."""
    builder = Builder(np.random.default_rng(0), (1, 2, 4, 4), exact=True)
    builder.stream = builder.quant("images", 2.0**-9, 10)
    kernel = builder.constant(np.random.default_rng(1).normal(size=(2, 1, 2, 2)))
    weights = builder.quant(kernel, 2.0**-8, 9, narrow=1)
    builder.apply(
        "Conv", weights, kernel_shape=[2, 2], pads=[0] * 4, group=2, strides=[1, 1],
        dilations=[1, 1],
    )  # fmt: skip
    builder.shape = (1, 2, 3, 3)
    builder.activation("relu", 2.0**-8, 10)
    builder.flatten()
    values = builder.constant(np.random.default_rng(2).normal(size=(18, 3)) * 0.3)
    builder.apply("MatMul", builder.quant(values, 2.0**-9, 10, narrow=1))
    path = tmp_path / "ten.onnx"
    path.write_bytes(builder.model(open_batch=False).SerializeToString())
    return open_network(path)


def channel_scales(tmp_path, _):
    """Return a network of 300 classes, with a scale for each channel before a depth-wise layer."""
    builder = Builder(np.random.default_rng(0), (1, 2, 4, 4), exact=True)
    builder.stream = builder.quant("images", 2.0**-5, 6)
    builder.convolution(4, per_channel=True, last=False)
    builder.apply("Relu")
    scale = np.array([0.5, 0.125, 0.25, 1.0]).reshape(1, 4, 1, 1)
    builder.stream = builder.quant(builder.stream, scale, 3, signed=0)
    builder.grouped(4, 4, [2, 2], [0] * 4, strides=[1, 1], dilations=[1, 1])
    builder.activation("signed", 0.25, 4)
    builder.flatten()
    builder.dense(300, per_channel=False, whole=False)
    path = tmp_path / "scales.onnx"
    path.write_bytes(builder.model(open_batch=False).SerializeToString())
    return open_network(path)


def pool_builder(activation):
    """Return a network like the first layers of ResNet-18: a pool of 3×3 pixels that overlaps."""
    builder = Builder(np.random.default_rng(0), (1, 2, 6, 6), exact=True)
    builder.stream = builder.quant("images", 2.0**-5, 6)
    builder.convolution(4, per_channel=False, last=False)
    builder.activation(activation, 0.25, 4)
    builder.apply("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    # the last windows reach beyond the image
    builder.apply("MaxPool", kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4, ceil_mode=1)
    builder.shape = (1, 4, 2, 2)
    builder.flatten()
    builder.dense(4, per_channel=False, whole=False)
    return builder


def padded_pool(tmp_path, _):
    path = tmp_path / "pool.onnx"
    path.write_bytes(pool_builder("relu").model(open_batch=False).SerializeToString())
    return open_network(path)


def unlike_steps(tmp_path, _):
    """Return residual blocks that add four times the step of the shortcut, and an unlike one.

    The second shortcut reorders its channels, of which two are zeros.
    """
    builder = Builder(np.random.default_rng(0), (1, 2, 5, 5), exact=True)
    builder.stream = builder.quant("images", 2.0**-5, 6)
    builder.convolution(4, per_channel=False, last=False)
    # channels rise and fall unlike each other
    builder.apply("PRelu", builder.constant(np.reshape([-0.5, 0.25, 0.0, 1.5], (4, 1, 1))))
    builder.stream = builder.quant(builder.stream, 0.5, 3)
    # both branches read a pooling
    builder.apply("MaxPool", kernel_shape=[2, 2], strides=[1, 1], pads=[0] * 4)
    builder.shape = (1, 4, 4, 4)
    shortcut = builder.stream
    builder.convolution(4, per_channel=False, last=False)
    builder.apply("Relu")
    builder.norm(negative=True)
    builder.activation("signed", 0.125, 4)
    builder.apply("Add", shortcut)
    summed = builder.stream
    builder.activation("relu", 0.25, 4)
    builder.convolution(4, per_channel=False, last=False)
    builder.activation("signed", 0.171, 4)
    picked = builder.node("Gather", [summed, builder.constant([2, 0], np.int64)], axis=1)
    pads = [0, 1, 0, 0, 0, 1, 0, 0]
    picked = builder.node("Pad", [picked, builder.constant(pads, np.int64)])
    builder.apply("Add", picked)
    builder.activation("relu", 0.25, 4)
    builder.flatten()
    builder.dense(4, per_channel=False, whole=False)
    path = tmp_path / "sum.onnx"
    path.write_bytes(builder.model(open_batch=False).SerializeToString())
    return open_network(path)


def stem(seed=0, size=6, channels=4):
    """Return a builder behind a first convolution, whose values are quantised in steps of 1/4."""
    builder = Builder(np.random.default_rng(seed), (1, 2, size, size), exact=True)
    builder.stream = builder.quant("images", 2.0**-5, 6)
    builder.convolution(channels, per_channel=False, last=False)
    builder.activation("relu", 0.25, 3)
    return builder


def saved(builder, tmp_path, name):
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(builder.model(open_batch=False).SerializeToString())
    return open_network(path)


def branch(builder, source, outputs, kernel, activation, scale):
    """Append a convolution of a stream of the same size, and its quantiser; return its stream."""
    builder.stream, builder.shape = source
    size = {"kernel_shape": [kernel] * 2, "pads": [kernel // 2] * 4}
    weights = builder.weights((outputs, source[1][1], kernel, kernel), None, whole=False)
    builder.apply("Conv", weights, strides=[1, 1], dilations=[1, 1], group=1, **size)
    builder.shape = (1, outputs, *builder.shape[2:])
    if activation:
        builder.activation(activation, scale, 3)
    return builder.stream, builder.shape


def join(builder, *branches):
    """Concatenate streams along their channels."""
    builder.stream = builder.node("Concat", [stream for stream, _ in branches], axis=1)
    shape = branches[0][1]
    builder.shape = (1, sum(one[1] for _, one in branches), *shape[2:])
    return builder.stream, builder.shape


def average(builder, kind):
    """End with the mean of each channel, as exporters write it."""
    _, channels, height, width = builder.shape
    if kind == "none":
        builder.apply("GlobalAveragePool")
        builder.flatten()
    elif kind == "quantised":
        builder.apply("Reshape", builder.constant([1, channels, height * width], np.int64))
        builder.apply("ReduceMean", axes=[2], keepdims=0)
    else:
        builder.apply("ReduceSum", builder.constant([2, 3], np.int64), keepdims=0)
    builder.shape = (1, channels)


def average_at_end(tmp_path, kind):
    """Return a network whose scores are the mean or the sum of a map, with a gain a channel."""
    builder = stem()
    branch(builder, (builder.stream, builder.shape), 5, 1, "", 0)
    builder.bias(kind, (5, 1, 1))
    builder.apply("Mul", builder.constant(np.array([1, -0.5, 1.5, 0.75, 1]).reshape(5, 1, 1)))
    average(builder, kind)
    builder.apply("Softmax", axis=1)
    return saved(builder, tmp_path, f"average-{kind}")


def average_of_sums(tmp_path, _):
    """Return a network that averages windows of a layer's sums, and quantises the averages."""
    builder = stem()
    branch(builder, (builder.stream, builder.shape), 4, 3, "", 0)
    builder.apply("AveragePool", kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4)
    builder.shape = (1, 4, 3, 3)
    builder.activation("signed", 0.25, 4)
    builder.flatten()
    builder.dense(4, per_channel=False, whole=False)
    return saved(builder, tmp_path, "averages")


def fire(tmp_path, _):
    """Return branches of unlike lengths, types and steps, one a pooling, that are concatenated.

    The steps of one are no multiples of those of others. A layer reads averages of such, which have
    hardly any bits left for a common step.
    """
    builder = stem(seed=1)
    trunk = builder.stream, builder.shape
    small = branch(builder, trunk, 2, 1, "relu", 0.0937)
    wide = branch(builder, branch(builder, trunk, 2, 1, "relu", 0.25), 4, 3, "signed", 0.171)
    builder.stream, builder.shape = trunk
    builder.apply("MaxPool", kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4)
    pooled = builder.stream, builder.shape
    join(builder, branch(builder, join(builder, wide, small, pooled), 5, 1, "relu", 0.171), small)
    average(builder, "none")
    builder.dense(5, per_channel=False, whole=False)
    return saved(builder, tmp_path, "fire")


def dense_block(tmp_path, _):
    """Return layers that read all layers before them; of these some are quantised behind only."""
    builder = stem()
    every = [(builder.stream, builder.shape)]
    for _ in range(2):
        every.append(branch(builder, join(builder, *every), 2, 3, "relu", 0.25))
    join(builder, *every)
    before = branch(builder, (builder.stream, builder.shape), 4, 3, "", 0)
    join(builder, before, branch(builder, every[0], 2, 1, "", 0))
    builder.norm(negative=True)
    builder.activation("relu", 0.5, 3)
    builder.flatten()
    builder.dense(4, per_channel=False, whole=False)
    return saved(builder, tmp_path, "dense-block")


def pre_activation(tmp_path, _):
    """Return two residual blocks whose sums are carried on, and normalised for the layers alone."""
    builder = Builder(np.random.default_rng(0), (1, 2, 5, 5), exact=True)
    builder.stream = builder.quant("images", 2.0**-5, 6)
    builder.convolution(4, per_channel=False, last=False)
    # the sums of the first layer are read twice, and quantised unlike
    first = builder.stream, builder.shape
    builder.activation("signed", 0.25, 4)
    carried = builder.stream
    builder.stream = first[0]
    for _ in range(2):
        builder.norm(negative=True)
        builder.activation("relu", 0.5, 3)
        added, _ = branch(builder, (builder.stream, builder.shape), 4, 3, "signed", 0.25)
        carried = builder.stream = builder.node("Add", [carried, added])
    builder.activation("relu", 0.5, 3)
    builder.flatten()
    builder.dense(4, per_channel=False, whole=False)
    return saved(builder, tmp_path, "pre-activation")


def sums_of_layers(tmp_path, _):
    """Return residual blocks with a batch norm in each branch, and quantisers behind sums alone.

    Layers read averages, and averages of sums are read twice.
    """
    builder = stem(size=5)

    def normed(source, kernel):
        branch(builder, source, 4, kernel, "", 0)
        builder.norm(negative=True)
        return builder.stream

    trunk = builder.stream, builder.shape
    builder.stream = builder.node("Add", [builder.stream, normed(trunk, 3)])
    builder.activation("relu", 0.5, 4)
    trunk = builder.stream, builder.shape
    window = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1] * 4, "count_include_pad": 1}
    averaged = builder.node("AveragePool", [trunk[0]], **window), trunk[1]
    # a layer that reads averages; what is carried on has a step for each channel as well
    builder.stream = builder.node("Add", [normed(trunk, 3), normed(averaged, 1)])
    builder.apply("AveragePool", kernel_shape=[3, 3], strides=[1, 1], pads=[0] * 4)
    carried, builder.shape = builder.stream, (1, 4, 3, 3)
    builder.activation("relu", 0.5, 4)
    builder.stream = builder.node("Add", [carried, normed((builder.stream, builder.shape), 3)])
    builder.apply("GlobalAveragePool")
    builder.flatten()
    builder.shape = (1, 4)
    builder.stream = builder.quant(builder.stream, 0.125, 5)
    # two heads
    heads = []
    values = builder.stream
    for _ in range(2):
        builder.stream, builder.shape = values, (1, 4)
        builder.dense(5, per_channel=True, whole=False)
        builder.bias("float", (5,))
        heads.append(builder.stream)
    builder.stream = builder.node("Sub", heads)
    return saved(builder, tmp_path, "sums-of-layers")


def enlarged(tmp_path, _):
    """Return a U of two levels, whose lower one is enlarged before and behind a quantiser."""
    builder = stem(size=6)
    trunk = builder.stream, builder.shape
    builder.apply("MaxPool", kernel_shape=[2, 2], strides=[2, 3], pads=[0, 0, 0, 1])
    builder.shape = (1, 4, 3, 2)
    branch(builder, (builder.stream, builder.shape), 4, 3, "", 0)
    lower = builder.stream
    builder.activation("relu", 0.5, 3)
    sizes = builder.constant([1, 1, 2, 3])
    quantised = builder.node("Resize", [builder.stream, "", sizes], mode="nearest")
    plain = builder.node("Resize", [lower, "", sizes], mode="nearest")
    builder.stream, builder.shape = builder.node("Add", [trunk[0], plain]), trunk[1]
    builder.activation("relu", 0.25, 3)
    join(builder, (builder.stream, trunk[1]), (quantised, trunk[1]))
    branch(builder, (builder.stream, builder.shape), 5, 1, "", 0)
    average(builder, "none")
    return saved(builder, tmp_path, "enlarged")


def particles(tmp_path, _):
    """Return a network that treats vectors alike, and averages them for the next layer as is."""
    builder = Builder(np.random.default_rng(0), (1, 6, 3), exact=True)
    builder.stream = builder.quant("images", 2.0**-5, 6)
    builder.apply("MatMul", builder.weights((3, 4), None, whole=False))
    builder.shape = (1, 6, 4)
    builder.bias("quantised", (4,))
    builder.apply("Relu")
    builder.stream = builder.quant(builder.stream, 0.125, 8, signed=0)
    builder.apply("ReduceMean", axes=[1], keepdims=0)
    builder.shape = (1, 4)
    builder.dense(4, per_channel=False, whole=False)
    return saved(builder, tmp_path, "particles")


def shuffled(tmp_path, _):
    """Return a channel shuffle behind groups, a depth-wise layer, and halves of the channels."""
    builder = stem()
    more = {"strides": [1, 1], "dilations": [1, 1]}
    builder.grouped(4, 2, [1, 1], [0] * 4, **more)
    builder.activation("thresholds", 0.25, 3)
    for shape in ([1, 2, 2, 6, 6], [1, 4, 6, 6]):
        builder.apply("Reshape", builder.constant(shape, np.int64))
        if len(shape) == 5:
            builder.apply("Transpose", perm=[0, 2, 1, 3, 4])
    builder.grouped(4, 4, [3, 3], [1] * 4, **more)
    builder.activation("signed", 0.125, 4)
    halves = [
        (builder.node("Gather", [builder.stream, builder.constant(one, np.int64)], axis=1),
         (1, 2, 6, 6))
        for one in ([0, 1], [2, 3])
    ]  # fmt: skip
    join(builder, halves[0], branch(builder, halves[1], 3, 1, "signed", 0.25))
    branch(builder, (builder.stream, builder.shape), 3, 3, "signed", 0.25)
    # the last pixel alone
    builder.apply("Gather", builder.constant(5, np.int64), axis=3)
    builder.apply("Gather", builder.constant(5, np.int64), axis=2)
    builder.shape = (1, 3)
    builder.dense(4, per_channel=False, whole=False)
    return saved(builder, tmp_path, "shuffled")


def excited(tmp_path, _):
    """Return squeeze-and-excite behind a SiLU, of images that a batch norm turns round before."""
    builder = Builder(np.random.default_rng(3), (1, 2, 6, 6), exact=True)
    builder.apply("Mul", builder.constant(np.array([-0.75, 0.5]).reshape(2, 1, 1)))
    builder.stream = builder.quant(builder.stream, 2.0**-5, 6)
    builder.convolution(4, per_channel=False, last=False)
    builder.norm(True)
    values = builder.stream
    builder.apply("Sigmoid")
    builder.stream = builder.quant(builder.node("Mul", [values, builder.stream]), 0.0625, 5)
    image, shape = builder.stream, builder.shape
    builder.apply("GlobalAveragePool")
    builder.flatten()
    builder.shape = (1, 4)
    builder.stream = builder.quant(builder.stream, 0.03125, 5)
    builder.dense(4, per_channel=True, whole=False)
    builder.apply("HardSigmoid", alpha=4.0, beta=0.5)
    builder.stream = builder.quant(builder.stream, 0.125, 3, signed=0)
    builder.apply("Reshape", builder.constant([1, 4, 1, 1], np.int64))
    builder.apply("Expand", builder.constant(shape, np.int64))
    builder.stream, builder.shape = builder.node("Mul", [builder.stream, image]), shape
    builder.stream = builder.quant(builder.stream, 0.03, 4)
    builder.flatten()
    builder.dense(5, per_channel=False, whole=False)
    return saved(builder, tmp_path, "excited")
