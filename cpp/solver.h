// Flow of a sequence of frames: the solvers, and the loop that reads ahead, solves in batches and hands the flow on.
#ifndef STS_NET_CPP_SOLVER_H
#define STS_NET_CPP_SOLVER_H

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <future>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "../flow/tvl1/tvl1.h"
#include "files.h"

#if __has_include(<opencv2/cudaoptflow.hpp>)
#include <opencv2/cudaoptflow.hpp>
#define STS_NET_CUDA 1
#endif

/// SIGINT or SIGTERM once it came, else 0.
inline std::atomic<int> stop_signal{0};

/// Thrown by the loops after a signal, so that nothing half-made stays.
struct Interrupted {};

inline void stop_if_interrupted() {
    if (stop_signal != 0) throw Interrupted();
}

/// Calls `work` with 0 .. count - 1 from up to `threads` threads and rethrows the first exception of any.
inline void for_each(std::int64_t count, int threads, const std::function<void(std::int64_t)> &work) {
    std::atomic<std::int64_t> next{0};
    const auto loop = [&] {
        try {
            for (std::int64_t i; (i = next++) < count;) {
                stop_if_interrupted();
                work(i);
            }
        } catch (...) {
            next = count;
            throw;
        }
    };
    std::vector<std::future<void>> others;  // their destructor waits for them
    for (std::int64_t i = 1; i < std::min<std::int64_t>(threads, count); ++i)
        others.push_back(std::async(std::launch::async, loop));
    loop();
    for (std::future<void> &other : others) other.get();
}

/// The kernel's parameters of a preset: those of PRESETS in flow/tvl1/parameters.py.
inline tvl1_parameters preset_parameters(const std::string &preset) {
    tvl1_parameters parameters = tvl1_defaults();
    if (preset == "opencv" || preset == "fixed") return parameters;
    if (preset != "fast") throw Failure("--preset " + preset + " does not exist; choose from opencv, fixed, fast");
    parameters.epsilon = 0;
    parameters.outer_iterations = 1;
    parameters.median_filtering = 1;
    parameters.scales = 8;
    parameters.warps = 3;
    parameters.inner_iterations = 10;
    return parameters;
}

/// Computes `flow` (pairs, height, width, 2) from `frames` (pairs + 1, height, width): pixels per frame, x first.
using Solver = std::function<void(const std::uint8_t *frames, std::int64_t pairs, cv::Size size, float *flow)>;

/// The native kernel, one pair per thread.
inline Solver native_solver(const tvl1_parameters &parameters, int threads) {
    return [=](const std::uint8_t *frames, std::int64_t pairs, cv::Size size, float *flow) {
        const std::uint8_t *following = frames + size.area();
        const int code =
            tvl1_flow(&parameters, frames, following, flow, pairs, size.height, size.width, threads, TVL1_AUTO);
        if (code == TVL1_OK) return;
        const std::string cure = code == TVL1_NO_MEMORY ? "; use fewer --threads" : "";
        throw Failure("flow of " + sides(size) + " pixels, " + std::to_string(threads) +
                      " threads: " + tvl1_message(code) + cure);
    };
}

/// OpenCV's own TV-L1 on a GPU. It has no median filter and another stop test, so its flow differs a little.
inline Solver cuda_solver([[maybe_unused]] const tvl1_parameters &parameters) {
#ifdef STS_NET_CUDA
    if (cv::cuda::getCudaEnabledDeviceCount() < 1)
        throw Failure("--cuda: this OpenCV finds no GPU that it can use; leave --cuda out to compute on the CPU");
    const int iterations = parameters.inner_iterations * parameters.outer_iterations;
    const auto solver =
        cv::cuda::OpticalFlowDual_TVL1::create(parameters.tau, parameters.lambda, parameters.theta, parameters.scales,
                                               parameters.warps, parameters.epsilon, iterations, parameters.scale_step);
    return [=](const std::uint8_t *frames, std::int64_t pairs, cv::Size size, float *flow) {
        cv::cuda::GpuMat previous, following, result;
        for (std::int64_t pair = 0; pair < pairs; ++pair) {
            stop_if_interrupted();
            const std::uint8_t *first = frames + pair * size.area();
            previous.upload(cv::Mat(size, CV_8UC1, const_cast<std::uint8_t *>(first)));
            following.upload(cv::Mat(size, CV_8UC1, const_cast<std::uint8_t *>(first + size.area())));
            solver->calc(previous, following, result);
            cv::Mat target(size, CV_32FC2, flow + 2 * pair * size.area());
            result.download(target);
        }
    };
#else
    throw Failure(
        "--cuda: compiled without OpenCV's cudaoptflow; build OpenCV and opencv_contrib with WITH_CUDA=ON and compile "
        "this program against it, or use utils1/extract_frames_flows.py --backend cuda, which needs no OpenCV build");
#endif
}

inline Solver build_solver(const std::string &preset, bool cuda, int threads) {
    const tvl1_parameters parameters = preset_parameters(preset);
    return cuda ? cuda_solver(parameters) : native_solver(parameters, threads);
}

/// Gives the next frames of a sequence, grey and of one size: at least one and at most `most`, none after the last.
using Source = std::function<std::vector<cv::Mat>(std::int64_t most)>;

/// Takes flow `number` (height, width, 2), which leads from frame `number` to the next, both counted from 1.
/// Called by several threads at a time.
using Sink = std::function<void(long number, const float *flow, cv::Size size)>;

/// Pairs in a batch at most: enough that threads seldom wait for each other, but no more than 256 MB of images and
/// flow unless every thread needs its pair.
inline std::int64_t largest_batch(cv::Size size, int threads) {
    constexpr std::int64_t budget = 256 << 20, bytes_per_pixel = 12;
    const std::int64_t fitting = budget / (bytes_per_pixel * std::max(size.area(), 1));
    return std::clamp<std::int64_t>(fitting, threads, std::int64_t(16) * threads);
}

/// Flow between all neighbours of a sequence; the next batch of frames is read while one is solved.
///
/// Returns the number of frames.
inline long solve_sequence(const Source &source, const Solver &solve, const Sink &sink, int threads) {
    const auto read = [&](std::int64_t most) {
        return std::async(threads > 1 ? std::launch::async : std::launch::deferred, std::cref(source), most);
    };
    const std::vector<cv::Mat> first = source(1);
    if (first.empty()) return 0;
    const cv::Size size = first[0].size();
    const std::size_t area = first[0].total();
    std::vector<std::uint8_t> frames(first[0].datastart, first[0].dataend);
    std::vector<float> flow;
    long count = 1;
    std::int64_t most = threads;  // small at first, so that solving starts early
    for (auto following = read(most);;) {
        const std::vector<cv::Mat> batch = following.get();
        if (batch.empty()) return count;
        stop_if_interrupted();
        most = std::min(2 * most, largest_batch(size, threads));
        following = read(most);
        for (const cv::Mat &frame : batch) frames.insert(frames.end(), frame.datastart, frame.dataend);
        flow.resize(2 * area * batch.size());
        solve(frames.data(), static_cast<std::int64_t>(batch.size()), size, flow.data());
        for_each(static_cast<std::int64_t>(batch.size()), threads,
                 [&](std::int64_t i) { sink(count + static_cast<long>(i), flow.data() + 2 * area * i, size); });
        count += static_cast<long>(batch.size());
        frames.erase(frames.begin(), frames.end() - static_cast<std::ptrdiff_t>(area));
    }
}

#endif
