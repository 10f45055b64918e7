"""The job of ``accelerator_bench``, stopped at the end of a waveform.

The environment variable ``WINDOW_END_NS`` is the end, in ns from the start of the simulation.
"""

import os

import cocotb
from cocotb.triggers import First, Timer

from sim.accelerator_bench import run_job


@cocotb.test()
async def up_to_the_end_of_the_window(dut) -> None:
    """Run the job up to the end of the window."""
    end = Timer(int(os.environ["WINDOW_END_NS"]), unit="ns")
    await First(cocotb.start_soon(run_job(dut)), end)
