// SPDX-License-Identifier: MIT
//
// What Verilator's FST writer calls of LZ4, so that liblz4 need not be installed. The block is
// valid and holds the data as it is: a window of a few hundred clocks does not need to be smaller.

#pragma once

#include <cstring>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

// One sequence of literals, without a match: token, further bytes of the length, the literals.
inline int LZ4_compress_default(const char* source, char* target, int size, int capacity) {
    if (capacity < LZ4_compressBound(size)) return 0;
    char* at = target;
    int rest = size - 15;
    *at++ = static_cast<char>((rest < 0 ? size : 15) << 4);
    if (rest >= 0) {
        for (; rest >= 255; rest -= 255) *at++ = static_cast<char>(255);
        *at++ = static_cast<char>(rest);
    }
    std::memcpy(at, source, size);
    return static_cast<int>(at - target) + size;
}
