// The choice of a code path. CLIP_PLAIN: as on processors other than x86.
#ifndef STS_NET_CLIP_AVX_H
#define STS_NET_CLIP_AVX_H

#include "clip.h"
#include "clip_passes.h"

#if defined(__x86_64__) && !defined(CLIP_PLAIN)
#define CLIP_X86 1
#include "clip_avx512.h"
#else
#define CLIP_X86 0
#endif

namespace clip {

inline bool supported(int isa) {
#if CLIP_X86
    if (isa == CLIP_AVX2) return __builtin_cpu_supports("avx2");
    if (isa == CLIP_AVX512)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
               __builtin_cpu_supports("avx512vnni");
#endif
    return isa == CLIP_BASELINE;
}

inline AlongRows along_rows_of([[maybe_unused]] int isa) {
#if CLIP_X86
    if (isa == CLIP_AVX512) return avx512::along_rows;
    if (isa == CLIP_AVX2) return avx2::along_rows;
#endif
    return baseline::along_rows;
}

inline DownColumns down_columns_of([[maybe_unused]] int isa) {
#if CLIP_X86
    if (isa == CLIP_AVX512) return avx512::down_columns;
    if (isa == CLIP_AVX2) return avx2::down_columns;
#endif
    return baseline::down_columns;
}

// Further tables that a path needs; `readable` bytes of each row may be read.
inline void prepare([[maybe_unused]] Columns &columns, [[maybe_unused]] int isa, [[maybe_unused]] int readable) {
#if CLIP_X86
    if (isa == CLIP_AVX512 && !columns.axis->copies) avx512::make_tables(columns, readable);
#endif
}

}  // namespace clip

#endif
