// The passes with AVX-512 VBMI and VNNI: one permutation gathers 4 taps of up to 16 sums, which three multiplications by
// the digits of their weights add up.
#ifndef STS_NET_CLIP_AVX512_H
#define STS_NET_CLIP_AVX512_H

#include "clip_avx2.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 sees both in its own AVX-512 header
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#define CLIP_AVX512_CODE \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")))

namespace clip::avx512 {

// Tables for rows of which `readable` bytes may be read; none are made where elements lie too far apart.
inline void make_tables(Columns &c, int readable) {
    const Axis &axis = *c.axis;
    const int n = c.channels == 1 ? 16 : 4, sets = axis.taps / 4;
    if (readable < 64) return;
    c.lots.resize(size_t(sets) * (padded(axis.size, 16) / n));
    c.bases.resize(c.lots.size());
    for (size_t lot = 0; lot < c.lots.size(); ++lot) {
        const int x0 = int(lot) / sets * n, set = int(lot) % sets;
        const auto begin = [&](int i) { return (axis.start[size_t(std::min(x0 + i, axis.size - 1))] + 4 * set); };
        int low = begin(0);
        for (int i = 1; i < n; ++i) low = std::min(low, begin(i));
        const int base = c.bases[lot] = std::min(low * c.pixel, readable - 64);
        for (int i = 0; i < n; ++i) {
            const int8_t *digits = &axis.digits[(size_t(std::min(x0 + i, axis.size - 1)) * sets + size_t(set)) * 12];
            for (int channel = 0; channel < c.channels; ++channel)
                for (int k = 0; k < 4; ++k) {
                    const bool counts = digits[k] || digits[4 + k] || digits[8 + k];
                    const int index = counts ? (begin(i) + k) * c.pixel + channel - base : 0, to = 4 * (channel * n + i) + k;
                    if (index < 0 || index > 63) return void(c.lots.clear());
                    c.lots[lot].index[to] = uint8_t(index);
                    for (int digit = 0; digit < 3; ++digit) c.lots[lot].digits[digit][to] = digits[4 * digit + k];
                }
        }
    }
    c.together = n;
}

struct Sums {
    __m512i digit[3];
};

CLIP_AVX512_CODE inline __m512i total(const Sums &s) {
    const __m512i upper = _mm512_add_epi32(_mm512_slli_epi32(s.digit[1], 8), _mm512_slli_epi32(s.digit[2], 16));
    return _mm512_srli_epi32(_mm512_add_epi32(s.digit[0], upper), PRECISION);
}

// Elements of 4 lots as bytes: of each channel 16 one after the other.
CLIP_AVX512_CODE inline __m512i bytes_of(const __m512i *totals) {
    return _mm512_packus_epi16(_mm512_packs_epi32(totals[0], totals[1]), _mm512_packs_epi32(totals[2], totals[3]));
}

// The elements of one lot in each of 4 rows, as 32 bits.
CLIP_AVX512_CODE inline void add_up(const Lot *lots, const int32_t *bases, size_t sets, const uint8_t *const *rows,
                                    __m512i *totals) {
    const __m512i zero = _mm512_setzero_si512(), half = _mm512_set1_epi32(1 << (PRECISION - 1));
    Sums s[4] = {{{half, zero, zero}}, {{half, zero, zero}}, {{half, zero, zero}}, {{half, zero, zero}}};
    for (size_t set = 0; set < sets; ++set) {
        const __m512i index = _mm512_load_si512(lots[set].index);
        const __m512i weights[3] = {_mm512_load_si512(lots[set].digits[0]), _mm512_load_si512(lots[set].digits[1]),
                                    _mm512_load_si512(lots[set].digits[2])};
        for (int i = 0; i < 4; ++i) {
            const __m512i p = _mm512_permutexvar_epi8(index, _mm512_loadu_si512(rows[i] + bases[set]));
            for (int digit = 0; digit < 3; ++digit)
                s[i].digit[digit] = _mm512_dpbusd_epi32(s[i].digit[digit], p, weights[digit]);
        }
    }
    for (int i = 0; i < 4; ++i) totals[i] = total(s[i]);
}

// 16 elements of one channel per lot.
CLIP_AVX512_CODE inline void along_grey(const Columns &c, size_t sets, const uint8_t *const *rows, uint8_t *out) {
    for (size_t lot = 0; lot < c.lots.size(); lot += sets, out += 16) {
        __m512i totals[4];
        add_up(&c.lots[lot], &c.bases[lot], sets, rows, totals);
        for (int i = 0; i < 4; ++i)
            _mm_storeu_si128(reinterpret_cast<__m128i *>(out + ptrdiff_t(i) * c.stride),
                             _mm512_cvtusepi32_epi8(totals[i]));
    }
}

// 4 elements of up to 4 channels per lot; there is a multiple of 4 lots.
CLIP_AVX512_CODE inline void along_colour(const Columns &c, size_t sets, const uint8_t *const *rows, uint8_t *out) {
    for (size_t lot = 0; lot < c.lots.size(); lot += 4 * sets, out += 16) {
        __m512i totals[4][4];
        for (size_t k = 0; k < 4; ++k) {
            __m512i by_row[4];
            add_up(&c.lots[lot + k * sets], &c.bases[lot + k * sets], sets, rows, by_row);
            for (int i = 0; i < 4; ++i) totals[i][k] = by_row[i];
        }
        for (int i = 0; i < 4; ++i) {
            const __m512i bytes = bytes_of(totals[i]);
            __m128i *to = reinterpret_cast<__m128i *>(out + ptrdiff_t(i) * c.stride);
            const ptrdiff_t step = c.pitch / 16;
            _mm_storeu_si128(to, _mm512_castsi512_si128(bytes));
            _mm_storeu_si128(to + step, _mm512_extracti32x4_epi32(bytes, 1));
            if (c.channels > 2) _mm_storeu_si128(to + 2 * step, _mm512_extracti32x4_epi32(bytes, 2));
        }
    }
}

CLIP_AVX512_CODE inline void along_rows(const Columns &c, const uint8_t *const *rows, int count, uint8_t *out) {
    if (!c.together) return avx2::along_rows(c, rows, count, out);
    const size_t sets = size_t(c.axis->taps) / 4;
    for (int i = 0; i < count; i += 4) {
        const uint8_t *four[4];
        for (int k = 0; k < 4; ++k) four[k] = rows[std::min(i + k, count - 1)];
        (c.together == 16 ? along_grey : along_colour)(c, sets, four, out + ptrdiff_t(i) * c.stride);
    }
}

// 64 bytes of a row.
CLIP_AVX512_CODE inline __m512i down_bytes(const int8_t *digits, int sets, const uint8_t *p, ptrdiff_t stride) {
    const __m512i zero = _mm512_setzero_si512(), half = _mm512_set1_epi32(1 << (PRECISION - 1));
    Sums s[4] = {{{half, zero, zero}}, {{half, zero, zero}}, {{half, zero, zero}}, {{half, zero, zero}}};
    for (int set = 0; set < sets; ++set, p += 4 * stride, digits += 12) {
        const __m512i a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(p + stride);
        const __m512i c = _mm512_loadu_si512(p + 2 * stride), d = _mm512_loadu_si512(p + 3 * stride);
        const __m512i ab = _mm512_unpacklo_epi8(a, b), cd = _mm512_unpacklo_epi8(c, d);
        const __m512i ef = _mm512_unpackhi_epi8(a, b), gh = _mm512_unpackhi_epi8(c, d);
        const __m512i quads[4] = {_mm512_unpacklo_epi16(ab, cd), _mm512_unpackhi_epi16(ab, cd),
                                  _mm512_unpacklo_epi16(ef, gh), _mm512_unpackhi_epi16(ef, gh)};
        for (int digit = 0; digit < 3; ++digit) {
            int32_t four;
            std::memcpy(&four, digits + 4 * digit, 4);
            const __m512i weights = _mm512_set1_epi32(four);
            for (int i = 0; i < 4; ++i) s[i].digit[digit] = _mm512_dpbusd_epi32(s[i].digit[digit], quads[i], weights);
        }
    }
    const __m512i totals[4] = {total(s[0]), total(s[1]), total(s[2]), total(s[3])};
    return bytes_of(totals);
}

CLIP_AVX512_CODE inline void down_columns(const Axis &axis, int y, const uint8_t *rows, int stride, uint8_t *out) {
    const uint8_t *first = rows + ptrdiff_t(axis.start[size_t(y)]) * stride;
    const int8_t *digits = &axis.digits[size_t(y) * axis.taps * 3];
    for (int x = 0; x < stride; x += 64) {
        const int place = std::min(x, stride - 64);
        _mm512_storeu_si512(out + place, down_bytes(digits, axis.taps / 4, first + place, stride));
    }
}

}  // namespace clip::avx512

#endif
