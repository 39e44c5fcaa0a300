// What a solver holds: the planes of one pyramid level, and the memory they live in.
#ifndef STS_NET_TVL1_STATE_H
#define STS_NET_TVL1_STATE_H

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "tvl1.h"

namespace tvl1 {

constexpr int kAlign = 16;  // floats: a cache line, and the widest vector

constexpr int round_up(int x) { return (x + kAlign - 1) / kAlign * kAlign; }

struct Size {
    int height, width;
};

// Planes of the iteration. With t = tau / theta they hold, for the flow u and its dual p,
//   Rho    I1(x + u0) - Ix u1_0 - Iy u2_0 - I0, fixed within a warp
//   Ix, Iy the gradient of the warped image over t
//   Curb   -1 / (Ix^2 + Iy^2) of these, finite where there is no gradient
//   U1, U2 t u, so that the dual step needs no multiplication
//   P..    p of u1 and u2: x component, y component
enum Plane { Rho, Ix, Iy, Curb, U1, U2, P1x, P1y, P2x, P2y, kPlanes };

// The planes of a level, rows of all planes side by side: an iteration streams through one region of memory.
// Around the image there is a row above and below and at least one column left and right, so that the inner loops
// have no border cases.
class Grid {
public:
    Grid(float *memory, Size size) : memory_(memory), size_(size), stride_(stride(size.width)) {}
    static int stride(int width) { return kAlign + round_up(width + 1); }
    static size_t floats(Size size) { return size_t(size.height + 2) * kPlanes * stride(size.width); }

    int height() const { return size_.height; }
    int width() const { return size_.width; }
    ptrdiff_t plane_step() const { return stride_; }
    // Element 0 of plane 0 in row y, -1 <= y <= height; plane k is k * plane_step() further on.
    float *row(int y) const { return memory_ + size_t(y + 1) * kPlanes * stride_ + kAlign; }
    float *row(int y, Plane plane) const { return row(y) + plane * stride_; }
    void clear() const;

private:
    float *memory_;
    Size size_;
    ptrdiff_t stride_;
};

inline void Grid::clear() const { __builtin_memset(memory_, 0, floats(size_) * sizeof(float)); }

// The second image of a level as (I1, dI1/dx, dI1/dy, 0) per pixel, with a border of zeros that holds every bicubic
// neighbourhood of a point outside the image.
class Quads {
public:
    static constexpr int kBorder = 4;
    Quads(float *memory, Size size) : memory_(memory), size_(size) {}
    static size_t floats(Size size) { return size_t(size.height + 2 * kBorder) * (size.width + 2 * kBorder) * 4; }

    int height() const { return size_.height; }
    int width() const { return size_.width; }
    ptrdiff_t row_step() const { return ptrdiff_t(size_.width + 2 * kBorder) * 4; }
    float *pixel(int y, int x) const { return memory_ + (y + kBorder) * row_step() + ptrdiff_t(x + kBorder) * 4; }
    void clear() const { __builtin_memset(memory_, 0, floats(size_) * sizeof(float)); }

private:
    float *memory_;
    Size size_;
};

// Aligned floats that grow and are kept.
class Memory {
public:
    float *reserve(size_t floats) {
        if (floats > size_) {
            data_.reset();
            size_ = 0;
            const size_t bytes = (floats * sizeof(float) + 63) / 64 * 64;
            data_.reset(static_cast<float *>(std::aligned_alloc(64, bytes)));
            if (!data_) throw std::bad_alloc();
            size_ = floats;
        }
        return data_.get();
    }

private:
    struct Free {
        void operator()(float *p) const { std::free(p); }
    };
    std::unique_ptr<float, Free> data_;
    size_t size_ = 0;
};

// Everything that solving a pair needs; one per thread.
struct Workspace {
    Memory grid, quads, previous, following, flow, rows;
    std::vector<int> columns;      // of resizing: left neighbour of each column
    std::vector<float> fractions;  // and the weight of the right one
};

using Solve = void (*)(const tvl1_parameters &, const std::vector<Size> &, const uint8_t *, const uint8_t *, float *,
                       Workspace &);

}  // namespace tvl1
#endif
