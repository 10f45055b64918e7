"""Label select in RTL against FINN's Python execution, ties included."""

import numpy as np
import pytest

from sim.runner import REPOSITORY
from tests.helpers.finn_execution import execute, operator
from tests.helpers.variants import STALLS, Variant, simulate

SOURCE = REPOSITORY / "hw" / "kernels" / "label_select.sv"


def finn_labels(values, k, tmp_path, **attributes):
    out = execute(
        "LabelSelect",
        values,
        (len(values), k),
        tmp_path / "finn",
        Labels=values.shape[1],
        PE=1,
        K=k,
        inputDataType="INT16",
        numInputVectors=[len(values)],
        **attributes,
    )
    return out.ravel().tolist()


def variant(values, pe, k, bits, signed, stalls=STALLS[:1], **parameters) -> Variant:
    job = {"beats": values.reshape(-1, pe).tolist(), "count": len(values) * k, "in_bits": bits}
    shape = {"LABELS": values.shape[1], "PE": pe, "K": k, "IN_WIDTH": bits, "IN_SIGNED": signed}
    return Variant(shape | parameters, [job | one for one in stalls])


def few_bits(labels, bits, signed):
    """Draw values, many of which tie."""
    low = -(1 << bits - 1) if signed else 0
    return np.random.default_rng(4).integers(low, low + (1 << bits), (40, labels))


SHAPES = [(10, 5, 1, 3, 1), (10, 2, 3, 4, 0), (12, 1, 12, 16, 1)]


def selecting(labels, bits, signed, tmp_path, **offsets):
    node = operator(
        "LabelSelect", ["in"], tmp_path / "finn", Labels=labels, PE=1, K=1,
        inputDataType=f"{'INT' if signed else 'UINT'}{bits}", numInputVectors=[40], **offsets,
    )  # fmt: skip
    from flow.compiler.operators.label_select import LabelSelect_rtl

    return LabelSelect_rtl(node.onnx_node)


OFFSETS = {
    "fractions": [0.25, -3.5, 2.75, 0.25, -1.0, 1.125, -0.875, 3.5, 0.0, -2.625],
    "whole": [1.0, -3.0, 2.0, 0.0, -1.0, 1.0, -8.0, 3.0, 0.0, -2.0],
    "float32's rounding": [n + 3e-6 * (-1) ** n for n in range(-5, 5)],
    "far beyond the values": [1000.5 * (n % 3) for n in range(10)],
}
GAINS = [8, 4, -2, 6, 16, 8, 1, -8, 4, 12]


def compared(node, signed) -> Variant:
    """Few bits with what a node adds to them, and multiplies them by."""
    names = ("SHIFT", "GAIN_WIDTH", "GAINS", "OFFSET_WIDTH", "OFFSETS")
    found = node.parameters()
    parameters = {one: found[one] for one in names if one in found}
    return variant(few_bits(10, 3, signed), 5, 1, 3, signed, **parameters)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("label_select")
    variants = {}
    for labels, pe, k, bits, signed in SHAPES:
        values = few_bits(labels, bits, signed)
        variants[labels, pe, k] = variant(values, pe, k, bits, signed, STALLS)
    for name, offsets in OFFSETS.items():
        for signed in (0, 1):
            node = selecting(10, 3, signed, folder, Offsets=offsets)
            variants[name, signed] = compared(node, signed)
    for signed in (0, 1):
        node = selecting(10, 3, signed, folder, Gains=GAINS, Offsets=OFFSETS["fractions"])
        variants["gains", signed] = compared(node, signed)
    return simulate("label_select", [SOURCE], "stream_bench", variants, folder)


@pytest.mark.slow
@pytest.mark.parametrize(("labels", "pe", "k", "bits", "signed"), SHAPES)
def test_equals_finn(labels, pe, k, bits, signed, results, tmp_path):
    values = few_bits(labels, bits, signed)
    expected = finn_labels(values, k, tmp_path)
    for stalls, found in zip(STALLS, results[labels, pe, k], strict=True):
        assert found == expected, stalls


@pytest.mark.slow
@pytest.mark.parametrize("name", OFFSETS)
@pytest.mark.parametrize("signed", [0, 1], ids=["unsigned", "signed"])
def test_offsets_of_the_classes_count_exactly(name, signed, results, tmp_path):
    """RTL and FINN's execution of ours give the label of value + offset, the lowest of equals."""
    values, offsets = few_bits(10, 3, signed), OFFSETS[name]
    wanted = (values + np.round(offsets, 4)).argmax(1).tolist()
    assert finn_labels(values, 1, tmp_path, Offsets=offsets) == wanted
    assert results[name, signed] == [wanted]


@pytest.mark.slow
@pytest.mark.parametrize("signed", [0, 1], ids=["unsigned", "signed"])
def test_gains_of_the_classes_count_exactly(signed, results, tmp_path):
    values, offsets = few_bits(10, 3, signed), OFFSETS["fractions"]
    wanted = (values * np.array(GAINS) + offsets).argmax(1).tolist()
    assert wanted != (values + np.array(offsets)).argmax(1).tolist()
    assert finn_labels(values, 1, tmp_path, Offsets=offsets, Gains=GAINS) == wanted
    assert results["gains", signed] == [wanted]


def test_offsets_change_nothing_of_a_node_without_them(tmp_path):
    node = selecting(10, 3, 1, tmp_path)
    assert node.comparison() == type(node.comparison())()


@pytest.mark.parametrize(
    ("gains", "wanted"),
    [
        ([0.75, -0.25, 0.5], [3, -1, 2]),
        ([0.3, 0.075, 0.15], [4, 1, 2]),
        ([-0.3], [-1]),
        ([0.7, 0.3, 0.2], [2**20, round(2**20 * 3 / 7), round(2**20 * 2 / 7)]),
    ],
)
def test_gains_of_few_bits_or_ratios_of_powers_of_two_are_exact(gains, wanted):
    from flow.compiler.operators.label_select import whole_gains

    found, unit = whole_gains(np.array(gains))
    np.testing.assert_allclose(found * unit, gains, rtol=2e-6)
    assert np.abs(found).max() <= 2**21
    assert found.tolist() == wanted or max(wanted) == 2**20
