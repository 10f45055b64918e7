// SPDX-License-Identifier: MIT
//
// The bench of bench.sv in a bare C++ loop: no cocotb, no VPI callback. Runs the images of
// stream.hex through the accelerator and prints the seconds of the loop. It is what cocotb's
// speed is held against.
//
//   arguments: images in stream.hex, images to run

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "Vtop.h"
#include "verilated.h"

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: %s IMAGES_IN_FILE IMAGES_TO_RUN\n", argv[0]);
        return 2;
    }
    VerilatedContext context;
    Vtop top{&context};
    const auto half = [&](int level) {
        top.clk = level;
        top.eval();
        context.timeInc(1);
    };
    top.rst_n = 0;
    top.images = std::strtoul(argv[1], nullptr, 10);
    top.limit = std::strtoul(argv[2], nullptr, 10);
    half(0);
    top.load = 1;
    for (int i = 0; i < 8; i++) half(i & 1);
    top.rst_n = 1;
    const auto start = std::chrono::steady_clock::now();
    while (!top.done) {
        half(1);
        half(0);
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::printf("%.6f\n", seconds.count());
    top.final();
    return 0;
}
