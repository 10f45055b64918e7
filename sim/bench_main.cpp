// SPDX-License-Identifier: MIT
//
// The main loop around bench.sv with cocotb: cocotb's own, for Verilator, and the clock in it.
//
// cocotb's Clock costs a timed callback, its registration and a write through VPI an edge, a
// quarter of a simulation's time. Here an edge is an assignment, and cocotb is called where it asked
// to be: at a time, at a change of a signal that it waits for, or before and after the time step.

#include <algorithm>
#include <cstdint>

#include "Vtop.h"
#include "verilated.h"
#include "verilated_vpi.h"

extern "C" void vlog_startup_routines_bootstrap();

namespace {

constexpr std::uint64_t half_period = 1000;  // ps: half of CLOCK_NS of accelerator_bench.py

void call_value_callbacks() {
    while (VerilatedVpi::callValueCbs()) {
    }
}

// evaluates until cocotb has nothing more to write in this time step
void settle(Vtop& top) {
    do {
        do {
            top.eval_step();
            VerilatedVpi::clearEvalNeeded();
            VerilatedVpi::doInertialPuts();
            call_value_callbacks();
        } while (VerilatedVpi::evalNeeded());
        VerilatedVpi::callCbs(cbReadWriteSynch);
        VerilatedVpi::doInertialPuts();
        call_value_callbacks();
    } while (VerilatedVpi::evalNeeded());
    top.eval_end_step();
    VerilatedVpi::callCbs(cbReadOnlySynch);
}

}  // namespace

int main(int argc, char** argv) {
    Verilated::commandArgs(argc, argv);
    Verilated::fatalOnVpiError(false);
    Vtop top{""};
#if VM_TRACE
    Verilated::traceEverOn(true);
#endif
    vlog_startup_routines_bootstrap();
    VerilatedVpi::callCbs(cbStartOfSimulation);
    call_value_callbacks();

    std::uint64_t edge = half_period;
    while (!Verilated::gotFinish()) {
        settle(top);
        const std::uint64_t now = std::min(edge, VerilatedVpi::cbNextDeadline());
        Verilated::time(now);
        VerilatedVpi::callCbs(cbNextSimTime);
        VerilatedVpi::callTimedCbs();
        call_value_callbacks();
        if (now == edge) {
            top.clk = !top.clk;
            edge += half_period;
        }
    }
    top.final();
    VerilatedVpi::callCbs(cbEndOfSimulation);
    return Verilated::threadContextp()->errorCount() > 0;
}
