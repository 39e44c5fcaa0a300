/* TV-L1 optical flow of two grey images (Zach, Pock, Bischof 2007), C interface of flow/tvl1/tvl1.cpp.
 *
 * Built by `python flow/tvl1/build.py`, or with one line:
 *     g++ -O3 -std=c++17 -fno-math-errno -fPIC -pthread -shared flow/tvl1/tvl1.cpp -o libtvl1.so
 */
#ifndef STS_NET_TVL1_H
#define STS_NET_TVL1_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The struct and the functions below may change together; a caller checks this number. */
#define TVL1_ABI 1

/* Meaning and limits of each field are those of `flow.tvl1.parameters.TVL1`; `epsilon` 0 runs every iteration. */
typedef struct {
    double tau, lambda, theta, scale_step, epsilon;
    int32_t scales, warps, inner_iterations, outer_iterations, median_filtering;
} tvl1_parameters;

enum { TVL1_OK = 0, TVL1_BAD_ARGUMENT = 1, TVL1_NO_MEMORY = 2, TVL1_NO_SUCH_ISA = 3 };

/* Code paths. TVL1_AUTO takes the widest that this processor has. */
enum { TVL1_AUTO = 0, TVL1_BASELINE = 1, TVL1_AVX2 = 2, TVL1_AVX512 = 3 };

int32_t tvl1_abi(void);

/* What the library was made from, as `flow.tvl1.build.source_hash` has it; "" if the builder did not say. */
const char *tvl1_source(void);

/* OpenCV's defaults. */
tvl1_parameters tvl1_defaults(void);

/* The path that `isa` resolves to on this processor, or -1 if it lacks it. */
int32_t tvl1_isa(int32_t isa);

/* Flow of `pairs` pairs of images.
 *
 * previous, following: (pairs, height, width) grey levels, row-major without gaps.
 * flow: (pairs, height, width, 2) pixels per frame, x first: what is at (x, y) in `previous` is at
 *     (x + flow_x, y + flow_y) in `following`.
 * threads: how many pairs are solved at a time, >= 1; the result does not depend on it.
 * Each thread needs about 80 bytes per pixel, which the calling thread keeps for its next call.
 * Returns TVL1_OK or one of the other codes; then `flow` is undefined. Safe to call from several threads.
 */
int32_t tvl1_flow(const tvl1_parameters *parameters, const uint8_t *previous, const uint8_t *following, float *flow,
                  int64_t pairs, int32_t height, int32_t width, int32_t threads, int32_t isa);

/* A code in words. */
const char *tvl1_message(int32_t code);

#ifdef __cplusplus
}
#endif
#endif
