"""The native kernel under the address and undefined-behaviour sanitizers, on sizes and paths where borders go wrong."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from sanitizers import build_driver
from source_files import ROOT

pytestmark = pytest.mark.slow  # compiles for a quarter of a minute

# Prints a line per problem and path: its name and a hash of the flow. With the word "refuse" it makes wrong calls, with
# "starve" calls that get no memory. Every call has buffers of exactly its size, and by default a thread of its own,
# for a thread keeps the memory of its largest call, in which smaller ones could overrun unnoticed.
DRIVER = r"""
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "flow/tvl1/tvl1.h"

struct Problem {
    tvl1_parameters parameters;
    int height, width, pairs;
};

static void check(bool right, const char *what) {
    if (!right) std::printf("WRONG %s\n", what), std::exit(1);
}

// A grey level of images of a kind: 0 noise, 1 flat, 2 black and white columns that swap, 3 noise that moves.
static unsigned char level(int kind, int image, int y, int x) {
    unsigned state =
        unsigned(y) * 7919u + unsigned(kind == 3 ? x + image : x) * 104729u + (kind == 3 ? 0u : unsigned(image));
    state = (state ^ (state >> 7)) * 2654435761u;
    return kind == 1 ? 128 : kind == 2 ? (x + image) % 2 * 255 : state >> 24;
}

static std::vector<float> solve(const Problem &p, int kind, int threads, int isa) {
    const size_t area = size_t(p.height) * p.width;
    std::vector<unsigned char> previous(area * p.pairs), following(area * p.pairs);
    for (int i = 0; i < p.pairs; ++i)
        for (int y = 0; y < p.height; ++y)
            for (int x = 0; x < p.width; ++x) {
                previous[i * area + size_t(y) * p.width + x] = level(kind, i, y, x);
                following[i * area + size_t(y) * p.width + x] = level(kind, i + 1, y, x);
            }
    std::vector<float> flow(2 * area * p.pairs);
    check(tvl1_flow(&p.parameters, previous.data(), following.data(), flow.data(), p.pairs, p.height, p.width, threads,
                    isa) == TVL1_OK,
          "code");
    for (const float value : flow) check(std::isfinite(value), "flow");
    return flow;
}

static std::vector<float> solve_afresh(const Problem &p, int kind, int threads, int isa) {
    std::vector<float> flow;
    std::thread([&] { flow = solve(p, kind, threads, isa); }).join();
    return flow;
}

static unsigned hash(const std::vector<float> &flow) {
    unsigned state = 2166136261u;
    for (const float value : flow) {
        unsigned bits;
        std::memcpy(&bits, &value, sizeof bits);
        state = (state ^ bits) * 16777619u;
    }
    return state;
}

static std::vector<tvl1_parameters> parameters() {
    std::vector<tvl1_parameters> all(5, tvl1_defaults());
    all[1].outer_iterations = 4;
    all[2].epsilon = 0, all[2].outer_iterations = 1, all[2].median_filtering = 1;
    all[2].scales = 8, all[2].warps = 3, all[2].inner_iterations = 10;
    all[3].median_filtering = 3, all[3].inner_iterations = 7, all[3].scale_step = 0.95, all[3].scales = 64;
    all[4].warps = 1, all[4].inner_iterations = 1, all[4].outer_iterations = 3, all[4].lambda = 100,
    all[4].scale_step = 0.5;
    return all;
}

static void solve_all() {
    const int sizes[][2] = {{1, 1},   {1, 2},   {2, 1},   {1, 37},  {37, 1},  {3, 5},   {15, 16},
                            {16, 16}, {17, 19}, {33, 47}, {24, 31}, {20, 61}, {67, 18}, {16, 129}};
    const std::vector<tvl1_parameters> all = parameters();
    for (int isa = TVL1_BASELINE; isa <= TVL1_AVX512; ++isa) {
        if (tvl1_isa(isa) != isa) continue;
        for (size_t k = 0; k < all.size(); ++k)
            for (const auto &size : sizes)
                for (int kind = 0; kind < 4; ++kind) {
                    const Problem p = {all[k], size[0], size[1], kind == 3 ? 3 : 1};
                    const std::vector<float> flow = solve_afresh(p, kind, 1, isa);
                    std::printf("isa %d parameters %zu size %dx%d images %d: %08x\n", isa, k, size[1], size[0], kind,
                                hash(flow));
                    if (kind < 3) continue;
                    check(flow == solve_afresh(p, kind, 3, isa), "with threads");
                    check(flow == solve(p, kind, 2, isa), "with memory of other sizes");
                }
    }
}

static void solve_at_once() {
    const std::vector<tvl1_parameters> all = parameters();
    std::vector<std::vector<float>> flows(4);
    std::vector<std::thread> callers;
    for (size_t i = 0; i < flows.size(); ++i)
        callers.emplace_back([&, i] { flows[i] = solve({all[i % 2], 30, 40, 3}, 0, 2, TVL1_AUTO); });
    for (std::thread &caller : callers) caller.join();
    check(flows[0] == flows[2] && flows[1] == flows[3], "several callers");
}

static void refuse() {
    const tvl1_parameters right = tvl1_defaults();
    unsigned char image[4] = {};
    float flow[8] = {};
    const auto code = [&](const tvl1_parameters *p, const unsigned char *a, float *f, long pairs, int h, int w,
                          int threads, int isa) { return tvl1_flow(p, a, image, f, pairs, h, w, threads, isa); };
    check(code(&right, image, flow, 0, 2, 2, 1, 0) == TVL1_OK, "no pairs");
    check(code(nullptr, image, flow, 1, 2, 2, 1, 0) == TVL1_BAD_ARGUMENT, "no parameters");
    check(code(&right, nullptr, flow, 1, 2, 2, 1, 0) == TVL1_BAD_ARGUMENT, "no image");
    check(code(&right, image, nullptr, 1, 2, 2, 1, 0) == TVL1_BAD_ARGUMENT, "no flow");
    check(code(&right, image, flow, -1, 2, 2, 1, 0) == TVL1_BAD_ARGUMENT, "pairs");
    check(code(&right, image, flow, 1, 0, 2, 1, 0) == TVL1_BAD_ARGUMENT, "height");
    check(code(&right, image, flow, 1, 2, -2, 1, 0) == TVL1_BAD_ARGUMENT, "width");
    check(code(&right, image, flow, 1, 2, 2147483647, 1, 0) == TVL1_BAD_ARGUMENT, "huge");
    check(code(&right, image, flow, 1, 2, 2, 0, 0) == TVL1_BAD_ARGUMENT, "threads");
    check(code(&right, image, flow, 1, 2, 2, 1, 9) == TVL1_NO_SUCH_ISA, "isa");
    check(code(&right, image, flow, 1, 2, 2, 1, -1) == TVL1_NO_SUCH_ISA, "isa");
    const double nan = std::nan("");
    for (double bad : {0.0, -1.0, nan, 1e300}) {
        tvl1_parameters p = right;
        double *fields[] = {&p.tau, &p.lambda, &p.theta, &p.scale_step};
        for (double *field : fields) {
            const double kept = *field;
            *field = bad;
            check(code(&p, image, flow, 1, 2, 2, 1, 0) == TVL1_BAD_ARGUMENT, "real parameter");
            *field = kept;
        }
    }
    for (int bad : {0, -1, 7, 1000}) {
        tvl1_parameters p = right;
        p.median_filtering = bad;
        check(code(&p, image, flow, 1, 2, 2, 1, 0) == TVL1_BAD_ARGUMENT, "median");
        p = right, p.scales = bad == 7 ? 65 : bad;
        check(code(&p, image, flow, 1, 2, 2, 1, 0) == TVL1_BAD_ARGUMENT, "scales");
        p = right, p.warps = std::min(bad, 0);
        check(code(&p, image, flow, 1, 2, 2, 1, 0) == TVL1_BAD_ARGUMENT, "warps");
    }
    for (int code = -1; code < 6; ++code) check(std::strlen(tvl1_message(code)) > 3, "message");
}

static void starve() {
    const tvl1_parameters p = tvl1_defaults();
    const std::vector<unsigned char> images(3 * 200 * 200);
    std::vector<float> flow(2 * images.size() / 3);
    for (int threads : {1, 3})
        check(tvl1_flow(&p, images.data(), images.data(), flow.data(), 1, 200, 200, threads, 0) == TVL1_NO_MEMORY,
              "memory");
    flow.resize(2 * images.size());
    check(tvl1_flow(&p, images.data(), images.data(), flow.data(), 3, 200, 200, 3, 0) == TVL1_NO_MEMORY,
          "memory of threads");
}

int main(int argc, char **argv) {
    const std::string what = argc > 1 ? argv[1] : "solve";
    if (what == "refuse") refuse();
    if (what == "starve") starve();
    if (what == "solve") solve_at_once(), solve_all();
    std::puts("done");
}
"""


@pytest.fixture(scope="module")
def driver(sanitized, tmp_path_factory) -> Path:
    """On the kernel of CMake's build, which takes its time, where there is one."""
    kernel = ROOT / "flow" / "tvl1" / "tvl1.cpp" if sanitized is None else next(sanitized.glob("libtvl1.*"))
    found = [] if sanitized is None else [f"-Wl,-rpath,{sanitized}"]
    return build_driver(tmp_path_factory.mktemp("kernel"), DRIVER, [kernel], "-fno-math-errno", *found)


def drive(driver: Path, what: str, options: str = "") -> list[str]:
    """Lines that it prints; neither a report of a sanitizer nor a wrong result."""
    env = {"ASAN_OPTIONS": options, "UBSAN_OPTIONS": "print_stacktrace=1"}
    result = subprocess.run([driver, what], env=env, capture_output=True, text=True, timeout=600)
    complaints = [line for line in result.stderr.splitlines() if "WARNING: AddressSanitizer failed to allo" not in line]
    assert (result.returncode, complaints) == (0, []), result.stdout[-300:]
    *lines, last = result.stdout.splitlines()
    assert last == "done"
    return lines


def test_flow_of_any_size_stays_within_its_memory_and_ignores_what_was_there(driver):
    """Memory that is read but never written is huge in one run, and NaN in the other, which a minimum may hide."""
    fills = [f"max_malloc_fill_size=1000000000:malloc_fill_byte={byte}" for byte in (127, 255)]
    with ThreadPoolExecutor() as pool:
        huge, no_number = pool.map(partial(drive, driver, "solve"), fills)
    assert len(huge) >= 5 * 14 * 4
    assert huge == no_number


def test_wrong_calls_are_refused_before_anything_is_touched(driver):
    assert drive(driver, "refuse") == []


def test_without_memory_a_call_says_so(driver):
    assert drive(driver, "starve", "allocator_may_return_null=1:max_allocation_size_mb=1") == []
