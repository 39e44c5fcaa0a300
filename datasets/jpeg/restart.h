/* The entropy code of baseline JPEGs: coded again with other restart intervals and Huffman tables, and cut to a part.
 *
 * C interface of datasets/restart.cpp, which needs no JPEG library. Symbols are copied, not coefficients: libjpeg's own
 * lossless transcoding replaces the blocks beyond the edge of a picture, so that the original bytes cannot be had back.
 */
#ifndef STS_NET_RESTART_H
#define STS_NET_RESTART_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The structs and the functions below may change together; a caller checks this number. */
#define RESTART_ABI 1

enum {
    RESTART_OK = 0,
    RESTART_BAD_ARGUMENT = 1,
    RESTART_DAMAGED = 2, /* not a baseline scan of this description, or cut short */
    RESTART_NO_CODE = 3, /* a symbol that the new tables lack */
    RESTART_NO_ROOM = 4  /* the output is larger than its buffer */
};

/* One baseline scan with all components. Tables 0-3 are for DC, 4-7 for AC, as DHT segments hold them. */
typedef struct {
    int32_t columns, rows; /* MCUs; those beyond the columns of the scan that is read are coded as empty */
    int32_t interval;      /* MCUs between restart markers, 0 for none */
    int32_t blocks;        /* of an MCU, at most 10 */
    int32_t component[10]; /* of each block, 0-3 */
    int32_t dc[10], ac[10]; /* table of each block, 0-3 and 4-7 */
    uint8_t lengths[8][16]; /* codes of 1 to 16 bits */
    uint8_t values[8][256]; /* symbols in the order of their codes */
} restart_scan;

/* What became of a scan. Pointers may be null. */
typedef struct {
    uint64_t *counts;  /* [8][256], uses of each symbol are added; then nothing is written */
    uint8_t *out;      /* [capacity] */
    size_t capacity;
    uint32_t *lengths; /* bytes of each interval, markers not counted */
    int32_t markers;   /* whether restart markers are written between intervals */
    size_t consumed;   /* bytes read, result */
    size_t written;    /* bytes, result */
} restart_result;

/* A picture is a grid of segments, coded one by one: `across` in each of `down` rows. This is the part that is cut. */
typedef struct {
    int32_t across, down;
    int32_t left, top, width, height;
} restart_window;

int32_t restart_abi(void);

/* What the library was made from; "" if the builder did not say. */
const char *restart_source(void);

/* Code a scan again. `data` begins after the SOS segment; reading ends before the marker after the last MCU. */
int32_t restart_transcode(const restart_scan *from, const uint8_t *data, size_t size, const restart_scan *to,
                          restart_result *result);

/* JPEGs of a part of pictures: header, segments of the window with restart markers between them, EOI.
 *
 * images: starts[i] and sizes[i] of each in data[size]: lengths of all segments as LEB128, then the segments.
 * ends: where each JPEG ends in `out`. On failure ends[0] is the index of the image.
 */
int32_t restart_cut(const uint8_t *data, size_t size, const uint64_t *starts, const uint64_t *sizes, int32_t images,
                    const restart_window *window, const uint8_t *header, size_t header_size, uint8_t *out,
                    size_t capacity, uint64_t *ends);

#ifdef __cplusplus
}
#endif

#endif
