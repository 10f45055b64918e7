// SPDX-License-Identifier: MIT
//
// Measures nodes of an accelerator that all stand alone in one model: first with none at work, then
// with one at a time. Prints the nanoseconds of a clock, one line a case; the least of many short
// runs, since other programs only ever make one slower.
//
//   argument: how many nodes

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "Vtop.h"
#include "verilated.h"

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s NODES\n", argv[0]);
        return 2;
    }
    constexpr int Runs = 300, Clocks = 400;
    VerilatedContext context;
    Vtop top{&context};
    const auto clocks = [&](int count) {
        for (int i = 0; i < count; i++) {
            top.ap_clk = 1;
            top.eval();
            top.ap_clk = 0;
            top.eval();
        }
    };
    top.ap_rst_n = 0;
    top.at_work = -1;
    clocks(8);
    top.ap_rst_n = 1;
    const int nodes = std::atoi(argv[1]);
    for (int node = -1; node < nodes; node++) {
        top.at_work = node;
        clocks(4 * Clocks);
        double least = 1e9;
        for (int run = 0; run < Runs; run++) {
            const auto start = std::chrono::steady_clock::now();
            clocks(Clocks);
            const std::chrono::duration<double, std::nano> spent =
                std::chrono::steady_clock::now() - start;
            least = std::min(least, spent.count() / Clocks);
        }
        std::printf("%.2f\n", least);
    }
    top.final();
    return 0;
}
