// The passes with AVX2: two bytes at a time are multiplied by both halves of their weights.
#ifndef STS_NET_CLIP_AVX2_H
#define STS_NET_CLIP_AVX2_H

#include <immintrin.h>

#include "clip_passes.h"

#define CLIP_AVX2_CODE __attribute__((target("avx2")))

namespace clip::avx2 {

// Where the 4 channels of two rows of pixels go.
struct Targets {
    uint8_t *channel[2][4];
};

// 4 taps of one element in both rows, added to its sums.
CLIP_AVX2_CODE inline void add_taps(const uint8_t *a, const uint8_t *b, const int32_t *low, const int32_t *high,
                                    __m256i &low_sum, __m256i &high_sum) {
    const __m256i front = _mm256_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1,  //
                                           0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1);
    const __m256i back = _mm256_add_epi8(front, _mm256_set1_epi16(8));
    const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i *>(a));
    const __m128i second = _mm_loadu_si128(reinterpret_cast<const __m128i *>(b));
    const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1);
    const __m256i p = _mm256_shuffle_epi8(both, front), q = _mm256_shuffle_epi8(both, back);
    low_sum = _mm256_add_epi32(low_sum, _mm256_add_epi32(_mm256_madd_epi16(p, _mm256_set1_epi32(low[0])),
                                                         _mm256_madd_epi16(q, _mm256_set1_epi32(low[1]))));
    high_sum = _mm256_add_epi32(high_sum, _mm256_add_epi32(_mm256_madd_epi16(p, _mm256_set1_epi32(high[0])),
                                                           _mm256_madd_epi16(q, _mm256_set1_epi32(high[1]))));
}

CLIP_AVX2_CODE inline __m256i element(const Axis &axis, int x, const uint8_t *a, const uint8_t *b) {
    const ptrdiff_t place = ptrdiff_t(axis.start[size_t(x)]) * 4;
    const int32_t *low = &axis.low[size_t(x) * axis.taps / 2], *high = &axis.high[size_t(x) * axis.taps / 2];
    __m256i low_sum = _mm256_set1_epi32(1 << (PRECISION - 1)), high_sum = _mm256_setzero_si256();
    for (int k = 0; k < axis.taps; k += 4)
        add_taps(a + place + 4 * k, b + place + 4 * k, low + k / 2, high + k / 2, low_sum, high_sum);
    return _mm256_srli_epi32(_mm256_add_epi32(low_sum, _mm256_slli_epi32(high_sum, LOW_BITS)), PRECISION);
}

// Two rows of pixels of 4 bytes, which may be read some bytes beyond their ends.
CLIP_AVX2_CODE inline void along_two(const Columns &c, const uint8_t *a, const uint8_t *b, const Targets &to,
                                     int channels) {
    const __m256i by_channel = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,  //
                                                0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const int last = c.axis->size - 1;
    for (int x = 0; x <= last; x += 4) {
        __m256i e[4];
        for (int i = 0; i < 4; ++i) e[i] = element(*c.axis, std::min(x + i, last), a, b);
        const __m256i words = _mm256_packus_epi16(_mm256_packs_epi32(e[0], e[1]), _mm256_packs_epi32(e[2], e[3]));
        alignas(32) int32_t bytes[2][4];
        _mm256_store_si256(reinterpret_cast<__m256i *>(bytes), _mm256_shuffle_epi8(words, by_channel));
        for (int row = 0; row < 2; ++row)
            for (int i = 0; i < channels; ++i) std::memcpy(to.channel[row][i] + x, &bytes[row][i], 4);
    }
}

// Four grey rows as one row of pixels.
CLIP_AVX2_CODE inline void interleave(const uint8_t *const *rows, int width, uint8_t *out) {
    const auto load = [](const uint8_t *p) CLIP_AVX2_CODE { return _mm_loadu_si128(reinterpret_cast<const __m128i *>(p)); };
    int x = 0;
    for (; x + 16 <= width; x += 16) {
        const __m128i a = load(rows[0] + x), b = load(rows[1] + x), c = load(rows[2] + x), d = load(rows[3] + x);
        const __m128i ab = _mm_unpacklo_epi8(a, b), cd = _mm_unpacklo_epi8(c, d);
        const __m128i ef = _mm_unpackhi_epi8(a, b), gh = _mm_unpackhi_epi8(c, d);
        __m128i *to = reinterpret_cast<__m128i *>(out + 4 * x);
        _mm_storeu_si128(to, _mm_unpacklo_epi16(ab, cd)), _mm_storeu_si128(to + 1, _mm_unpackhi_epi16(ab, cd));
        _mm_storeu_si128(to + 2, _mm_unpacklo_epi16(ef, gh)), _mm_storeu_si128(to + 3, _mm_unpackhi_epi16(ef, gh));
    }
    for (; x < width; ++x)
        for (int i = 0; i < 4; ++i) out[4 * x + i] = rows[i][x];
}

// A row of pixels of 2 or 3 bytes as one of 4.
CLIP_AVX2_CODE inline void widen(const uint8_t *row, int width, int pixel, uint8_t *out) {
    const __m128i three = _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1);
    const __m128i two = _mm_setr_epi8(0, 1, -1, -1, 2, 3, -1, -1, 4, 5, -1, -1, 6, 7, -1, -1);
    const __m128i order = pixel == 3 ? three : two;
    int x = 0;
    for (; (width - x) * pixel >= 16; x += 4) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(row + ptrdiff_t(x) * pixel));
        _mm_storeu_si128(reinterpret_cast<__m128i *>(out + 4 * x), _mm_shuffle_epi8(bytes, order));
    }
    for (; x < width; ++x)
        for (int i = 0; i < pixel; ++i) out[4 * x + i] = row[x * pixel + i];
}

CLIP_AVX2_CODE inline void along_grey(const Columns &c, const uint8_t *const *rows, uint8_t *out, uint8_t *pixels,
                                      int room) {
    for (int half = 0; half < 2; ++half) interleave(rows + 4 * half, c.axis->length, pixels + ptrdiff_t(half) * room);
    Targets to;
    for (int i = 0; i < 8; ++i) to.channel[i / 4][i % 4] = out + ptrdiff_t(i) * c.stride;
    along_two(c, pixels, pixels + room, to, 4);
}

CLIP_AVX2_CODE inline void along_rows(const Columns &c, const uint8_t *const *rows, int count, uint8_t *out) {
    const int room = 4 * c.axis->length + 4 * c.axis->taps + 64;
    uint8_t *pixels = c.pixel == 4 ? nullptr : c.scratch->get(size_t(room) * 2);
    const uint8_t *all[ROWS];
    for (int i = 0; i < ROWS; ++i) all[i] = rows[std::min(i, count - 1)];
    if (c.pixel == 1) return along_grey(c, all, out, pixels, room);
    for (int i = 0; i < count; i += 2) {
        Targets to;
        for (int k = 0; k < 8; ++k)
            to.channel[k / 4][k % 4] = out + ptrdiff_t(i + k / 4) * c.stride + ptrdiff_t(k % 4) * c.pitch;
        if (c.pixel != 4)
            for (int k = 0; k < 2; ++k) widen(all[i + k], c.axis->length, c.pixel, pixels + ptrdiff_t(k) * room);
        along_two(c, pixels ? pixels : all[i], pixels ? pixels + room : all[i + 1], to, c.channels);
    }
}

CLIP_AVX2_CODE inline void down_columns(const Axis &axis, int y, const uint8_t *rows, int stride, uint8_t *out) {
    const uint8_t *first = rows + ptrdiff_t(axis.start[size_t(y)]) * stride;
    const int32_t *low = &axis.low[size_t(y) * axis.taps / 2], *high = &axis.high[size_t(y) * axis.taps / 2];
    int pairs = axis.taps / 2;
    while (pairs > 1 && !(low[pairs - 1] | high[pairs - 1])) --pairs;
    for (int x = 0; x < stride; x += 16) {
        __m256i l[2], h[2];
        l[0] = l[1] = _mm256_set1_epi32(1 << (PRECISION - 1)), h[0] = h[1] = _mm256_setzero_si256();
        const uint8_t *p = first + x;
        for (int k = 0; k < pairs; ++k, p += 2 * ptrdiff_t(stride)) {
            const __m256i a = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
            const __m256i b = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p + stride)));
            const __m256i front = _mm256_unpacklo_epi16(a, b), back = _mm256_unpackhi_epi16(a, b);
            const __m256i by_low = _mm256_set1_epi32(low[k]), by_high = _mm256_set1_epi32(high[k]);
            l[0] = _mm256_add_epi32(l[0], _mm256_madd_epi16(front, by_low));
            l[1] = _mm256_add_epi32(l[1], _mm256_madd_epi16(back, by_low));
            h[0] = _mm256_add_epi32(h[0], _mm256_madd_epi16(front, by_high));
            h[1] = _mm256_add_epi32(h[1], _mm256_madd_epi16(back, by_high));
        }
        for (int i = 0; i < 2; ++i)
            l[i] = _mm256_srli_epi32(_mm256_add_epi32(l[i], _mm256_slli_epi32(h[i], LOW_BITS)), PRECISION);
        const __m256i words = _mm256_packs_epi32(l[0], l[1]);
        const __m128i bytes =
            _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        _mm_storeu_si128(reinterpret_cast<__m128i *>(out + x), bytes);
    }
}

}  // namespace clip::avx2

#endif
