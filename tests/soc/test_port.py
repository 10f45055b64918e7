"""The accelerator's port in RTL: its registers against their model, and its parts by themselves."""

import pytest

from flow.soc import driver
from flow.soc.registers import description
from sim import runner
from sim.runner import REPOSITORY
from tests.benches import port_bench, soc_streams_bench

HW = REPOSITORY / "hw" / "soc"


@pytest.mark.slow
def test_registers_are_those_of_the_model_and_serve_the_driver(built, tmp_path):
    """Every register and hole, random accesses under stalls, interrupts, and the driver in C."""
    rtl = description.write_verilog(tmp_path, port_bench.TAPS, 1, port_bench.CLASSES)
    names = (
        "image_reader", "result_writer", "tap_registers", "run_control", "port_registers",
        "accelerator_port",
    )  # fmt: skip
    packed = sum(site << 8 * tap for tap, site in enumerate(port_bench.SITES))
    result = runner.run_sim(
        "accelerator_port",
        [*rtl, *(HW / f"{name}.sv" for name in names)],
        "tests.benches.port_bench",
        workdir=tmp_path,
        parameters={
            "TAPS": port_bench.TAPS,
            "SITES": f"{8 * port_bench.TAPS}'h{packed:x}",
            "BEATS": port_bench.BEATS,
            "CLASSES": port_bench.CLASSES,
            "MEMORY_BYTES": port_bench.MEMORY_BYTES,
        },
        env={"DRIVER": str(driver.build(built / "driver"))},
    )
    assert result.tests == 7


def test_what_is_generated_is_up_to_date():
    assert description.CLASS.read_text() == description.class_text()
    assert description.PAGE.read_text() == description.page_text()


@pytest.mark.slow
@pytest.mark.parametrize("size, beats", [(1, 5), (2, 3), (13, 2)])
def test_images_are_read_from_memory(size, beats, tmp_path):
    runner.run_sim(
        "image_reader",
        [HW / "image_reader.sv"],
        "tests.benches.soc_streams_bench",
        workdir=tmp_path,
        parameters={"BEAT_BITS": 8 * size, "BEATS": beats},
        env={"BEATS": str(beats), "BEAT_BYTES": str(size)},
    )


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [1, 3])
def test_results_are_written_to_memory(lanes, tmp_path):
    bits = soc_streams_bench.SCORE_BITS
    runner.run_sim(
        "result_writer",
        [HW / "result_writer.sv"],
        "tests.benches.soc_streams_bench",
        workdir=tmp_path,
        parameters={"CLASSES": soc_streams_bench.CLASSES, "PE": lanes, "SCORE_WIDTH": bits},
        env={"PE": str(lanes)},
    )
