// SPDX-License-Identifier: MIT
//
// What Verilator's FST writer calls of zlib, so that zlib need not be installed. The writer keeps
// the original wherever what it was given back is not smaller; so it is given back the original.

#pragma once

#include <cstring>

using Bytef = unsigned char;
using uLong = unsigned long;
using uLongf = unsigned long;
constexpr int Z_OK = 0;

inline uLong compressBound(uLong size) { return size; }

inline int compress2(Bytef* target, uLongf* room, const Bytef* source, uLong size, int /*level*/) {
    std::memcpy(target, source, size);
    *room = size;
    return Z_OK;
}
