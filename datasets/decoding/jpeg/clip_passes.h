// The two passes of the filter: along rows, then down columns, with rounding to bytes in between as Pillow does.
#ifndef STS_NET_CLIP_PASSES_H
#define STS_NET_CLIP_PASSES_H

#include <cstring>
#include <memory>

#include "clip_axis.h"

namespace clip {

// Memory that only grows, cleared when it does, at a cache line's border and with room to read beyond its end.
class Buffer {
public:
    uint8_t *get(size_t size) {
        if (size > size_) {
            memory_.reset();
            size_ = 0;
            memory_.reset(new uint8_t[size + 256]());
            size_ = size;
        }
        uint8_t *const p = memory_.get();
        return p + (64 - reinterpret_cast<uintptr_t>(p) % 64) % 64;
    }

private:
    std::unique_ptr<uint8_t[]> memory_;
    size_t size_ = 0;
};

constexpr int ROWS = 8;    // rows that a pass along rows is given at a time
constexpr int MARGIN = 16;  // rows behind the last that passes may write to or multiply by 0

inline int padded(int size, int multiple) { return (size + multiple - 1) / multiple * multiple; }

// One lot of tables of the AVX-512 path: 4 taps of several elements.
struct alignas(64) Lot {
    uint8_t index[64];
    int8_t digits[3][64];
};

// The pass along rows, of pixels of `pixel` bytes of which the first `channels` count.
struct Columns {
    const Axis *axis = nullptr;
    int pixel = 0, channels = 0;
    int pitch = 0;   // bytes from one channel of a result row to the next
    int stride = 0;  // bytes from one result row to the next
    std::vector<Lot> lots;
    std::vector<int32_t> bases;
    int together = 0;  // elements per lot; 0: no tables
    Buffer *scratch = nullptr;
};

inline Columns make_columns(const Axis &axis, int pixel, int channels) {
    Columns columns;
    columns.axis = &axis, columns.pixel = pixel, columns.channels = channels;
    columns.pitch = padded(axis.size, 16);
    columns.stride = std::max(padded(columns.pitch * channels, 16), 64);
    return columns;
}

// Row i of `rows` (ROWS pointers, of which `count` are valid) becomes row i of `out`; rows behind may be overwritten.
using AlongRows = void (*)(const Columns &, const uint8_t *const *rows, int count, uint8_t *out);
// Element y of `axis` down the columns of rows that lie `stride` bytes apart; `out` has `stride` bytes.
using DownColumns = void (*)(const Axis &axis, int y, const uint8_t *rows, int stride, uint8_t *out);

inline uint8_t rounded(int32_t sum) { return uint8_t(std::min(sum >> PRECISION, 255)); }

namespace baseline {

template <int PIXEL>
void along_row(const Axis &axis, int channels, ptrdiff_t pitch, const uint8_t *row, uint8_t *out) {
    for (int x = 0; x < axis.size; ++x) {
        int32_t sums[PIXEL];
        for (int32_t &sum : sums) sum = 1 << (PRECISION - 1);
        const uint8_t *p = row + ptrdiff_t(axis.start[size_t(x)]) * PIXEL;
        const int32_t *weight = &axis.weights[size_t(x) * axis.taps];
        const int taps = std::min(axis.taps, axis.length - axis.start[size_t(x)]);
        for (int k = 0; k < taps; ++k, p += PIXEL)
            for (int i = 0; i < PIXEL; ++i) sums[i] += p[i] * weight[k];
        for (int i = 0; i < std::min(PIXEL, channels); ++i) out[i * pitch + x] = rounded(sums[i]);
    }
}

// Four grey rows at a time as the channels of one, which compilers turn into vectors.
inline void along_grey(const Columns &c, const uint8_t *const *rows, int count, uint8_t *out) {
    uint8_t *const pixels = c.scratch->get(size_t(c.axis->length) * 4);
    for (int i = 0; i < count; i += 4) {
        for (int k = 0; k < 4; ++k) {
            const uint8_t *row = rows[std::min(i + k, count - 1)];
            for (int x = 0; x < c.axis->length; ++x) pixels[4 * x + k] = row[x];
        }
        along_row<4>(*c.axis, 4, c.stride, pixels, out + ptrdiff_t(i) * c.stride);
    }
}

inline void along_rows(const Columns &c, const uint8_t *const *rows, int count, uint8_t *out) {
    if (c.pixel == 1) return along_grey(c, rows, count, out);
    constexpr decltype(&along_row<2>) by_pixel[] = {along_row<2>, along_row<3>, along_row<4>};
    for (int i = 0; i < count; ++i)
        by_pixel[c.pixel - 2](*c.axis, c.channels, c.pitch, rows[i], out + ptrdiff_t(i) * c.stride);
}

inline void down_columns(const Axis &axis, int y, const uint8_t *rows, int stride, uint8_t *out) {
    const uint8_t *first = rows + ptrdiff_t(axis.start[size_t(y)]) * stride;
    const int32_t *weight = &axis.weights[size_t(y) * axis.taps];
    int taps = axis.taps;
    while (taps > 1 && !weight[taps - 1]) --taps;
    for (int x = 0; x < stride; x += 16) {
        int32_t sums[16];
        for (int32_t &sum : sums) sum = 1 << (PRECISION - 1);
        for (int k = 0; k < taps; ++k) {
            const uint8_t *p = first + ptrdiff_t(k) * stride + x;
            for (int i = 0; i < 16; ++i) sums[i] += p[i] * weight[k];
        }
        for (int i = 0; i < 16; ++i) out[x + i] = rounded(sums[i]);
    }
}

// The passes where nothing is resized.
inline void copy_rows(const Columns &c, const uint8_t *const *rows, int count, uint8_t *out) {
    const int32_t *const start = c.axis->start.data();
    const bool in_order = c.pixel == 1 && start[0] <= start[c.axis->size - 1];
    for (int i = 0; i < count; ++i, out += c.stride) {
        if (in_order) {
            std::memcpy(out, rows[i] + start[0], size_t(c.axis->size));
            continue;
        }
        for (int channel = 0; channel < c.channels; ++channel)
            for (int x = 0; x < c.axis->size; ++x)
                out[channel * c.pitch + x] = rows[i][ptrdiff_t(start[x]) * c.pixel + channel];
    }
}

inline void copy_row(const Axis &axis, int y, const uint8_t *rows, int stride, uint8_t *out) {
    std::memcpy(out, rows + ptrdiff_t(axis.start[size_t(y)]) * stride, size_t(stride));
}

}  // namespace baseline
}  // namespace clip

#endif
