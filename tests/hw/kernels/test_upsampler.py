"""The upsampler in RTL against the Python execution of its operator, over random images."""

from pathlib import Path

import numpy as np
import pytest
from qonnx.core.datatype import DataType

from sim import streams
from sim.runner import REPOSITORY
from tests.helpers.finn_execution import operator
from tests.helpers.variants import STALLS, Variant, simulate

SOURCE = REPOSITORY / "hw" / "kernels" / "upsampler.sv"
# input's rows and columns, times of each, beats of a pixel, lanes, type
CASES = [
    ((3, 2), (2, 3), 2, 3, "UINT3"),
    ((2, 4), (3, 1), 3, 1, "INT5"),
    ((2, 1), (1, 2), 1, 2, "INT9"),
    ((1, 3), (2, 2), 1, 4, "UINT1"),
]


def case(place: int, folder: Path):
    """Return the parameters, and two random images before and behind the operator."""
    (height, width), (rows, columns), folds, lanes, name = CASES[place]
    datatype, channels = DataType[name], folds * lanes
    low, high = int(datatype.min()), int(datatype.max())
    images = np.random.default_rng(place).integers(low, high + 1, (2, height, width, channels))
    node = operator(
        "UpsampleNearestNeighbour", ["in"], folder, SIMD=lanes, HI=height, WI=width,
        HO=rows * height, WO=columns * width, NumChannels=channels, inputDataType=name,
    )  # fmt: skip
    from flow.compiler.operators.upsample import UpsampleNearestNeighbour_rtl

    context = {"in": images.astype(np.float32)}
    node.execute_node(context, None)
    parameters = UpsampleNearestNeighbour_rtl(node.onnx_node).parameters()
    return parameters, images, context["out"].astype(np.int64)


def variant(place: int, folder: Path) -> Variant:
    *_, lanes, name = CASES[place]
    parameters, images, larger = case(place, folder)
    job = {
        "beats": images.reshape(-1, lanes).tolist(),
        "count": larger.size // lanes,
        "in_bits": DataType[name].bitwidth(),
    }
    return Variant(parameters, [job | stalls for stalls in STALLS])


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("upsampler")
    variants = {place: variant(place, folder) for place in range(len(CASES))}
    return simulate("upsampler", [SOURCE], "stream_bench", variants, folder)


@pytest.mark.slow
@pytest.mark.parametrize("place", range(len(CASES)))
def test_equals_its_operator(place, results, tmp_path):
    *_, lanes, name = CASES[place]
    _, _, larger = case(place, tmp_path)
    datatype = DataType[name]
    for stalls, out in zip(STALLS, results[place], strict=True):
        beats = [streams.unpack(b, lanes, datatype.bitwidth(), datatype.signed()) for b in out]
        assert np.array_equal(np.array(beats).reshape(larger.shape), larger), stalls
