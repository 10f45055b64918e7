// SPDX-License-Identifier: MIT
//
// Random words, samples and the noise tap, as philox.py, gaussian.py and hardware/fixed_point.py
// compute them: the same integers, bit for bit.
//
// Blocks of four words are encrypted side by side in vectors of 64-bit lanes. A lane holds a word in
// its low half; a product ignores the high half, so nothing is masked before the end. A tile of
// words stays in the first-level cache until it has become samples.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace {

using i32 = std::int32_t;
using i64 = std::int64_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

#ifdef __AVX512F__
constexpr int vector_bytes = 64;
#else
constexpr int vector_bytes = 32;
#endif
typedef u64 Lanes __attribute__((vector_size(vector_bytes)));
typedef i64 SignedLanes __attribute__((vector_size(vector_bytes)));
constexpr int lanes = vector_bytes / sizeof(u64);
constexpr int abreast = 4;  // vectors, to hide the latency of a product
constexpr int tile = 64;    // blocks
static_assert(tile % (lanes * abreast) == 0);

constexpr u64 low_word = 0xFFFFFFFF;

// product of the low halves; compilers do not find the instruction by themselves
inline Lanes product(Lanes a, u64 b) {
#if defined(__AVX512F__)
    return (Lanes)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64((i64)b));
#elif defined(__AVX2__)
    return (Lanes)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x((i64)b));
#else
    return (a & low_word) * b;
#endif
}

struct Key {
    u64 seed;
    u32 place;  // site · 2^16 + draw
};

// ten rounds of Philox4x32
inline void encrypt(Lanes* c0, Lanes* c1, Lanes* c2, Lanes* c3, u64 seed) {
    u32 k0 = (u32)seed, k1 = (u32)(seed >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
#pragma GCC unroll 4
        for (int v = 0; v < abreast; ++v) {
            Lanes p0 = product(c0[v], 0xD2511F53), p1 = product(c2[v], 0xCD9E8D57);
            c0[v] = (p1 >> 32) ^ (c1[v] ^ (u64)k0);
            c2[v] = (p0 >> 32) ^ (c3[v] ^ (u64)k1);
            c1[v] = p1;
            c3[v] = p0;
        }
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
}

// the counters of successive blocks, image by image
class Blocks {
  public:
    Blocks(u32 first_image, u64 blocks)
        : count(blocks), rest(step % blocks), images(step / blocks) {
        for (u64 n = 0; n < step; ++n) {
            block[n / lanes][n % lanes] = n % blocks;
            image[n / lanes][n % lanes] = first_image + n / blocks;
        }
    }

    // pairs of words of the next `tile` blocks: 0 and 1, then 2 and 3 of each
    void next(Key key, u64* pairs) {
        u64 first[tile], second[tile];
        for (int at = 0; at < tile; at += step) {
            Lanes c0[abreast], c1[abreast], c2[abreast], c3[abreast];
            for (int v = 0; v < abreast; ++v) {
                c0[v] = block[v];
                c1[v] = image[v];
                c2[v] = Lanes{} + key.place;
                c3[v] = Lanes{};
                block[v] += rest;
                Lanes over = (Lanes)((SignedLanes)block[v] >= (SignedLanes)(Lanes{} + count));
                block[v] -= over & count;
                image[v] += images - over;  // a true lane is −1
            }
            encrypt(c0, c1, c2, c3, key.seed);
            for (int v = 0; v < abreast; ++v) {
                Lanes a = (c0[v] & low_word) | c1[v] << 32, b = (c2[v] & low_word) | c3[v] << 32;
                std::memcpy(first + at + v * lanes, &a, sizeof a);
                std::memcpy(second + at + v * lanes, &b, sizeof b);
            }
        }
        for (int n = 0; n < tile; ++n) {
            pairs[2 * n] = first[n];
            pairs[2 * n + 1] = second[n];
        }
    }

  private:
    static constexpr u64 step = lanes * abreast;
    u64 count, rest, images;
    Lanes block[abreast], image[abreast];
};

struct Table {
    const i32* entries;  // base + half, and fall, of each segment by m ascending
    i32 lower;           // entries before those of the lower half; 0 if both are the same
};

// samples of a tile of words
inline void sample(const u32* __restrict words, Table table, i32* __restrict samples) {
    const i32* __restrict entries = table.entries;
    for (int n = 0; n < 4 * tile; ++n) {
        i32 sign = (i32)words[n] >> 31;
        u32 m = words[n] & 0x7FFFFFFF;
        // octave, segment and t are 20 bits from the leading one; the cleared bit behind them
        // keeps float32 from rounding into them
        float rounded = (float)(i32)(m & ~(m >> 20));
        i32 bits;
        std::memcpy(&bits, &rounded, sizeof bits);
        i32 place = std::max((bits >> 19) - ((127 << 4) - 1), 0) + (sign & table.lower);
        i32 base = entries[2 * place], fall = entries[2 * place + 1];
        i32 t = bits >> 4 & 0x7FFF;
        // fall · t >> 15 in two products of 30 bits
        i32 fallen = ((fall >> 5) * t + ((fall & 31) * t >> 5)) >> 10;
        i32 z = (base - fallen) >> 4;
        samples[n] = (z ^ sign) - sign;
    }
}

// converts the words of images · elements in tiles; `out` is [images, elements]
template <class Convert>
void draw(Key key, u32 first_image, u64 images, u64 elements, i32* out, Convert convert) {
    const u64 blocks = (elements + 3) / 4, total = blocks * images;
    if (total == 0) {
        return;
    }
    Blocks counters(first_image, blocks);
    for (u64 at = 0; at < total; at += tile) {
        u64 pairs[2 * tile];
        u32 words[4 * tile];
        counters.next(key, pairs);
        std::memcpy(words, pairs, sizeof words);
        if (elements % 4 == 0 && at + tile <= total) {
            convert(words, out + 4 * at);
            continue;
        }
        i32 converted[4 * tile];
        convert(words, converted);
        for (u64 n = at; n < std::min(at + tile, total); ++n) {
            u64 element = 4 * (n % blocks), count = std::min<u64>(4, elements - element);
            std::memcpy(out + n / blocks * elements + element, converted + 4 * (n - at), 4 * count);
        }
    }
}

// v · 2^-shift, halves up
inline i64 rounded(i64 v, i64 shift) { return (v + (shift ? (i64)1 << (shift - 1) : 0)) >> shift; }

// a · b · 2^-28, halves up: the product may need 83 bits
inline i64 rounded_product(i64 a, i64 b) {
    i64 low = b & ((1 << 20) - 1), high = b >> 20;
    return (a * high + ((a * low + (1 << 27)) >> 20)) >> 8;
}

// a value at the site as an integer: float32 holds whole numbers up to 2^24
inline i64 whole(float v) { return (i32)v; }
inline i64 whole(i64 v) { return v; }
inline void put(float& out, i64 v) { out = (float)(i32)v; }
inline void put(i64& out, i64 v) { out = v; }

struct Tap {
    i64 frac, sigma_mul, sigma_add, add_first;
    i64 add_shift;  // of σₐ z₂
    i64 shift;  // bits that the output is rounded by
    i64 low, high;
    i64 bipolar;  // whether the output is `low` or `high` and nothing between
    i64 adc_bits, adc_step, adc_unsigned;  // of a converter; without one, no bits
};

// code · s of the converter, for v with its offset
inline i64 converted(i64 v, const Tap& t) {
    if (t.adc_bits == 1 && !t.adc_unsigned) {
        return v < 0 ? -(t.adc_step / 2) : t.adc_step / 2;
    }
    i64 least = t.adc_unsigned ? 0 : -((i64)1 << (t.adc_bits - 1));
    i64 most = least + ((i64)1 << t.adc_bits) - 1;
    i64 above = 2 * v + t.adc_step, code = above / (2 * t.adc_step);
    code -= above < code * 2 * t.adc_step;  // division rounds to 0
    return std::min(std::max(code, least), most) * t.adc_step;
}

template <bool multiplies, bool adds, bool converts, class Value>
void tap(const Value* __restrict acc, Value* __restrict out, u64 count, const i64* __restrict offset,
         const i32* __restrict z1, const i32* __restrict z2, Tap t) {
    for (u64 n = 0; n < count; ++n) {
        i64 clean = whole(acc[n]) << t.frac, noisy = clean;
        if (adds) {
            noisy += rounded(t.sigma_add * z2[n], t.add_shift);
        }
        if (multiplies) {
            i64 base = (t.add_first ? noisy : clean) + offset[n];
            noisy += rounded_product(base, t.sigma_mul * z1[n]);
        }
        if (converts) {
            noisy = converted(noisy + offset[n], t) - offset[n];
        }
        i64 clipped = std::min(std::max(rounded(noisy, t.shift), t.low), t.high);
        put(out[n], t.bipolar ? (noisy < 0 ? t.low : t.high) : clipped);
    }
}

template <bool converts, class Value>
auto work_of(bool multiplies, bool adds) {
    return multiplies ? (adds ? tap<true, true, converts, Value> : tap<true, false, converts, Value>)
                      : (adds ? tap<false, true, converts, Value>
                              : tap<false, false, converts, Value>);
}

// consecutive elements, whose offsets repeat with a period, and samples too if `fixed`
template <class Value>
void tap(const Value* acc, Value* out, u64 count, const i64* offset, u64 period, const i32* z1,
         const i32* z2, bool fixed, const Tap& t) {
    auto work = t.adc_bits ? work_of<true, Value>(z1, z2) : work_of<false, Value>(z1, z2);
    for (u64 at = 0; at < count; at += period) {
        u64 skip = fixed ? 0 : at;
        work(acc + at, out + at, std::min(period, count - at), offset, z1 ? z1 + skip : z1,
             z2 ? z2 + skip : z2, t);
    }
}

}  // namespace

extern "C" {

void words(u64 seed, u32 place, u32 first_image, u64 images, u64 elements, i32* out) {
    draw({seed, place}, first_image, images, elements, out, [](const u32* from, i32* to) {
        std::memcpy(to, from, 4 * tile * sizeof *to);
    });
}

void samples(u64 seed, u32 place, u32 first_image, u64 images, u64 elements, const i32* entries,
             i32 lower, i32* out) {
    Table table{entries, lower};
    draw({seed, place}, first_image, images, elements, out,
         [table](const u32* from, i32* to) { sample(from, table, to); });
}

void tap_floats(const float* acc, float* out, u64 count, const i64* offset, u64 period,
                const i32* z1, const i32* z2, i32 fixed, const Tap* t) {
    tap(acc, out, count, offset, period, z1, z2, fixed, *t);
}

void tap_integers(const i64* acc, i64* out, u64 count, const i64* offset, u64 period,
                  const i32* z1, const i32* z2, i32 fixed, const Tap* t) {
    tap(acc, out, count, offset, period, z1, z2, fixed, *t);
}

}  // extern "C"
