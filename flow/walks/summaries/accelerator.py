"""The accelerator of a walk: its nodes, taps and weights."""

from flow.walks.summaries.base import Part


class Node(Part):
    """A node of the hardware; properties that it lacks are null."""

    name: str
    """Name"""
    operator: str
    """FINN's operator"""
    PE: int | None = None
    """Outputs computed in parallel"""
    SIMD: int | None = None
    """Inputs read in parallel"""
    resType: str | None = None
    """Where products are computed: lut or dsp"""
    depth: int | None = None
    """Depth of a FIFO, in beats"""
    weight_type: str | None = None
    """Type of the weights"""
    tiles: int | None = None
    """Tiles of the weights"""
    planes: int | None = None
    """Planes of the activations, each with a pass"""
    inputs: list[str]
    """Names of its input streams"""
    outputs: list[str]
    """Names of its output streams"""
    input_type: str
    """Type of the inputs"""
    output_type: str
    """Type of the outputs"""
    cycles: int
    """Clock cycles per image"""


class Tap(Part):
    """A noise tap of the hardware."""

    name: str
    """Name of the site"""
    node: str
    """Name of the node"""
    channels: int
    """Channels"""
    pixels: int
    """Pixels per image"""
    in_bits: int
    """Width of an input value, in bits"""
    out_bits: int
    """Width of an output value, in bits"""
    fraction_bits: int
    """Fractional bits of an output value"""


class Weights(Part):
    """Weights with noise."""

    name: str
    """Name of the site"""
    node: str
    """Name of the node"""
    shape: list[int]
    """Shape of the matrix"""
    low: int
    """Smallest weight"""
    high: int
    """Largest weight"""


class Hardware(Part):
    """The accelerator."""

    cycles_per_image: int
    """Clock cycles per image"""
    rows: int | None = None
    """Rows of a tile; null without tiles"""
    input_bits: int | None = None
    """Bits of the inputs of an analog array; null if equal to those of the activations"""
    nodes: list[Node]
    """Nodes in the order of the data"""
    taps: list[Tap]
    """Noise taps"""
    weights: list[Weights]
    """Weights with noise"""
