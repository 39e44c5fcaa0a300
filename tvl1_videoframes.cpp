/* TV-L1 optical flow of a sequence of images or of a video, on the kernel of flow/tvl1/tvl1.cpp; see `kUsage`.
 *
 * OpenCV reads and writes images and videos. Build with CMakeLists.txt, or on Debian and Ubuntu with
 *     apt-get install g++ libopencv-dev
 *     g++ -O3 -std=c++17 -fno-math-errno tvl1_videoframes.cpp flow/tvl1/tvl1.cpp -o tvl1_videoframes \
 *         -I/usr/include/opencv4 -lopencv_core -lopencv_imgproc -lopencv_imgcodecs -lopencv_videoio -pthread
 * and -lopencv_cudaoptflow besides where OpenCV has that module.
 */

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <sstream>

#include "cpp/extract.h"
#include "cpp/files.h"
#include "cpp/options.h"
#include "cpp/pattern.h"
#include "cpp/solver.h"
#include "cpp/video.h"

namespace {

constexpr const char *kUsage =
    R"(usage: tvl1_videoframes [options] IN_PATTERN N OUT_PATTERN
       tvl1_videoframes --video [options] IN_VIDEO OUT_FOLDER

The first form reads images 1 to N named by IN_PATTERN and writes flow 1 to N - 1 named by OUT_PATTERN as Middlebury
.flo files; flow k leads from image k to k + 1. A pattern holds the number as %d, or as %05d with its digits:
    tvl1_videoframes frames/%05d.jpg 90 flow/%05d_flow256crop.flo

The second form makes of a video what utils1/extract_frames_flows.py makes of it: OUT_FOLDER with 00001.jpg, ...,
TVL1jpg_x_00001.jpg, TVL1jpg_y_00001.jpg, ... and `done`. It appears when it is complete, and is left alone if it is
already. Unlike that script it keeps no frames.json and flow.json beside the folders, which record how they were made.

options:
  --preset NAME      opencv (default), fixed (the same) or fast: parameters of TV-L1
  --threads N        pairs solved at a time; default: one per processor
  --cuda             OpenCV's own TV-L1 on a GPU, where OpenCV was built with it
  --help             this text
options of --video:
  --fps RATE         frames per second, 0 = the video's own; default 25
  --short_side N     pixels, 0 = the video's own size; default 256
  --allow_short      accept a video that ends before its header says
  --quality N        JPEG quality of the frames, 1 to 100; default 95
  --bound PIXELS     flow that becomes grey level 255; default 20
  --quant NAME       truncate (default) or round: zero flow is level 127 or 128

Exit codes: 0 success, 2 bad input, 5 disk full, 130 and 143 interrupted.
)";

/// Keeps what libraries print about damaged files off the terminal: the one error line says it with the name.
class SilencedLibraries {
public:
#ifdef __SANITIZE_ADDRESS__  // whose reports go there, too
    SilencedLibraries() {}
#else
    SilencedLibraries() : terminal_(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) {
        const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (terminal_ >= 0 && nowhere >= 0) ::dup2(nowhere, STDERR_FILENO);
        if (nowhere >= 0) ::close(nowhere);
    }
#endif
    SilencedLibraries(const SilencedLibraries &) = delete;
    SilencedLibraries &operator=(const SilencedLibraries &) = delete;
    ~SilencedLibraries() {
        if (terminal_ < 0) return;
        ::dup2(terminal_, STDERR_FILENO);
        ::close(terminal_);
    }

private:
    int terminal_ = -1;
};

/// Images `number`, ... of `pattern`, at most `most` and none after `last`.
std::vector<cv::Mat> read_images(const Pattern &pattern, long number, long last, std::int64_t most, int threads) {
    std::vector<cv::Mat> images(static_cast<std::size_t>(std::clamp<std::int64_t>(last + 1 - number, 0, most)));
    for_each(static_cast<std::int64_t>(images.size()), threads, [&](std::int64_t i) {
        images[static_cast<std::size_t>(i)] = read_grey(pattern.path(number + static_cast<long>(i)));
    });
    return images;
}

/// A `Failure` if a frame is missing, before hours of work.
void check_frames(const Pattern &pattern, long count) {
    for (long i = 1; i <= count; ++i) {
        stop_if_interrupted();
        std::error_code problem;
        const bool exists = fs::exists(pattern.path(i), problem);
        if (problem) throw std::system_error(problem, pattern.path(i).string());
        if (!exists)
            throw Failure(pattern.path(i).string() + ": no such image; N = " + std::to_string(count) +
                          " asks for images 1 to " + std::to_string(count));
    }
}

/// The published command: flow between images as .flo files. Returns what was done.
std::string convert_images(const Options &options) {
    const Pattern input(options.arguments[0], "IN_PATTERN"), output(options.arguments[2], "OUT_PATTERN");
    const long count = whole_number("N", options.arguments[1], 1, 9999999);
    if (output.path(1).extension() != ".flo")
        throw Failure("OUT_PATTERN '" + options.arguments[2] + "': must end in .flo, for readers refuse other names");
    const Solver solver = build_solver(options.preset, options.cuda, options.threads);
    check_frames(input, count);
    const fs::path folder = fs::absolute(output.path(1)).parent_path();
    if (!fs::is_directory(folder)) throw Failure(folder.string() + ": no such folder for the .flo files; make it");

    long read = 0;
    cv::Size size;
    const Source source = [&](std::int64_t most) {
        std::vector<cv::Mat> images = read_images(input, read + 1, count, most, options.threads);
        for (const cv::Mat &image : images) {
            if (read++ == 0) size = image.size();
            if (image.size() != size)
                throw Failure(input.path(read).string() + ": " + sides(image.size()) + " pixels, but " +
                              input.path(1).string() + " has " + sides(size) + "; flow needs one size");
        }
        return images;
    };
    const Sink sink = [&](long number, const float *flow, cv::Size flow_size) {
        write_flo(output.path(number), flow, flow_size);
    };
    solve_sequence(source, solver, sink, options.threads);
    return "wrote " + std::to_string(count - 1) + " .flo files" + (count == 1 ? ": one image has no flow" : "");
}

/// Does what the command line asks and returns a line that says what was done.
std::string run(const Options &options) {
    const std::size_t wanted = options.video ? 2 : 3;
    if (options.arguments.size() != wanted)
        throw Failure((options.video ? "--video needs IN_VIDEO OUT_FOLDER" : "needs IN_PATTERN N OUT_PATTERN") +
                      (", got " + std::to_string(options.arguments.size())) + " arguments (see --help)");
    const SilencedLibraries silence;
    cv::setNumThreads(1);  // the pairs share the cores already
    return options.video ? extract_video(options) : convert_images(options);
}

/// `text` with every run of white space as one blank.
std::string one_line(const std::string &text) {
    std::istringstream words(text);
    std::string line;
    for (std::string word; words >> word;) line += (line.empty() ? "" : " ") + word;
    return line;
}

int fail(const std::string &message, int code) {
    std::cerr << "error: " << one_line(message) << '\n';
    return code;
}

int exit_code(const std::system_error &error) {
    return error.code().value() == ENOSPC || error.code().value() == EDQUOT ? kDiskFull : kBadInput;
}

extern "C" void on_signal(int number) {
    stop_signal = number;
    std::signal(number, SIG_DFL);  // a second one ends the program at once
}

}  // namespace

int main(int argc, char **argv) {
    std::signal(SIGINT, on_signal);
    std::signal(SIGTERM, on_signal);
    try {
        const Options options = parse_options({argv + 1, argv + argc});
        if (options.help) {
            std::cout << kUsage << std::flush;
            return std::cout ? kSuccess : fail("standard output cannot be written", kBadInput);
        }
        std::cerr << run(options) << '\n';
        return kSuccess;
    } catch (const Interrupted &) {
        return 128 + stop_signal;
    } catch (const fs::filesystem_error &error) {
        return fail(error.path1().string() + ": " + error.code().message(), exit_code(error));
    } catch (const std::system_error &error) {
        return fail(error.what(), exit_code(error));
    } catch (const std::bad_alloc &) {
        return fail("out of memory; use fewer --threads or a smaller --short_side", kBadInput);
    } catch (const std::exception &error) {
        return fail(error.what(), kBadInput);
    }
}
