// A pair from pyramid to flow. Included once per code path, inside its namespace, so there is no include guard.

#include "tvl1_simd.h"

#include "tvl1_iterate.h"
#include "tvl1_median.h"
#include "tvl1_resize.h"
#include "tvl1_warp.h"

// Grey levels as floats, and the coarser levels behind them.
static float *make_pyramid(const uint8_t *image, const std::vector<Size> &sizes, double step, Memory &memory,
                           Workspace &work, float *blend) {
    size_t total = 0;
    for (const Size size : sizes) total += size_t(size.height) * size.width;
    float *level = memory.reserve(total + kAlign);  // a row may be read in whole vectors
    for (size_t i = 0; i < size_t(sizes[0].height) * sizes[0].width; ++i) level[i] = float(image[i]);
    for (size_t s = 1; s < sizes.size(); ++s) {
        float *next = level + size_t(sizes[s - 1].height) * sizes[s - 1].width;
        shrink(level, sizes[s - 1], next, sizes[s], step, work, blend);
        level = next;
    }
    return level;
}

// Flow of the coarser level, which lies in `coarse` as two planes, to this one; `factor` is what it grows by.
static void upsample(const float *coarse, Size from, const Grid &grid, float factor, Workspace &work, float *blend) {
    const double across = double(from.width) / grid.width(), down = double(from.height) / grid.height();
    plan_columns(from.width, grid.width(), across, work);
    for (int y = 0; y < grid.height(); ++y) {
        for (Plane plane : {U1, U2}) {
            const float *source = coarse + (plane == U1 ? 0 : size_t(from.height) * from.width);
            float *row = grid.row(y, plane);
            resize_row(source, from.width, from, row, grid.width(), y, down, factor, work, blend);
            row[grid.width()] = row[grid.width() - 1];
        }
    }
}

static void solve_level(const Grid &grid, const Quads &quads, const float *previous, const tvl1_parameters &parameters,
                        float *rows) {
    static const Cubic cubic;
    const double t = parameters.tau / parameters.theta;
    const Steps steps = {all(float(parameters.tau)), all(float(parameters.lambda * parameters.theta * t * t))};
    const double enough = parameters.epsilon * parameters.epsilon * t * t * grid.height() * grid.width();
    for (int warp = 0; warp < parameters.warps; ++warp) {
        for (int y = 0; y < grid.height(); ++y)
            linearise_row(grid, quads, cubic, previous + ptrdiff_t(y) * grid.width(), float(t), y, rows);
        for (int round = 0; round < parameters.outer_iterations; ++round) {
            if (parameters.median_filtering > 1) {
                median_filter(grid, U1, parameters.median_filtering, rows);
                median_filter(grid, U2, parameters.median_filtering, rows);
            }
            if (relax(grid, steps, parameters.inner_iterations, enough)) break;
        }
    }
}

static void solve(const tvl1_parameters &parameters, const std::vector<Size> &sizes, const uint8_t *previous,
                  const uint8_t *following, float *flow, Workspace &work) {
    const Size finest = sizes[0];
    float *rows = work.rows.reserve(size_t(16) * round_up(finest.width + 2 * kAlign));
    const float *image0 = make_pyramid(previous, sizes, parameters.scale_step, work.previous, work, rows);
    const float *image1 = make_pyramid(following, sizes, parameters.scale_step, work.following, work, rows);
    float *planes = work.flow.reserve(size_t(2) * finest.height * finest.width);
    const float per_pixel = float(parameters.theta / parameters.tau);
    for (size_t s = sizes.size(); s-- > 0;) {
        const Size size = sizes[s];
        const Grid grid(work.grid.reserve(Grid::floats(finest)), size);
        const Quads quads(work.quads.reserve(Quads::floats(finest)), size);
        grid.clear();
        if (s + 1 < sizes.size()) upsample(planes, sizes[s + 1], grid, float(1 / parameters.scale_step), work, rows);
        make_quads(image1, quads);
        solve_level(grid, quads, image0, parameters, rows);
        if (s == 0) {
            for (int y = 0; y < size.height; ++y)
                for (int x = 0; x < size.width; ++x, flow += 2) {
                    flow[0] = per_pixel * grid.row(y, U1)[x];
                    flow[1] = per_pixel * grid.row(y, U2)[x];
                }
            return;
        }
        for (int y = 0; y < size.height; ++y) {
            const size_t bytes = size_t(size.width) * sizeof(float);
            __builtin_memcpy(planes + size_t(y) * size.width, grid.row(y, U1), bytes);
            __builtin_memcpy(planes + size_t(size.height + y) * size.width, grid.row(y, U2), bytes);
        }
        image0 -= size_t(sizes[s - 1].height) * sizes[s - 1].width;
        image1 -= size_t(sizes[s - 1].height) * sizes[s - 1].width;
    }
}
