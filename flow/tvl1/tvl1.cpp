// TV-L1 optical flow on CPUs: the C interface, and the choice of a code path. See tvl1.h for use and building.

#include "tvl1.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <new>
#include <system_error>
#include <thread>

#if defined(__x86_64__) && !defined(TVL1_PLAIN)  // TVL1_PLAIN: as on any other processor
#include <immintrin.h>
#define TVL1_X86 1
#else
#define TVL1_X86 0
#endif

#include "tvl1_state.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 sees it in its own AVX-512 header
#endif

// Instructions that a code path may use, whatever the rest of the program is compiled for.
#if defined(__clang__)
#define TVL1_AVX2_BEGIN \
    _Pragma("clang attribute push(__attribute__((target(\"avx2,fma\"))), apply_to = function)")
#define TVL1_AVX512_BEGIN \
    _Pragma("clang attribute push(__attribute__((target(\"avx512f,avx512dq,fma\"))), apply_to = function)")
#define TVL1_END _Pragma("clang attribute pop")
#else
#define TVL1_AVX2_BEGIN _Pragma("GCC push_options") _Pragma("GCC target(\"avx2,fma\")")
#define TVL1_AVX512_BEGIN \
    _Pragma("GCC push_options") _Pragma("GCC target(\"avx512f,avx512dq,fma,prefer-vector-width=512\")")
#define TVL1_END _Pragma("GCC pop_options")
#endif

// One copy of the solver per path. Standard templates stay outside these regions: the linker keeps one copy of each,
// and it must run everywhere.
namespace tvl1::baseline {
#define TVL1_WIDTH 4
#include "tvl1_solve.h"
#undef TVL1_WIDTH
#undef TVL1_INLINE
}  // namespace tvl1::baseline

#if TVL1_X86
TVL1_AVX2_BEGIN
namespace tvl1::avx2 {
#define TVL1_WIDTH 8
#include "tvl1_solve.h"
#undef TVL1_WIDTH
#undef TVL1_INLINE
}  // namespace tvl1::avx2
TVL1_END

TVL1_AVX512_BEGIN
namespace tvl1::avx512 {
#define TVL1_WIDTH 16
#include "tvl1_solve.h"
#undef TVL1_WIDTH
#undef TVL1_INLINE
}  // namespace tvl1::avx512
TVL1_END
#endif

namespace tvl1 {

// Numbers too small to matter cost a hundred cycles each: flow that dies out towards a black border makes them.
class FlushDenormals {
public:
#if TVL1_X86
    FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040); }
    ~FlushDenormals() { _mm_setcsr(saved_); }

private:
    unsigned saved_;
#endif
};

static bool supported(int32_t isa) {
#if TVL1_X86
    if (isa == TVL1_AVX2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (isa == TVL1_AVX512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma");
#endif
    return isa == TVL1_BASELINE;
}

static Solve solver([[maybe_unused]] int32_t isa) {
#if TVL1_X86
    if (isa == TVL1_AVX512) return avx512::solve;
    if (isa == TVL1_AVX2) return avx2::solve;
#endif
    return baseline::solve;
}

// Sizes of the levels, finest first, rounded to even at ties.
static std::vector<Size> pyramid(const tvl1_parameters &parameters, int height, int width) {
    std::vector<Size> sizes = {{height, width}};
    while (int(sizes.size()) < parameters.scales) {
        height = int(std::lrint(height * parameters.scale_step));
        width = int(std::lrint(width * parameters.scale_step));
        if (height < 16 || width < 16) break;
        sizes.push_back({height, width});
    }
    return sizes;
}

static bool valid(const tvl1_parameters &p) {
    const auto positive = [](double x) { return x > 0 && x < 1e6; };
    return positive(p.tau) && positive(p.lambda) && positive(p.theta) && p.scale_step > 0 && p.scale_step < 1 &&
           p.epsilon >= 0 && p.epsilon < 1e6 && p.scales >= 1 && p.scales <= 64 && p.warps >= 1 &&
           p.inner_iterations >= 1 && p.outer_iterations >= 1 &&
           (p.median_filtering == 1 || p.median_filtering == 3 || p.median_filtering == 5);
}

struct Task {
    const tvl1_parameters &parameters;
    const std::vector<Size> &sizes;
    const uint8_t *previous, *following;
    float *flow;
    int64_t pairs;
    Solve solve;
    std::atomic<int64_t> next{0};
    std::atomic<bool> out_of_memory{false};
};

static void work(Task &task, Workspace &workspace) {
    [[maybe_unused]] const FlushDenormals guard;
    const int64_t pixels = int64_t(task.sizes[0].height) * task.sizes[0].width;
    try {
        for (int64_t i; (i = task.next++) < task.pairs && !task.out_of_memory;)
            task.solve(task.parameters, task.sizes, task.previous + i * pixels, task.following + i * pixels,
                       task.flow + 2 * i * pixels, workspace);
    } catch (const std::bad_alloc &) {
        task.out_of_memory = true;
    }
}

}  // namespace tvl1

extern "C" {

int32_t tvl1_abi(void) { return TVL1_ABI; }

#ifndef TVL1_SOURCE
#define TVL1_SOURCE ""
#endif
const char *tvl1_source(void) { return TVL1_SOURCE; }

tvl1_parameters tvl1_defaults(void) { return {0.25, 0.15, 0.3, 0.8, 0.01, 5, 5, 30, 10, 5}; }

int32_t tvl1_isa(int32_t isa) {
    if (isa != TVL1_AUTO) return isa >= TVL1_BASELINE && isa <= TVL1_AVX512 && tvl1::supported(isa) ? isa : -1;
    return tvl1::supported(TVL1_AVX512) ? TVL1_AVX512 : tvl1::supported(TVL1_AVX2) ? TVL1_AVX2 : TVL1_BASELINE;
}

int32_t tvl1_flow(const tvl1_parameters *parameters, const uint8_t *previous, const uint8_t *following, float *flow,
                  int64_t pairs, int32_t height, int32_t width, int32_t threads, int32_t isa) {
    using namespace tvl1;
    if (!parameters || !valid(*parameters) || pairs < 0 || height < 1 || width < 1 || threads < 1 ||
        height > 1 << 15 || width > 1 << 15 || (pairs > 0 && !(previous && following && flow)))
        return TVL1_BAD_ARGUMENT;
    isa = tvl1_isa(isa);
    if (isa < 0) return TVL1_NO_SUCH_ISA;
    try {
        const std::vector<Size> sizes = pyramid(*parameters, height, width);
        Task task{*parameters, sizes, previous, following, flow, pairs, solver(isa)};
        const int64_t most = std::max<int64_t>(1, std::min<int64_t>(threads, pairs));
        thread_local std::vector<Workspace> kept;
        if (int64_t(kept.size()) < most) kept.resize(size_t(most));
        std::vector<std::thread> others;
        others.reserve(size_t(most));  // an exception here would find threads at work
        for (int64_t i = 1; i < most; ++i) {
            try {
                others.emplace_back(work, std::ref(task), std::ref(kept[size_t(i)]));
            } catch (const std::system_error &) {  // no more threads are to be had: the work is done with these
                break;
            }
        }
        work(task, kept[0]);
        for (std::thread &other : others) other.join();
        return task.out_of_memory ? TVL1_NO_MEMORY : TVL1_OK;
    } catch (const std::bad_alloc &) {
        return TVL1_NO_MEMORY;
    }
}

const char *tvl1_message(int32_t code) {
    switch (code) {
        case TVL1_OK: return "done";
        case TVL1_BAD_ARGUMENT: return "an argument is out of range";
        case TVL1_NO_MEMORY: return "not enough memory";
        case TVL1_NO_SUCH_ISA: return "this processor does not have the instructions asked for";
        default: return "unknown code";
    }
}
}
