// libjpeg-turbo, opened at run time: its functions, and one image being decoded by them.
#ifndef STS_NET_CLIP_JPEG_H
#define STS_NET_CLIP_JPEG_H

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>

#include <jpeglib.h>

#include "clip.h"

namespace clip {

// Functions of the library in use.
#define CLIP_FUNCTIONS(X) \
    X(jpeg_std_error) X(jpeg_CreateDecompress) X(jpeg_destroy_decompress) X(jpeg_read_header) \
    X(jpeg_start_decompress) X(jpeg_read_scanlines) X(jpeg_crop_scanline) X(jpeg_skip_scanlines) \
    X(jpeg_resync_to_restart)

struct Library {
#define CLIP_MEMBER(name) decltype(&::name) name = nullptr;
    CLIP_FUNCTIONS(CLIP_MEMBER)
#undef CLIP_MEMBER
};

extern Library library;

inline void fail(clip_failure *failure, int32_t code, const char *reason) {
    failure->code = code;
    std::snprintf(failure->reason, sizeof failure->reason, "%s", reason);
}

// Where libjpeg's errors go: back to the `setjmp`, with the reason. The first member is what libjpeg knows.
struct Errors {
    jpeg_error_mgr manager;
    jmp_buf escape;
    clip_failure *failure;
};

[[noreturn]] inline void escape(j_common_ptr info, int32_t code, const char *reason) {
    Errors *errors = reinterpret_cast<Errors *>(info->err);
    fail(errors->failure, code, reason);
    std::longjmp(errors->escape, 1);
}

inline void escape_by_message(j_common_ptr info) {
    char reason[JMSG_LENGTH_MAX];
    info->err->format_message(info, reason);
    escape(info, CLIP_DAMAGED, reason);
}

// Warnings tell of damage, by which libjpeg would go on with made-up pixels; a few tell of nothing that matters.
inline void judge_warning(j_common_ptr info, int level) {
    if (level >= 0) return;
    const jpeg_error_mgr &manager = *info->err;
    const bool known = manager.msg_code > 0 && manager.msg_code <= manager.last_jpeg_message;
    const char *text = known ? manager.jpeg_message_table[manager.msg_code] : "";
    const bool behind = std::strstr(text, "extraneous bytes") && manager.msg_parm.i[1] == JPEG_EOI;
    if (behind || !std::strncmp(text, "Warning", 7) || !std::strncmp(text, "Unknown Adobe", 13)) return;
    escape_by_message(info);
}

inline void keep_silent(j_common_ptr) {}

inline void set_errors(Errors &errors, clip_failure *failure, const Library &from = library) {
    from.jpeg_std_error(&errors.manager);
    errors.manager.error_exit = escape_by_message;
    errors.manager.emit_message = judge_warning;
    errors.manager.output_message = keep_silent;
    errors.failure = failure;
}

// A few bytes can state thousands of scans over a large image, each of which takes its time.
constexpr int MOST_SCANS = 200;

inline void limit_scans(j_common_ptr info) {
    if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > MOST_SCANS)
        escape(info, CLIP_DAMAGED, "it has too many scans");
}

// The bytes of an image as libjpeg's source, without a copy.
struct Source {
    static void init(j_decompress_ptr) {}
    static boolean fill(j_decompress_ptr info) {
        escape(reinterpret_cast<j_common_ptr>(info), CLIP_DAMAGED, "it is cut short");
    }
    static void skip(j_decompress_ptr info, long count) {
        if (count <= 0) return;
        if (size_t(count) > info->src->bytes_in_buffer) fill(info);
        info->src->next_input_byte += count;
        info->src->bytes_in_buffer -= size_t(count);
    }
    static void set(jpeg_source_mgr &source, const uint8_t *data, int64_t size) {
        source.next_input_byte = data;
        source.bytes_in_buffer = size_t(size);
        source.init_source = init;
        source.fill_input_buffer = fill;
        source.skip_input_data = skip;
        source.resync_to_restart = library.jpeg_resync_to_restart;
        source.term_source = init;
    }
};

// One image. It must outlive every `setjmp` on its errors, and is closed after each.
struct Image {
    jpeg_decompress_struct info;
    Errors errors;
    jpeg_source_mgr source;
    jpeg_progress_mgr progress;

    // Whatever happens in `work(image)`, libjpeg's memory is given back.
    template <class Work>
    int32_t run(const uint8_t *data, int64_t size, clip_failure *failure, Work &&work) {
        if (size < 1) return fail(failure, CLIP_DAMAGED, "it is empty"), CLIP_DAMAGED;
        if (size < 3 || data[0] != 0xFF || data[1] != 0xD8 || data[2] != 0xFF)
            return fail(failure, CLIP_FOREIGN, "no JPEG"), CLIP_FOREIGN;
        std::memset(&info, 0, sizeof info);
        set_errors(errors, failure);
        info.err = &errors.manager;
        failure->code = CLIP_OK;
        if (!setjmp(errors.escape)) {
            library.jpeg_CreateDecompress(&info, JPEG_LIB_VERSION, sizeof info);
            Source::set(source, data, size);
            info.src = &source;
            progress.progress_monitor = limit_scans;
            info.progress = &progress;
            try {
                work(*this);
            } catch (const std::bad_alloc &) {
                fail(failure, CLIP_NO_MEMORY, "not enough memory");
            }
        }
        library.jpeg_destroy_decompress(&info);
        return failure->code;
    }

    [[noreturn]] void stop(int32_t code, const char *reason) {
        escape(reinterpret_cast<j_common_ptr>(&info), code, reason);
    }

    // The header, of an image of a kind and size that is decoded here.
    void read_header(const uint8_t *data, int64_t size) {
        library.jpeg_read_header(&info, TRUE);
        char reason[100];
        if (info.image_width > CLIP_MOST_PIXELS || info.image_height > CLIP_MOST_PIXELS) {
            std::snprintf(reason, sizeof reason, "%ux%u pixels, more than %d are refused", info.image_width,
                          info.image_height, CLIP_MOST_PIXELS);
            stop(CLIP_DAMAGED, reason);
        }
        const J_COLOR_SPACE space = info.jpeg_color_space;
        const bool known = (info.num_components == 1 && space == JCS_GRAYSCALE) ||
                           (info.num_components == 3 && (space == JCS_YCbCr || space == JCS_RGB));
        if (!known || info.data_precision != 8) stop(CLIP_FOREIGN, "CMYK or more than 8 bits");
        if (!ends(data, size)) stop(CLIP_DAMAGED, "it is cut short");
    }

    // Whether there is an end of image behind the header that was read.
    bool ends(const uint8_t *data, int64_t size) const {
        if (data[size - 2] == 0xFF && data[size - 1] == JPEG_EOI) return true;
        const uint8_t *p = source.next_input_byte, *const end = data + size;
        while (end - p >= 2 && (p = static_cast<const uint8_t *>(std::memchr(p, 0xFF, size_t(end - p - 1)))) != nullptr) {
            if (p[1] == JPEG_EOI) return true;
            ++p;
        }
        return false;
    }
};

}  // namespace clip

#endif
