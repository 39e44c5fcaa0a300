// Clips of JPEG images: the C interface. See clip.h for use and building.

#include "clip.h"

#include <mutex>
#include <new>

#include <dlfcn.h>

#include "clip_decode.h"
#include "clip_files.h"

namespace clip {

Library library;

static bool find_functions(void *handle, Library &found, clip_failure *failure) {
#define CLIP_FIND(name) \
    if (!(found.name = reinterpret_cast<decltype(found.name)>(dlsym(handle, #name)))) \
        return fail(failure, CLIP_FOREIGN, "it has no " #name), false;
    CLIP_FUNCTIONS(CLIP_FIND)
#undef CLIP_FIND
    return true;
}

// Whether the library was built with the structs that are known here: it compares version and size itself.
static bool is_compatible(const Library &found, clip_failure *failure) {
    Image image;
    set_errors(image.errors, failure, found);
    image.info.err = &image.errors.manager;
    if (setjmp(image.errors.escape)) {
        failure->code = CLIP_FOREIGN;
        return false;
    }
    found.jpeg_CreateDecompress(&image.info, JPEG_LIB_VERSION, sizeof image.info);
    found.jpeg_destroy_decompress(&image.info);
    return true;
}

static Scratch &scratch() {
    thread_local Scratch memory;
    return memory;
}

static bool valid(const clip_view *v, int64_t count, int32_t height, int32_t width) {
    const auto within = [](int32_t begin, int32_t length, int32_t all) {
        return begin >= 0 && length >= 1 && length <= all && begin <= all - length;
    };
    return v && count >= 0 && height >= 1 && width >= 1 && height <= CLIP_MOST_PIXELS && width <= CLIP_MOST_PIXELS &&
           within(v->box_top, v->box_height, height) && within(v->box_left, v->box_width, width) &&
           v->height <= CLIP_MOST_PIXELS && v->width <= CLIP_MOST_PIXELS && within(v->top, v->rows, v->height) &&
           within(v->left, v->columns, v->width);
}

static int32_t refuse(clip_failure *failure, int32_t code, const char *reason) {
    failure->index = 0;
    fail(failure, code, reason);
    return code;
}

}  // namespace clip

extern "C" {

int32_t clip_abi(void) { return CLIP_ABI; }

#ifndef CLIP_SOURCE
#define CLIP_SOURCE ""
#endif
const char *clip_source(void) { return CLIP_SOURCE; }

int32_t clip_isa(int32_t isa) {
    if (isa != CLIP_AUTO) return isa >= CLIP_BASELINE && isa <= CLIP_AVX512 && clip::supported(isa) ? isa : -1;
    return clip::supported(CLIP_AVX512) ? CLIP_AVX512 : clip::supported(CLIP_AVX2) ? CLIP_AVX2 : CLIP_BASELINE;
}

int32_t clip_open(const char *name, clip_failure *failure) {
    void *const handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *const reason = dlerror();
        return clip::refuse(failure, CLIP_FOREIGN, reason ? reason : "it cannot be loaded");
    }
    clip::Library found;
    if (clip::find_functions(handle, found, failure) && clip::is_compatible(found, failure)) {
        static std::mutex one_at_a_time;  // two threads may come with the first image
        const std::lock_guard<std::mutex> guard(one_at_a_time);
        clip::library = found;
        return CLIP_OK;
    }
    dlclose(handle);
    return CLIP_FOREIGN;
}

clip_files *clip_files_new(void) { return new (std::nothrow) clip_files; }

void clip_files_free(clip_files *files) { delete files; }

int32_t clip_files_read(clip_files *files, const char *names, int64_t count, clip_failure *failure) {
    try {
        files->used = 0;
        files->places.assign(size_t(count), 0), files->sizes.assign(size_t(count), 0);
        files->data.assign(size_t(count), nullptr);
        for (int64_t i = 0; i < count; ++i, names += std::strlen(names) + 1) {
            files->places[size_t(i)] = int64_t(files->used);
            failure->index = i;
            if ((files->sizes[size_t(i)] = files->read(names, failure)) < 0) return failure->code;
        }
        for (size_t i = 0; i < files->data.size(); ++i) files->data[i] = files->memory + files->places[i];
        return CLIP_OK;
    } catch (const std::bad_alloc &) {
        return clip::refuse(failure, CLIP_NO_MEMORY, "not enough memory");
    }
}

const uint8_t *const *clip_files_data(const clip_files *files) { return files->data.data(); }

const int64_t *clip_files_sizes(const clip_files *files) { return files->sizes.data(); }

int32_t clip_size(const uint8_t *data, int64_t size, int32_t *height, int32_t *width, int32_t *components,
                  clip_failure *failure) {
    failure->index = 0;
    return clip::scratch().image.run(data, size, failure, [&](clip::Image &image) {
        image.read_header(data, size);
        *height = int32_t(image.info.image_height), *width = int32_t(image.info.image_width);
        *components = image.info.num_components;
    });
}

int32_t clip_decode(const uint8_t *const *data, const int64_t *sizes, int64_t count, int32_t height, int32_t width,
                    int32_t channels, const clip_view *view, uint8_t *out, clip_failure *failure) {
    using namespace clip;
    if (!valid(view, count, height, width) || (channels != 1 && channels != 3))
        return refuse(failure, CLIP_BAD_ARGUMENT, "an argument is out of range");
    const int32_t isa = clip_isa(view->isa);
    if (isa < 0) return refuse(failure, CLIP_BAD_ARGUMENT, "no such code path on this processor");
    try {
        Scratch &memory = scratch();
        const Plan plan = make_plan(*view, height, width, isa);
        Tables tables(plan, memory.pixels);
        const int64_t area = int64_t(view->rows) * view->columns;
        for (int64_t i = 0; i < count; ++i) {
            failure->index = i;
            if (const int32_t code = decode_image(plan, tables, memory, data[i], sizes[i], channels, out + i * area,
                                                  count * area, failure))
                return code;
        }
        return CLIP_OK;
    } catch (const std::bad_alloc &) {
        return refuse(failure, CLIP_NO_MEMORY, "not enough memory");
    }
}

int32_t clip_resample(const uint8_t *frames, int64_t count, int32_t height, int32_t width, int32_t channels,
                      const clip_view *view, uint8_t *out, clip_failure *failure) {
    using namespace clip;
    if (!valid(view, count, height, width) || channels < 1 || channels > 3)
        return refuse(failure, CLIP_BAD_ARGUMENT, "an argument is out of range");
    const int32_t isa = clip_isa(view->isa);
    if (isa < 0) return refuse(failure, CLIP_BAD_ARGUMENT, "no such code path on this processor");
    try {
        Scratch &memory = scratch();
        clip_view exact = *view;
        exact.fast = 0;
        const Plan plan = make_plan(exact, height, width, isa);
        Columns columns = make_columns(plan.across, channels, channels);
        columns.scratch = &memory.pixels;
        prepare(columns, isa, plan.across.length * channels);
        uint8_t *const rows = intermediate(plan, columns, memory.rows);
        const int64_t line = int64_t(width) * channels, area = int64_t(view->rows) * view->columns;
        for (int64_t i = 0; i < count; ++i) {
            const uint8_t *frame = frames + i * height * line + plan.across.first * int64_t(channels);
            for (int y = 0; y < plan.down.length; y += ROWS) {
                const uint8_t *lines[ROWS];
                const int many = std::min(ROWS, plan.down.length - y);
                for (int k = 0; k < many; ++k) lines[k] = frame + (plan.down.first + y + k) * line;
                plan.along_rows(columns, lines, many, rows + ptrdiff_t(y) * columns.stride);
            }
            finish(plan, columns, rows, memory.line, out + i * area, count * area);
        }
        return CLIP_OK;
    } catch (const std::bad_alloc &) {
        return refuse(failure, CLIP_NO_MEMORY, "not enough memory");
    }
}

int32_t clip_floor(const uint8_t *const *data, const int64_t *sizes, int64_t count, int32_t channels,
                   clip_failure *failure) {
    using namespace clip;
    try {
        Scratch &memory = scratch();
        for (int64_t i = 0; i < count; ++i) {
            failure->index = i;
            const int32_t code = memory.image.run(data[i], sizes[i], failure, [&](Image &image) {
                image.read_header(data[i], sizes[i]);
                jpeg_decompress_struct &info = image.info;
                info.out_color_space = channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
                library.jpeg_start_decompress(&info);
                const size_t line = size_t(info.output_width) * size_t(channels);
                uint8_t *const whole = memory.decoded.get(line * info.output_height);
                while (info.output_scanline < info.output_height) {
                    JSAMPROW lines[ROWS];
                    for (int k = 0; k < ROWS; ++k)
                        lines[k] = whole + line * std::min(info.output_scanline + JDIMENSION(k), info.output_height - 1);
                    if (!library.jpeg_read_scanlines(&info, lines, ROWS)) image.stop(CLIP_DAMAGED, "it is cut short");
                }
            });
            if (code != CLIP_OK) return code;
        }
        return CLIP_OK;
    } catch (const std::bad_alloc &) {
        return refuse(failure, CLIP_NO_MEMORY, "not enough memory");
    }
}
}
