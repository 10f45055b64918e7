"""The picture of the network as hardware, from made-up nodes."""

import re
from typing import Any

import pytest

from flow.report.html import environment
from flow.report.network_diagram import Box, Picture, operator, picture


def node(name: str, inputs: list[str], outputs: list[str], **more: Any) -> dict[str, Any]:
    kind = re.sub(r"_\d+$", "", name)
    widths = {"input_type": "INT4", "output_type": "INT9", "cycles": 1234}
    return {"name": name, "operator": kind, "inputs": inputs, "outputs": outputs} | widths | more


def summary() -> dict[str, Any]:
    """A residual block: one layer, a fork, a layer on one branch, nothing on the other, a sum."""
    nodes = [
        node("MVAU_rtl_0", ["global_in", "weights"], ["a"], PE=4, SIMD=8, weight_type="INT2",
             resType="lut"),
        node("StreamingDataWidthConverter_rtl_0", ["a"], ["b"]),
        node("NoiseTap_rtl_0", ["b"], ["c"], PE=4),
        node("DuplicateStreams_rtl_0", ["c"], ["d", "e"]),
        node("MVAU_rtl_1", ["d", "weights"], ["f"], PE=2, SIMD=8, weight_type="INT2",
             resType="lut"),
        node("NoiseTap_rtl_1", ["f"], ["g"], PE=2),
        node("StreamingFIFO_rtl_0", ["e"], ["h"], depth=32),
        node("AddStreams_rtl_0", ["g", "h"], ["i"]),
        node("NoiseTap_rtl_2", ["i"], ["global_out"]),
    ]  # fmt: skip
    taps = [{"name": f"conv{n}.acc", "node": f"NoiseTap_rtl_{n}"} for n in range(3)]
    return {
        "hardware": {"nodes": nodes, "taps": taps, "weights": []},
        "sites": {
            "conv0.acc": {"mu_sw": [2.0, 1.9, 2.1], "mu_golden": [8.0, 7.0, 9.0]},
            "conv1.acc": {"mu_sw": [None, 32.0, None], "mu_golden": None},
        },
    }


@pytest.fixture
def drawn() -> Picture:
    found = picture(summary())
    assert found is not None
    return found


def box(drawn: Picture, name: str) -> Box:
    return next(b for b in drawn.boxes if b.name == name)


def test_without_hardware_there_is_no_picture() -> None:
    assert picture({"sites": {}, "hardware": None}) is None


def test_converters_are_left_out_and_their_streams_joined(drawn: Picture) -> None:
    assert not any("Converter" in b.name for b in drawn.boxes)
    assert box(drawn, "NoiseTap_rtl_0").sources == ["MVAU_rtl_0"]
    assert box(drawn, "AddStreams_rtl_0").sources == ["NoiseTap_rtl_1", "StreamingFIFO_rtl_0"]
    assert box(drawn, "MVAU_rtl_0").lines[1:] == ["PE 4 · SIMD 8", "1,234 cycles", "INT4 → INT9"]
    assert operator({"operator": "AddStreams_rtl"}) == "add"


def test_every_wire_is_drawn_and_branches_go_around(drawn: Picture) -> None:
    assert len(drawn.edges) == sum(len(b.sources) for b in drawn.boxes) == 8
    detours = [path for path, around in drawn.edges if around]
    assert len(detours) == 2  # to the FIFO around the layer, and from the layer around the FIFO
    for path in detours:  # left of all boxes
        lane = min(float(x) for x in re.findall(r"H([\d.]+)", path))
        assert 0 < lane < min(b.x for b in drawn.boxes)
    assert len(set(detours)) == 2


def test_boxes_do_not_overlap_and_lie_within(drawn: Picture) -> None:
    for i, a in enumerate(drawn.boxes):
        assert a.x >= 0 and a.x + a.width <= drawn.width and a.y + a.height <= drawn.height
        for b in drawn.boxes[i + 1 :]:
            apart = a.x + a.width <= b.x or b.x + b.width <= a.x
            assert apart or a.y + a.height <= b.y or b.y + b.height <= a.y, (a.name, b.name)


def test_sites_are_coloured_by_their_midpoint_and_say_it(drawn: Picture) -> None:
    (name, (software, golden)) = box(drawn, "NoiseTap_rtl_0").sites[0]
    assert (name, software.text, golden.text) == ("conv0.acc", "software 2", "golden 8")
    assert software.fill == drawn.colours[0] and golden.fill == drawn.colours[4]  # 2 · 16^(1/2)
    assert software.ink == "#ffffff"
    (bound, none) = box(drawn, "NoiseTap_rtl_1").sites[0][1]
    assert (bound.text, none.text, none.fill) == ("software > 32", "golden –", "")
    assert bound.fill == drawn.colours[-1] and bound.ink == "#000000"
    assert box(drawn, "NoiseTap_rtl_2").sites[0][1][0].text == "no noise applied here"
    assert drawn.ends == ("2", "32")


def test_names_are_escaped() -> None:
    hostile = summary()
    hostile["hardware"]["taps"][0]["name"] = "<script>x</script>"
    template = environment().get_template("network.svg.j2")
    text = template.render(p=picture(hostile), caption="c")
    assert "<script" not in text and "&lt;script&gt;" in text
