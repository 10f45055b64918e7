// SPDX-License-Identifier: MIT
//
// An accelerator in Yosys' simulator, with random stalls on both sides: reads stream.hex (a beat a
// line) and settings.txt (site, address and data of each write, then the number of images), and
// writes results.txt as sim/bench.sv does.

#include <cstdint>
#include <fstream>
#include <random>
#include <vector>

#include "design.h"

int main() {
    std::vector<std::uint32_t> beats, writes;
    std::ifstream stream("stream.hex"), settings("settings.txt");
    stream >> std::hex;
    for (std::uint32_t beat; stream >> beat;) beats.push_back(beat);
    for (std::uint32_t number; settings >> number;) writes.push_back(number);
    const std::uint32_t images = writes.back();
    std::ofstream results("results.txt");

    cxxrtl_design::p_accelerator top;
    std::mt19937 random(1);
    std::size_t next = 0, written = 0;
    std::uint32_t labels = 0, digests = 0;
    // a digest comes some clocks behind the last beat of its image
    const auto done = [&] { return labels == images && digests == images * TAPS; };
    bool offering = false;
    for (std::uint64_t clock = 0; !done() && clock < 200 * beats.size() + 20000; clock++) {
        top.p_ap__rst__n.set<bool>(clock >= 4);
        const bool writing = clock >= 8 && written + 3 <= writes.size();
        top.p_cfg__valid.set<bool>(writing);
        if (writing) {
            top.p_cfg__site.set(writes[written]);
            top.p_cfg__addr.set(writes[written + 1]);
            top.p_cfg__data.set(writes[written + 2]);
            written += 3;
        }
        const bool ready_to_start = !writing && clock > 64 && top.p_cfg__pending.is_zero();
        // a beat that is offered stays until it is taken
        offering = next < beats.size() && (offering || (ready_to_start && random() % 4));
        top.p_in0__V__TVALID.set<bool>(offering);
        top.p_in0__V__TDATA.set(offering ? beats[next] : 0);
        top.p_out0__V__TREADY.set<bool>(random() % 4);
        top.p_ap__clk.set<bool>(false);
        top.step();
        const bool taken = offering && top.p_in0__V__TREADY;
        if (clock >= 4 && top.p_out0__V__TVALID && top.p_out0__V__TREADY) {
            results << "l " << top.p_out0__V__TDATA.get<std::uint32_t>() << '\n';
            labels++;
        }
        if (clock >= 4 && top.p_scores__valid) {
            results << "s " << std::hex << top.p_scores__data.data[0] << std::dec << '\n';
        }
        for (std::uint32_t t = 0; clock >= 4 && t < TAPS; t++) {
            if (!top.p_digest__valid.bit(t)) continue;
            results << "d " << t << ' ' << top.p_digest.data[t] << '\n';
            digests++;
        }
        top.p_ap__clk.set<bool>(true);
        top.step();
        if (taken) {
            next++;
            offering = false;
        }
    }
    return done() ? 0 : 1;
}
