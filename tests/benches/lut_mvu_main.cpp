// SPDX-License-Identifier: MIT
//
// lut_mvu in either simulator, under the same random stalls: reads weights.hex (the words of its
// memory, repeated) and vectors.hex (beats), and writes its outputs in each clock to clocks.txt.

#include <random>

#include "two_simulators.h"

int main() {
    const auto weights = words("weights.hex"), beats = words("vectors.hex");
    std::ofstream clocks("clocks.txt");
    TOP(p_lut__mvu) top;
    std::mt19937 random(1);
    std::size_t weight = 0, beat = 0;
    bool weights_valid = false, valid = false;
    for (int clock = 0; clock < 1000; clock++) {
        // a beat that is offered stays until it is taken
        weights_valid = weights_valid || random() % 4;
        valid = beat < beats.size() && (valid || random() % 4);
        IN(rst_n, p_rst__n, clock >= 3);
        IN(weights_tvalid, p_weights__tvalid, weights_valid);
        IN(weights_tdata, p_weights__tdata, weights[weight % weights.size()]);
        IN(s_axis_tvalid, p_s__axis__tvalid, valid);
        IN(s_axis_tdata, p_s__axis__tdata, valid ? beats[beat] : 0);
        IN(m_axis_tready, p_m__axis__tready, random() % 2);
        IN(clk, p_clk, 0);
        EVALUATE();
        if (clock >= 3) {
            const auto taken = OUT(m_axis_tvalid, p_m__axis__tvalid);
            clocks << OUT(weights_tready, p_weights__tready) << ' '
                   << OUT(s_axis_tready, p_s__axis__tready) << ' ' << taken << ' '
                   << OUT(m_axis_tready, p_m__axis__tready) << ' '
                   << (taken ? OUT(m_axis_tdata, p_m__axis__tdata) : 0) << '\n';
            if (weights_valid && OUT(weights_tready, p_weights__tready)) {
                weight++;
                weights_valid = false;
            }
            if (valid && OUT(s_axis_tready, p_s__axis__tready)) {
                beat++;
                valid = false;
            }
        }
        IN(clk, p_clk, 1);
        EVALUATE();
    }
}
