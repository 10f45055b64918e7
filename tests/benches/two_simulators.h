// SPDX-License-Identifier: MIT
//
// A module in Verilator, or with CXXRTL defined in Yosys' simulator, under one bench: TOP is its
// class there, and IN and OUT name each port twice, as either writes it.

#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#ifdef CXXRTL
#include "design.h"
#define TOP(cxx) cxxrtl_design::cxx
#define IN(name, cxx, value) top.cxx.set<std::uint32_t>(value)
#define OUT(name, cxx) top.cxx.get<std::uint32_t>()
#define EVALUATE() top.step()
#else
#include "Vtop.h"
#include "verilated.h"
#define TOP(cxx) Vtop
#define IN(name, cxx, value) top.name = (value)
#define OUT(name, cxx) static_cast<std::uint32_t>(top.name)
#define EVALUATE() top.eval()
double sc_time_stamp() { return 0; }
#endif

// the hexadecimal words of a file
inline std::vector<std::uint32_t> words(const std::string& name) {
    std::ifstream file(name);
    std::vector<std::uint32_t> found;
    file >> std::hex;
    for (std::uint32_t word; file >> word;) found.push_back(word);
    return found;
}
