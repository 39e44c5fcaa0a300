// Files of tvl1_videoframes: failures that name them, and writing that leaves whole files or none.
#ifndef STS_NET_CPP_FILES_H
#define STS_NET_CPP_FILES_H

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace fs = std::filesystem;

/// Exit codes, those of the Python scripts.
enum ExitCode { kSuccess = 0, kBadInput = 2, kDiskFull = 5 };

/// What a user can cause and cure: the message becomes the one line of the error.
struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A failed system call on `path`, by `errno`; `main` tells a full disk from the rest by its code.
inline std::system_error io_failure(const fs::path &path) {
    return std::system_error(errno, std::generic_category(), path.string());
}

/// A size in words, "320x240".
inline std::string sides(cv::Size2d size) {
    return std::to_string(cvRound(size.width)) + "x" + std::to_string(cvRound(size.height));
}

/// A file that is open for writing; closed at the latest with the object.
class OutputFile {
public:
    explicit OutputFile(const fs::path &path)
        : path_(path), descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
        if (descriptor_ < 0) throw io_failure(path);
    }
    OutputFile(const OutputFile &) = delete;
    OutputFile &operator=(const OutputFile &) = delete;
    ~OutputFile() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }

    /// Writes all of `data`.
    void write(std::string_view data) {
        while (!data.empty()) {
            const ssize_t written = ::write(descriptor_, data.data(), data.size());
            if (written < 0 && errno != EINTR) throw io_failure(path_);
            if (written > 0) data.remove_prefix(static_cast<std::size_t>(written));
        }
    }

    /// Closes it; some file systems report a full disk only now.
    void close() {
        const int descriptor = descriptor_;
        descriptor_ = -1;
        if (::close(descriptor) != 0) throw io_failure(path_);
    }

private:
    fs::path path_;
    int descriptor_;
};

/// Writes `pieces` one after the other to the new file `path`.
inline void write_file(const fs::path &path, const std::vector<std::string_view> &pieces) {
    OutputFile file(path);
    for (const std::string_view piece : pieces) file.write(piece);
    file.close();
}

/// Like `write_file`, by a temporary name in the same folder: `path` holds all or what it held before.
inline void replace_file(const fs::path &path, const std::vector<std::string_view> &pieces) {
    static std::atomic<unsigned> number{0};
    const fs::path part = path.parent_path() / (".part-" + std::to_string(::getpid()) + "-" + std::to_string(number++));
    try {
        write_file(part, pieces);
        if (std::rename(part.c_str(), path.c_str()) != 0) throw io_failure(path);
    } catch (const std::system_error &error) {
        ::unlink(part.c_str());
        throw std::system_error(error.code(), path.string());
    }
}

/// Writes flow (height, width, 2) as a Middlebury .flo file.
inline void write_flo(const fs::path &path, const float *flow, cv::Size size) {
    static_assert(sizeof(float) == 4 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, ".flo files are little-endian");
    const float tag = 202021.25F;  // spells PIEH
    const std::int32_t extent[] = {size.width, size.height};
    char header[sizeof tag + sizeof extent];
    std::memcpy(header, &tag, sizeof tag);
    std::memcpy(header + sizeof tag, extent, sizeof extent);
    const std::size_t bytes = std::size_t(2) * size.width * size.height * sizeof(float);
    replace_file(path, {{header, sizeof header}, {reinterpret_cast<const char *>(flow), bytes}});
}

/// The content of a JPEG file of `image`, 8-bit grey or BGR.
inline std::vector<uchar> jpeg(const cv::Mat &image, int quality) {
    std::vector<uchar> data;
    if (!cv::imencode(".jpg", image, data, {cv::IMWRITE_JPEG_QUALITY, quality})) throw Failure("cannot encode a JPEG");
    return data;
}

inline std::string_view bytes_of(const std::vector<uchar> &data) {
    return {reinterpret_cast<const char *>(data.data()), data.size()};
}

/// Whether a JPEG lacks its end. Its scan holds no marker, so the end must follow the last start of a scan.
inline bool is_cut_short(std::string_view data) {
    constexpr std::string_view start = "\xFF\xD8", scan = "\xFF\xDA", end = "\xFF\xD9";
    if (data.substr(0, start.size()) != start) return false;
    const std::size_t last_end = data.rfind(end), last_scan = data.rfind(scan);
    return last_end == data.npos || (last_scan != data.npos && last_end < last_scan);
}

/// An image file as 8-bit grey. EXIF rotation is ignored, for frames come upright from their extractors.
inline cv::Mat read_grey(const fs::path &path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw io_failure(path);
    if (fs::is_directory(path)) throw Failure(path.string() + ": is a folder, not an image");
    const std::vector<char> data{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    cv::Mat image;
    try {
        if (!data.empty() && !is_cut_short({data.data(), data.size()}))
            image = cv::imdecode(data, cv::IMREAD_GRAYSCALE | cv::IMREAD_IGNORE_ORIENTATION);
    } catch (const cv::Exception &) {  // a header that claims too large an image, say: reported like other damage
    }
    if (image.empty()) throw Failure(path.string() + ": is no image, or damaged (cut short?); extract it again");
    return image;
}

#endif
