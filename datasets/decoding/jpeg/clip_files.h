// Whole files read into one piece of memory.
#ifndef STS_NET_CLIP_FILES_H
#define STS_NET_CLIP_FILES_H

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clip.h"

struct clip_files {
    uint8_t *memory = nullptr;
    size_t room = 0, used = 0;
    std::vector<int64_t> places, sizes;
    std::vector<const uint8_t *> data;

    clip_files() = default;
    clip_files(const clip_files &) = delete;
    clip_files &operator=(const clip_files &) = delete;
    ~clip_files() { std::free(memory); }

    bool reserve(size_t more) {
        if (used + more <= room) return true;
        const size_t size = (used + more) * 3 / 2;
        uint8_t *const larger = static_cast<uint8_t *>(std::realloc(memory, size));
        if (!larger) return false;
        memory = larger, room = size;
        return true;
    }

    // Bytes of a file put behind the others; -1 with the reason.
    int64_t read(const char *name, clip_failure *failure) {
        const int file = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (file < 0) return refuse(failure, errno == ENOENT ? CLIP_MISSING : CLIP_UNREADABLE, std::strerror(errno));
        const int64_t size = read_all(file, failure);
        close(file);
        return size;
    }

private:
    static int64_t refuse(clip_failure *failure, int32_t code, const char *reason) {
        failure->code = code;
        std::snprintf(failure->reason, sizeof failure->reason, "%s", reason);
        return -1;
    }

    int64_t read_all(int file, clip_failure *failure) {
        struct stat about;
        if (fstat(file, &about)) return refuse(failure, CLIP_UNREADABLE, std::strerror(errno));
        if (!S_ISREG(about.st_mode)) return refuse(failure, CLIP_UNREADABLE, "not a file");
        if (about.st_size > CLIP_MOST_BYTES) return refuse(failure, CLIP_UNREADABLE, "too large for an image");
        if (!reserve(size_t(about.st_size) + 64)) return refuse(failure, CLIP_NO_MEMORY, "not enough memory");
        int64_t size = 0;
        while (size < about.st_size) {
            const ssize_t got = ::read(file, memory + used + size, size_t(about.st_size - size));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return refuse(failure, CLIP_UNREADABLE, std::strerror(errno));
            if (got == 0) break;
            size += got;
        }
        used += size_t(size);
        return size;
    }
};

#endif
