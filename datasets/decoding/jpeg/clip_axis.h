// Pillow's antialiased bilinear filter along one axis, as tables for the passes.
#ifndef STS_NET_CLIP_AXIS_H
#define STS_NET_CLIP_AXIS_H

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace clip {

constexpr int PRECISION = 22;  // bits of a coefficient, as in Pillow
constexpr int LOW_BITS = 14;   // of a coefficient's lower half

// Which elements of the source make each element of the output, and with which weights.
struct Axis {
    int size = 0;        // elements of the output
    int first = 0;       // element of the source that `start` counts from
    int length = 0;      // elements of the source that are needed
    int taps = 0;        // a multiple of 4; the last weights may be 0
    bool copies = false;  // each element is one of the source
    std::vector<int32_t> start, weights;
    std::vector<int32_t> low, high;  // halves of the weights, in pairs of 16 bits: [size][taps / 2]
    std::vector<int8_t> digits;      // of the weights in base 256, -128 to 127, lowest first: [size][taps / 4][3][4]
};

// The part of a frame along one axis that is resized, and the part of the result that is kept.
struct Span {
    double offset, length;  // `offset` counts from `first`
    int first, last;        // elements that may be used
    int size;               // of the result
    int window, kept;
};

inline void split_weights(Axis &axis) {
    const size_t count = axis.weights.size();
    axis.low.resize(count / 2), axis.high.resize(count / 2), axis.digits.resize(count * 3);
    for (size_t i = 0; i < count; i += 2) {
        const auto pair = [](int32_t a, int32_t b) { return int32_t(uint32_t(a) | uint32_t(b) << 16); };
        const int32_t a = axis.weights[i], b = axis.weights[i + 1], mask = (1 << LOW_BITS) - 1;
        axis.low[i / 2] = pair(a & mask, b & mask);
        axis.high[i / 2] = pair(a >> LOW_BITS, b >> LOW_BITS);
    }
    for (size_t i = 0; i < count; ++i) {
        int32_t rest = axis.weights[i];
        for (int digit = 0; digit < 3; ++digit) {
            const int8_t value = int8_t(rest);
            axis.digits[i / 4 * 12 + size_t(digit) * 4 + i % 4] = value;
            rest = (rest - value) / 256;
        }
    }
}

// Elements of the source that make element `i`: [begin, end), counted from `first`. The arithmetic, here and below, is
// Pillow's, step by step in doubles, so that the weights are Pillow's to the last bit.
struct Reach {
    double centre;
    int begin, end;
};

inline Reach reach(const Span &span, double scale, double support, int i) {
    const int most = span.last - span.first;
    const double centre = span.offset + (span.window + i + 0.5) * scale;
    return {centre, std::min(std::max(int(centre - support + 0.5), 0), most - 1),
            std::min(int(centre + support + 0.5), most)};
}

inline void weigh(const Reach &r, double stretch, int32_t *weights) {
    const auto triangle = [&](int k) {
        const double distance = std::fabs((k - r.centre + 0.5) * (1.0 / stretch));
        return distance < 1.0 ? 1.0 - distance : 0.0;
    };
    double sum = 0;
    for (int k = r.begin; k < r.end; ++k) sum += triangle(k);
    for (int k = r.begin; k < r.end; ++k)
        weights[k - r.begin] = int(0.5 + (sum != 0 ? triangle(k) / sum : triangle(k)) * (1 << PRECISION));
}

inline Axis make_axis(const Span &span, bool flip) {
    const double scale = span.length / span.size, stretch = std::max(scale, 1.0);
    Axis axis;
    axis.size = span.kept;
    axis.copies = span.length == span.size && span.offset == 0;
    axis.start.resize(size_t(axis.size));
    int low = span.last - span.first, high = 0, most = 0;
    for (int i = 0; i < axis.size; ++i) {
        const Reach r = reach(span, scale, stretch, i);
        axis.start[size_t(flip ? axis.size - 1 - i : i)] = r.begin;
        low = std::min(low, r.begin), high = std::max(high, r.end), most = std::max(most, r.end - r.begin);
    }
    axis.taps = (most + 3) / 4 * 4;
    axis.weights.assign(size_t(axis.size) * axis.taps, 0);
    for (int i = 0; i < axis.size; ++i)
        weigh(reach(span, scale, stretch, i), stretch, &axis.weights[size_t(flip ? axis.size - 1 - i : i) * axis.taps]);
    for (int32_t &start : axis.start) start -= low;
    axis.first = span.first + low;
    axis.length = high - low;
    split_weights(axis);
    return axis;
}

}  // namespace clip

#endif
