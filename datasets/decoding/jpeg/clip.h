/* The part of JPEG images that a clip shows, resized as Pillow resizes: C interface of clip.cpp.
 *
 * Built by `python datasets/decoding/jpeg/build.py`. libjpeg-turbo is not linked but opened at run time: `clip_open`.
 * All functions but `clip_open` may be called from several threads; each thread keeps the memory of its largest call.
 */
#ifndef STS_NET_CLIP_H
#define STS_NET_CLIP_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The structs and the functions below may change together; a caller checks this number. */
#define CLIP_ABI 1

/* Images with a longer side are refused before memory is taken for them, and files with more bytes. */
#define CLIP_MOST_PIXELS 8192
#define CLIP_MOST_BYTES (256 << 20)

enum {
    CLIP_OK = 0,
    CLIP_BAD_ARGUMENT = 1,
    CLIP_NO_MEMORY = 2,
    CLIP_MISSING = 3,    /* no such file */
    CLIP_UNREADABLE = 4, /* reason: what the system says */
    CLIP_DAMAGED = 5,    /* reason: what is wrong */
    CLIP_OTHER_SIZE = 6, /* reason: WIDTHxHEIGHT */
    CLIP_FOREIGN = 7     /* no JPEG, or one of a kind that is left to other decoders: CMYK, 12 bits, lossless */
};

/* Code paths. CLIP_AUTO takes the widest that this processor has; all give the same bytes. */
enum { CLIP_AUTO = 0, CLIP_BASELINE = 1, CLIP_AVX2 = 2, CLIP_AVX512 = 3 };

/* `datasets.clips.views.View`: `box` of the frame is resized to `size`, of which `window` is kept. */
typedef struct {
    int32_t box_top, box_left, box_height, box_width;
    int32_t height, width; /* size */
    int32_t top, left, rows, columns; /* window */
    int32_t flip; /* 1 mirrors left-right */
    int32_t fast; /* 1 decodes at half the size where the box is at least twice the size: not exact */
    int32_t isa;
} clip_view;

/* The first image that failed, and why. */
typedef struct {
    int64_t index;
    int32_t code;
    char reason[188];
} clip_failure;

int32_t clip_abi(void);

/* What the library was made from; "" if the builder did not say. */
const char *clip_source(void);

/* The path that `isa` resolves to on this processor, or -1 if it lacks it. */
int32_t clip_isa(int32_t isa);

/* Take libjpeg-turbo from this shared library; CLIP_OK, or CLIP_FOREIGN with the reason. Call it before the rest. */
int32_t clip_open(const char *library, clip_failure *failure);

/* Files in memory that is used again by the next call. `names` are the paths, each followed by a zero byte. */
typedef struct clip_files clip_files;
clip_files *clip_files_new(void);
void clip_files_free(clip_files *files);
int32_t clip_files_read(clip_files *files, const char *names, int64_t count, clip_failure *failure);
const uint8_t *const *clip_files_data(const clip_files *files);
const int64_t *clip_files_sizes(const clip_files *files);

/* Height and width of an image by its header, and 1 or 3 components. */
int32_t clip_size(const uint8_t *data, int64_t size, int32_t *height, int32_t *width, int32_t *components,
                  clip_failure *failure);

/* What a view shows of `count` images of `height` by `width`.
 *
 * channels: 3 for RGB, 1 for grey levels (luma).
 * out: (channels, count, view->rows, view->columns). Undefined after a failure.
 */
int32_t clip_decode(const uint8_t *const *data, const int64_t *sizes, int64_t count, int32_t height, int32_t width,
                    int32_t channels, const clip_view *view, uint8_t *out, clip_failure *failure);

/* The same of decoded frames (count, height, width, channels), 1 to 4 channels. */
int32_t clip_resample(const uint8_t *frames, int64_t count, int32_t height, int32_t width, int32_t channels,
                      const clip_view *view, uint8_t *out, clip_failure *failure);

/* Nothing but decoding: `count` whole images of any size, one after the other into the same memory. For benchmarks. */
int32_t clip_floor(const uint8_t *const *data, const int64_t *sizes, int64_t count, int32_t channels,
                   clip_failure *failure);

#ifdef __cplusplus
}
#endif
#endif
