// A video to the folder of frames and flow images that utils1/extract_frames_flows.py makes of it.
#ifndef STS_NET_CPP_EXTRACT_H
#define STS_NET_CPP_EXTRACT_H

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "files.h"
#include "options.h"
#include "pattern.h"
#include "solver.h"
#include "video.h"

constexpr int kFlowQuality = 95;  // OpenCV's default, which all published tools used

/// The folder that a video is extracted to: a hidden one beside `folder` that takes its name when it is finished, and
/// is removed otherwise.
class PartFolder {
public:
    explicit PartFolder(const fs::path &folder)
        : folder_(folder), part_(folder.parent_path() / (".part-" + folder.filename().string())) {
        fs::remove_all(part_);
        fs::create_directories(part_);
    }
    PartFolder(const PartFolder &) = delete;
    PartFolder &operator=(const PartFolder &) = delete;
    ~PartFolder() {
        std::error_code ignored;  // what could not be written is the failure to tell of
        if (!finished_) fs::remove_all(part_, ignored);
    }

    fs::path operator/(const std::string &name) const { return part_ / name; }

    void finish() {
        fs::rename(part_, folder_);
        finished_ = true;
    }

private:
    fs::path folder_, part_;
    bool finished_ = false;
};

/// Component `axis` of `flow` (height, width, 2) as grey levels, as `encode` of flow/encoding.py gives them.
inline cv::Mat grey_levels(const float *flow, cv::Size size, int axis, const Options &options) {
    const float bound = static_cast<float>(options.bound), range = static_cast<float>(2 * options.bound);
    cv::Mat image(size, CV_8UC1);
    for (std::size_t i = 0; i < image.total(); ++i) {
        const float value = flow[2 * i + static_cast<std::size_t>(axis)];
        if (std::isnan(value)) throw Failure("the flow holds NaN");
        const float level = (std::clamp(value, -bound, bound) + bound) / range * 255.0F;
        image.data[i] = static_cast<uchar>(options.rounds ? std::nearbyint(level) : level);
    }
    return image;
}

/// Whether `folder` holds a finished video with flow.
inline bool is_complete(const fs::path &folder) {
    std::ifstream file(folder / "done");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str().find("flow ") != std::string::npos;
}

/// A `Failure` unless the folder can be made without touching what is there.
inline void check_target(const fs::path &folder) {
    if (folder.filename().empty()) throw Failure("OUT_FOLDER '" + folder.string() + "': must have a name");
    if (fs::exists(folder) && !(fs::is_directory(folder) && fs::is_empty(folder)))
        throw Failure(folder.string() + ": is there, but holds no complete video; remove it or choose another");
}

/// Writes frames `count` + 1, ... as JPEG and returns them as grey: read back from the JPEG, as published tools had it.
inline std::vector<cv::Mat> write_frames(const std::vector<cv::Mat> &frames, long count, const PartFolder &folder,
                                         const Options &options) {
    static const Pattern name("%05d.jpg", "frame");
    std::vector<cv::Mat> grey(frames.size());
    for_each(static_cast<std::int64_t>(frames.size()), options.threads, [&](std::int64_t i) {
        const std::vector<uchar> data = jpeg(frames[static_cast<std::size_t>(i)], options.quality);
        write_file(folder / name.path(count + 1 + static_cast<long>(i)).string(), {bytes_of(data)});
        grey[static_cast<std::size_t>(i)] = cv::imdecode(data, cv::IMREAD_GRAYSCALE);
    });
    return grey;
}

/// A video as a folder of frames and flow images. Returns what was done.
inline std::string extract_video(const Options &options) {
    const fs::path video = options.arguments[0];
    if (options.arguments[1].empty()) throw Failure("OUT_FOLDER is empty");
    const fs::path folder = (fs::absolute(options.arguments[1]) / "").lexically_normal().parent_path();
    const Solver solver = build_solver(options.preset, options.cuda, options.threads);
    if (is_complete(folder)) return folder.string() + ": is complete already; remove it to extract it again";
    check_target(folder);
    VideoFrames frames(video, options.geometry);
    PartFolder part(folder);

    long written = 0;
    const Source source = [&](std::int64_t most) {
        std::vector<cv::Mat> images;
        for (cv::Mat image; static_cast<std::int64_t>(images.size()) < most && !(image = frames.next()).empty();) {
            stop_if_interrupted();
            images.push_back(image);
        }
        std::vector<cv::Mat> grey = write_frames(images, written, part, options);
        written += static_cast<long>(images.size());
        return grey;
    };
    const Pattern names[] = {{"TVL1jpg_x_%05d.jpg", "flow"}, {"TVL1jpg_y_%05d.jpg", "flow"}};
    const Sink sink = [&](long number, const float *flow, cv::Size size) {
        for (int axis = 0; axis < 2; ++axis) {
            const std::vector<uchar> data = jpeg(grey_levels(flow, size, axis, options), kFlowQuality);
            write_file(part / names[axis].path(number).string(), {bytes_of(data)});
        }
    };
    const long count = solve_sequence(source, solver, sink, options.threads);
    if (options.geometry.fps == 0) {  // the video's own rate, which readers of the folder cannot know otherwise
        char rate[32];
        std::snprintf(rate, sizeof rate, "%.6g\n", static_cast<double>(count) / frames.length());
        write_file(part / "fps", {rate});
    }
    write_file(part / "done", {"rgb " + std::to_string(count) + "\nflow " + std::to_string(count - 1) + "\n"});
    part.finish();
    return "wrote " + std::to_string(count) + " frames and " + std::to_string(count - 1) + " flows";
}

#endif
