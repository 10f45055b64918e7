// SPDX-License-Identifier: MIT
//
// $countones by the processor's own instruction, in place of the ten operations of Verilator's
// header: the compiler does not see through those. Included behind verilated.h.

#pragma once

static inline IData nw_countones_w(int words, WDataInP const value) {
    IData count = 0;
    for (int i = 0; i < words; ++i) count += __builtin_popcount(value[i]);
    return count;
}

#define VL_COUNTONES_I(value) static_cast<IData>(__builtin_popcount(value))
#define VL_COUNTONES_Q(value) static_cast<IData>(__builtin_popcountll(value))
#define VL_COUNTONES_W(words, value) nw_countones_w(words, value)
