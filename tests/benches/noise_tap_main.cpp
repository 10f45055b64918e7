// SPDX-License-Identifier: MIT
//
// noise_tap in either simulator, under the same random stalls: reads writes.hex (site, address and
// data of each write) and beats.hex, and writes its outputs in each clock to clocks.txt. Settings
// are written as soon as those before them are taken, and the first before any beat.

#include <random>

#include "two_simulators.h"

int main() {
    const auto writes = words("writes.hex"), beats = words("beats.hex");
    std::ofstream clocks("clocks.txt");
    TOP(p_noise__tap) top;
    std::mt19937 random(1);
    std::size_t written = 0, beat = 0, taken = 0;
    bool begun = false, valid = false;
    // a digest comes some clocks behind the last beat
    for (int clock = 0, left = 20; left && clock < 20000; clock++) {
        const bool pending = clock >= 3 && OUT(cfg_pending, p_cfg__pending);
        const bool writing = clock >= 3 && !pending && written < writes.size();
        begun = begun || pending;
        // a beat that is offered stays until it is taken
        valid = beat < beats.size() && (valid || (begun && random() % 4));
        IN(rst_n, p_rst__n, clock >= 3);
        IN(cfg_valid, p_cfg__valid, writing);
        IN(cfg_site, p_cfg__site, writing ? writes[written] : 0);
        IN(cfg_addr, p_cfg__addr, writing ? writes[written + 1] : 0);
        IN(cfg_data, p_cfg__data, writing ? writes[written + 2] : 0);
        IN(s_axis_tvalid, p_s__axis__tvalid, valid);
        IN(s_axis_tdata, p_s__axis__tdata, valid ? beats[beat] : 0);
        IN(m_axis_tready, p_m__axis__tready, random() % 4 != 0);
        IN(clk, p_clk, 0);
        EVALUATE();
        if (clock >= 3) {
            const auto out = OUT(m_axis_tvalid, p_m__axis__tvalid);
            const auto moves = out && OUT(m_axis_tready, p_m__axis__tready);
            const auto hashed = OUT(digest_valid, p_digest__valid);
            clocks << OUT(s_axis_tready, p_s__axis__tready) << ' '
                   << OUT(cfg_late, p_cfg__late) << ' ' << moves << ' '
                   << (out ? OUT(m_axis_tdata, p_m__axis__tdata) : 0) << ' ' << hashed << ' '
                   << (hashed ? OUT(digest, p_digest) : 0) << '\n';
            if (writing) written += 3;
            if (valid && OUT(s_axis_tready, p_s__axis__tready)) {
                beat++;
                valid = false;
            }
            taken += moves;
            left -= taken == beats.size();
        }
        IN(clk, p_clk, 1);
        EVALUATE();
    }
}
