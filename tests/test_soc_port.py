"""The accelerator's port in RTL: its registers against their model, and its parts by themselves."""

import pytest

from flow.soc import driver, registers
from sim import port_bench, runner
from sim.runner import REPOSITORY

HW = REPOSITORY / "hw" / "soc"


@pytest.mark.slow
def test_registers_are_those_of_the_model_and_serve_the_driver(built, tmp_path):
    """Every register and hole, random accesses under stalls, interrupts, and the driver in C."""
    rtl = registers.write_verilog(tmp_path, port_bench.TAPS, 1, port_bench.CLASSES)
    names = ("image_reader", "result_writer", "tap_bus", "accelerator_port")
    packed = sum(site << 8 * tap for tap, site in enumerate(port_bench.SITES))
    result = runner.run_sim(
        "accelerator_port",
        [*rtl, *(HW / f"{name}.sv" for name in names)],
        "sim.port_bench",
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
    assert result.tests == 4


def test_what_is_generated_is_up_to_date():
    assert registers.CLASS.read_text() == registers.class_text()
    assert registers.PAGE.read_text() == registers.page_text()
