// Vectors of TVL1_WIDTH floats. Included once per code path, inside its namespace, so there is no include guard.
//
// `fast_sqrt` of x > 0 is exact to 12 bits at least, which moves flow by about 1e-4 pixel.

#define TVL1_INLINE static inline __attribute__((always_inline))

typedef float Quad __attribute__((vector_size(16)));

// The first three elements of four quads, to three places.
TVL1_INLINE void store_transposed(float *p0, float *p1, float *p2, Quad a, Quad b, Quad c, Quad d) {
#if TVL1_X86
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_store_ps(p0, a), _mm_store_ps(p1, b), _mm_store_ps(p2, c);
#else
    for (int i = 0; i < 3; ++i) {
        float *p = i == 0 ? p0 : i == 1 ? p1 : p2;
        p[0] = a[i], p[1] = b[i], p[2] = c[i], p[3] = d[i];
    }
#endif
}

#if TVL1_WIDTH == 16

using Vector = __m512;
TVL1_INLINE Vector load(const float *p) { return _mm512_load_ps(p); }
TVL1_INLINE Vector load_unaligned(const float *p) { return _mm512_loadu_ps(p); }
TVL1_INLINE void store(float *p, Vector v) { _mm512_store_ps(p, v); }
TVL1_INLINE void store_unaligned(float *p, Vector v) { _mm512_storeu_ps(p, v); }
TVL1_INLINE Vector all(float x) { return _mm512_set1_ps(x); }
TVL1_INLINE Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
TVL1_INLINE Vector least(Vector a, Vector b) { return _mm512_min_ps(a, b); }
TVL1_INLINE Vector most(Vector a, Vector b) { return _mm512_max_ps(a, b); }
TVL1_INLINE Vector fast_sqrt(Vector x) { return x * _mm512_rsqrt14_ps(x); }
// Elements x - 1 of the row of which `here` holds the elements x and `before` those to the left; and x + 1.
TVL1_INLINE Vector left_neighbours(Vector before, Vector here) {
    return _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(here), _mm512_castps_si512(before), 15));
}
TVL1_INLINE Vector right_neighbours(Vector here, Vector after) {
    return _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(after), _mm512_castps_si512(here), 1));
}
// Whole part of x >= 0, also stored as integers.
TVL1_INLINE Vector whole(Vector x, int *p) {
    const __m512i v = _mm512_cvttps_epi32(x);
    _mm512_store_si512(p, v);
    return _mm512_cvtepi32_ps(v);
}
// The sum of the four quads of 16 floats that lie in `v[0 .. 16 / TVL1_WIDTH - 1]`.
TVL1_INLINE Quad quad_sum(const Vector *v) {
    const __m256 low = _mm512_castps512_ps256(v[0]);
    const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v[0]), 1));
    const __m256 half = low + high;
    return _mm256_castps256_ps128(half) + _mm256_extractf128_ps(half, 1);
}

#elif TVL1_WIDTH == 8

using Vector = __m256;
TVL1_INLINE Vector load(const float *p) { return _mm256_load_ps(p); }
TVL1_INLINE Vector load_unaligned(const float *p) { return _mm256_loadu_ps(p); }
TVL1_INLINE void store(float *p, Vector v) { _mm256_store_ps(p, v); }
TVL1_INLINE void store_unaligned(float *p, Vector v) { _mm256_storeu_ps(p, v); }
TVL1_INLINE Vector all(float x) { return _mm256_set1_ps(x); }
TVL1_INLINE Vector fma(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
TVL1_INLINE Vector least(Vector a, Vector b) { return _mm256_min_ps(a, b); }
TVL1_INLINE Vector most(Vector a, Vector b) { return _mm256_max_ps(a, b); }
TVL1_INLINE Vector fast_sqrt(Vector x) { return x * _mm256_rsqrt_ps(x); }
TVL1_INLINE Vector left_neighbours(Vector before, Vector here) {
    const __m256i middle = _mm256_castps_si256(_mm256_permute2f128_ps(before, here, 0x21));
    return _mm256_castsi256_ps(_mm256_alignr_epi8(_mm256_castps_si256(here), middle, 12));
}
TVL1_INLINE Vector right_neighbours(Vector here, Vector after) {
    const __m256i middle = _mm256_castps_si256(_mm256_permute2f128_ps(here, after, 0x21));
    return _mm256_castsi256_ps(_mm256_alignr_epi8(middle, _mm256_castps_si256(here), 4));
}
TVL1_INLINE Vector whole(Vector x, int *p) {
    const __m256i v = _mm256_cvttps_epi32(x);
    _mm256_store_si256(reinterpret_cast<__m256i *>(p), v);
    return _mm256_cvtepi32_ps(v);
}
TVL1_INLINE Quad quad_sum(const Vector *v) {
    const __m256 half = v[0] + v[1];
    return _mm256_castps256_ps128(half) + _mm256_extractf128_ps(half, 1);
}

#elif TVL1_X86

using Vector = __m128;
TVL1_INLINE Vector load(const float *p) { return _mm_load_ps(p); }
TVL1_INLINE Vector load_unaligned(const float *p) { return _mm_loadu_ps(p); }
TVL1_INLINE void store(float *p, Vector v) { _mm_store_ps(p, v); }
TVL1_INLINE void store_unaligned(float *p, Vector v) { _mm_storeu_ps(p, v); }
TVL1_INLINE Vector all(float x) { return _mm_set1_ps(x); }
TVL1_INLINE Vector fma(Vector a, Vector b, Vector c) { return a * b + c; }
TVL1_INLINE Vector least(Vector a, Vector b) { return _mm_min_ps(a, b); }
TVL1_INLINE Vector most(Vector a, Vector b) { return _mm_max_ps(a, b); }
TVL1_INLINE Vector fast_sqrt(Vector x) { return x * _mm_rsqrt_ps(x); }
TVL1_INLINE Vector left_neighbours(Vector before, Vector here) {
    return _mm_move_ss(_mm_shuffle_ps(here, here, _MM_SHUFFLE(2, 1, 0, 0)),
                       _mm_shuffle_ps(before, before, _MM_SHUFFLE(3, 3, 3, 3)));
}
TVL1_INLINE Vector right_neighbours(Vector here, Vector after) {
    const Vector swapped = _mm_move_ss(here, after);
    return _mm_shuffle_ps(swapped, swapped, _MM_SHUFFLE(0, 3, 2, 1));
}
TVL1_INLINE Vector whole(Vector x, int *p) {
    const __m128i v = _mm_cvttps_epi32(x);
    _mm_store_si128(reinterpret_cast<__m128i *>(p), v);
    return _mm_cvtepi32_ps(v);
}
TVL1_INLINE Quad quad_sum(const Vector *v) { return (v[0] + v[1]) + (v[2] + v[3]); }

#else  // any processor: the compiler's own vectors

using Vector = Quad;
TVL1_INLINE Vector load_unaligned(const float *p) {
    Vector v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
TVL1_INLINE Vector load(const float *p) { return load_unaligned(p); }
TVL1_INLINE void store_unaligned(float *p, Vector v) { __builtin_memcpy(p, &v, sizeof v); }
TVL1_INLINE void store(float *p, Vector v) { store_unaligned(p, v); }
TVL1_INLINE Vector all(float x) { return Vector{x, x, x, x}; }
TVL1_INLINE Vector fma(Vector a, Vector b, Vector c) { return a * b + c; }
TVL1_INLINE Vector least(Vector a, Vector b) {
    for (int i = 0; i < 4; ++i) a[i] = a[i] < b[i] ? a[i] : b[i];
    return a;
}
TVL1_INLINE Vector most(Vector a, Vector b) {
    for (int i = 0; i < 4; ++i) a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
}
TVL1_INLINE Vector fast_sqrt(Vector x) {
    for (int i = 0; i < 4; ++i) x[i] = __builtin_sqrtf(x[i]);
    return x;
}
TVL1_INLINE Vector left_neighbours(Vector before, Vector here) { return Vector{before[3], here[0], here[1], here[2]}; }
TVL1_INLINE Vector right_neighbours(Vector here, Vector after) { return Vector{here[1], here[2], here[3], after[0]}; }
TVL1_INLINE Vector whole(Vector x, int *p) {
    for (int i = 0; i < 4; ++i) x[i] = float(p[i] = int(x[i]));
    return x;
}
TVL1_INLINE Quad quad_sum(const Vector *v) { return (v[0] + v[1]) + (v[2] + v[3]); }

#endif

TVL1_INLINE float sum(Vector v) {
    alignas(64) float elements[TVL1_WIDTH];
    store(elements, v);
    float total = 0.0f;
    for (float element : elements) total += element;
    return total;
}
