// A video file to frames at a constant rate and a given size, as datasets/decoding/video/ does it.
#ifndef STS_NET_CPP_VIDEO_H
#define STS_NET_CPP_VIDEO_H

#include <algorithm>
#include <cmath>
#include <fstream>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/videoio.hpp>
#include <string>

#include "files.h"

constexpr int kMaxSide = 8192;          // a small file can claim frames of gigabytes
constexpr double kMaxGap = 60.0;        // seconds; damaged timestamps would fill the disk with copies of one frame
constexpr double kDurationSlack = 0.5;  // seconds by which sound may outlast the picture
constexpr double kEndSlack = 0.2, kEndPeriods = 3;  // seconds, or frames, by which a film may end early by itself

/// How frames are made; 0 keeps the video's own rate or size.
struct Geometry {
    double fps = 25;
    int short_side = 256;
    bool allow_short = false;
};

/// `seconds * fps` rounded, ties up; the small term keeps ties ties when milliseconds were rounded.
inline long nearest_tick(double seconds, double fps) {
    return static_cast<long>(std::floor(seconds * fps + 0.5 + 1e-6));
}

/// The size whose shorter side is `short_side`, the longer one rounded to the nearest pixel; 0 keeps `size`.
inline cv::Size scaled_size(cv::Size size, int short_side) {
    if (short_side == 0) return size;
    const std::int64_t shorter = std::min(size.width, size.height);
    const auto scaled = [&](std::int64_t side) { return (2 * side * short_side + shorter) / (2 * shorter); };
    return {static_cast<int>(scaled(size.width)), static_cast<int>(scaled(size.height))};
}

/// `frame` at `size`: averaged when it shrinks, bicubic when it grows.
inline cv::Mat resized(const cv::Mat &frame, cv::Size size) {
    if (frame.size() == size) return frame;
    const bool shrinks = std::int64_t(size.width) * size.height < std::int64_t(frame.cols) * frame.rows;
    cv::Mat result;
    cv::resize(frame, result, size, 0, 0, shrinks ? cv::INTER_AREA : cv::INTER_CUBIC);
    return result;
}

/// Whether a container states its number of frames: the AVI and MP4 families. OpenCV estimates the others' from the
/// duration.
inline bool states_count(const fs::path &path) {
    char head[8] = {};
    std::ifstream(path, std::ios::binary).read(head, sizeof head);
    const std::string_view family(head, 4), box(head + 4, 4);
    if (family == "RIFF") return true;
    for (const std::string_view known : {"ftyp", "moov", "mdat", "free", "skip", "wide"})
        if (box == known) return true;
    return false;
}

/// A decoded frame, BGR, and when it is shown, in seconds after the first.
struct TimedFrame {
    cv::Mat image;
    double seconds = 0;
};

/// Every frame of a video file once, upright. Each `Failure` begins with the path.
class VideoReader {
public:
    VideoReader(const fs::path &path, bool allow_short) : path_(path), allow_short_(allow_short) {
        if (!fs::exists(path)) throw failure("no such video file");
        if (!fs::is_regular_file(path)) throw failure("is not a file");
        // Absolute, for relative names may look like URLs.
        if (!capture_.open(fs::absolute(path).string(), cv::CAP_FFMPEG))
            throw failure("is not a video, or damaged at the start");
        const double width = capture_.get(cv::CAP_PROP_FRAME_WIDTH), height = capture_.get(cv::CAP_PROP_FRAME_HEIGHT);
        if (std::max(width, height) > kMaxSide)
            throw failure("frames of " + sides({width, height}) + ", more than " + sides({kMaxSide, kMaxSide}));
        const double rate = capture_.get(cv::CAP_PROP_FPS);
        period_ = 0 < rate && rate < 1000 ? 1 / rate : 1.0 / 25;
        // OpenCV 4.6 takes the display matrix the wrong way round: a quarter turn left becomes one right.
        const int turn = cvRound(capture_.get(cv::CAP_PROP_ORIENTATION_META));
        upside_down_ = cv::getVersionMajor() == 4 && cv::getVersionMinor() == 6 && (turn == 90 || turn == 270);
        seconds_ = -period_;
    }

    /// The next frame, or one without an image at the end. The times increase strictly: AVI files with B-frames end
    /// in frames with time 0, and raw streams have no times; such a frame comes a period after its predecessor.
    TimedFrame next() {
        try {
            return decode();
        } catch (const cv::Exception &error) {
            throw failure(error.err);
        }
    }

    /// Seconds from frame to frame by the container's mean rate; 1/25 where it names none.
    double period() const { return period_; }

    /// Seconds from the first frame to the end of the last one that was read.
    double length() const { return seconds_ + period_; }

    Failure failure(const std::string &reason) const { return Failure(path_.string() + ": " + reason); }

private:
    /// As `next`, with OpenCV's exceptions.
    TimedFrame decode() {
        cv::Mat image;
        if (!capture_.grab()) return end();
        const double position = capture_.get(cv::CAP_PROP_POS_MSEC) / 1000;
        if (!capture_.retrieve(image)) return end();
        if (upside_down_) cv::rotate(image, image, cv::ROTATE_180);
        if (count_++ == 0) start_ = position;
        seconds_ = position - start_ > seconds_ ? position - start_ : seconds_ + period_;
        return {image, seconds_};
    }

    /// No frame, unless fewer came out than the container says.
    TimedFrame end() const {
        if (count_ == 0) throw failure("no frame can be decoded");
        const double expected = capture_.get(cv::CAP_PROP_FRAME_COUNT);
        const double slack = states_count(path_) ? std::max(kEndSlack, kEndPeriods * period_) : kDurationSlack;
        // By time, not by count: AVI files count slots in which the picture before stays on the screen.
        if (length() < expected * period_ - slack && !allow_short_)
            throw failure("only " + std::to_string(count_) + " of " + std::to_string(std::lround(expected)) +
                          " frames can be decoded; get the file again or use --allow_short");
        return {};
    }

    fs::path path_;
    bool allow_short_;
    cv::VideoCapture capture_;
    double period_ = 0, start_ = 0, seconds_ = 0;
    long count_ = 0;
    bool upside_down_ = false;
};

/// Frames of a video at a constant rate and size: at each tick of `fps` the last one whose time rounds to that tick
/// or before.
class VideoFrames {
public:
    VideoFrames(const fs::path &path, const Geometry &geometry)
        : reader_(path, geometry.allow_short), geometry_(geometry), following_(reader_.next()) {
        size_ = scaled_size(following_.image.size(), geometry.short_side);
        if (std::max(size_.width, size_.height) > kMaxSide)
            throw reader_.failure("would become " + sides(size_) + ", more than " + sides({kMaxSide, kMaxSide}));
    }

    /// The next frame, BGR, empty after the last. All have the size that the first one gets.
    cv::Mat next() {
        while (tick_ == due_) {
            if (following_.image.empty()) return {};
            advance();
        }
        ++tick_;
        return resized(shown_.image, size_);
    }

    /// Seconds that all frames take, after the last one.
    double length() const { return reader_.length(); }

private:
    /// Shows the following frame, until the tick at which its own successor is due.
    void advance() {
        shown_ = following_;
        following_ = reader_.next();
        if (geometry_.fps == 0) {
            due_ = tick_ + 1;
        } else if (following_.image.empty()) {
            due_ = std::max(nearest_tick(shown_.seconds + reader_.period(), geometry_.fps), 1L);
        } else {
            const double gap = following_.seconds - shown_.seconds;
            if (gap > kMaxGap)
                throw reader_.failure(std::to_string(std::lround(gap)) +
                                      " s without a frame; its timestamps are damaged");
            due_ = nearest_tick(following_.seconds, geometry_.fps);
        }
    }

    VideoReader reader_;
    Geometry geometry_;
    cv::Size size_;
    TimedFrame shown_, following_;
    long tick_ = 0, due_ = 0;  // frames given so far; frames given when the following one is due
};

#endif
