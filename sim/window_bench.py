"""The job of ``accelerator_bench`` up to a point in time, at which a waveform ends.

``WINDOW_END_NS`` in the environment is that time, in ns from the start of the simulation.
"""

import os

import cocotb
from cocotb.triggers import First, Timer

from sim.accelerator_bench import run_job


@cocotb.test()
async def up_to_the_end_of_the_window(dut) -> None:
    """Run the job, or as much of it as there is time for."""
    end = Timer(int(os.environ["WINDOW_END_NS"]), unit="ns")
    await First(cocotb.start_soon(run_job(dut)), end)
