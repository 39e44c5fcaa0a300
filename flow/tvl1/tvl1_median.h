// Median filter with replicated border. Included once per code path.

TVL1_INLINE void order(Vector &a, Vector &b) {
    const Vector low = least(a, b);
    b = most(a, b);
    a = low;
}

// Sorts; exchanges whose results nobody reads are left out by the compiler.
TVL1_INLINE void sort3(Vector &a, Vector &b, Vector &c) { order(a, b), order(b, c), order(a, b); }

TVL1_INLINE void sort5(Vector &a, Vector &b, Vector &c, Vector &d, Vector &e) {
    order(a, b), order(d, e), order(c, e), order(c, d), order(a, d), order(a, c), order(b, e), order(b, d), order(b, c);
}

// The middle of three: of what is certainly not the least and not the greatest.
TVL1_INLINE Vector median3(Vector a, Vector b, Vector c) {
    sort3(a, b, c);
    return b;
}

// Median of 3 sorted columns of 3: of the greatest least, the middle middle and the least greatest.
TVL1_INLINE Vector median9(const float *const *sorted, int x) {
    Vector v[3][3];
    for (int rank = 0; rank < 3; ++rank)
        for (int i = 0; i < 3; ++i) v[rank][i] = load_unaligned(sorted[rank] + x + i);
    return median3(most(most(v[0][0], v[0][1]), v[0][2]), median3(v[1][0], v[1][1], v[1][2]),
                   least(least(v[2][0], v[2][1]), v[2][2]));
}

// Median of 5 sorted columns of 5. With the rows sorted, too, v[i][j] has at least (i + 1)(j + 1) - 1 values below
// it and (5 - i)(5 - j) - 1 above, which leaves 13 candidates; the exchanges put their median into v[0][4]. That they
// do so for each of the 6^5 arrangements of zeros and ones in sorted columns proves it for all numbers.
TVL1_INLINE Vector median25(const float *const *sorted, int x) {
    Vector v[5][5];
    for (int rank = 0; rank < 5; ++rank) {
        for (int i = 0; i < 5; ++i) v[rank][i] = load_unaligned(sorted[rank] + x + i);
        sort5(v[rank][0], v[rank][1], v[rank][2], v[rank][3], v[rank][4]);
    }
    order(v[3][2], v[1][3]), order(v[1][2], v[0][3]), order(v[2][2], v[0][4]), order(v[2][3], v[1][4]);
    order(v[2][2], v[2][1]), order(v[3][1], v[2][3]), order(v[0][3], v[3][1]), order(v[4][1], v[3][2]);
    order(v[3][1], v[4][0]), order(v[3][1], v[2][1]), order(v[3][0], v[4][1]), order(v[0][4], v[4][0]);
    order(v[4][1], v[2][1]), order(v[4][1], v[0][4]), order(v[0][4], v[2][1]);
    return v[0][4];
}

// Filters a plane in place with a window of 3x3 or 5x5. `rows` has room for 2 * kSide rows of width + 32 floats: the
// last rows as they were, and these rows with each column sorted.
template <int kSide>
static void median_plane(const Grid &grid, Plane plane, float *rows) {
    constexpr int kReach = kSide / 2;
    const int height = grid.height(), width = grid.width(), step = round_up(width + kAlign);
    float *kept[kSide], *sorted[kSide];
    for (int i = 0; i < kSide; ++i) kept[i] = rows + ptrdiff_t(i) * step, sorted[i] = kept[i] + ptrdiff_t(kSide) * step;
    const auto keep = [&](int y, float *to) {  // row y with its border
        const float *from = grid.row(std::clamp(y, 0, height - 1), plane);
        for (int i = 0; i < kReach; ++i) to[i] = from[0], to[kReach + width + i] = from[width - 1];
        __builtin_memcpy(to + kReach, from, size_t(width) * sizeof(float));
    };
    for (int i = 0; i < kSide; ++i) keep(i - kReach, kept[i]);
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width + 2 * kReach; x += TVL1_WIDTH) {
            Vector column[kSide];
            for (int i = 0; i < kSide; ++i) column[i] = load(kept[i] + x);
            if constexpr (kSide == 3) {
                sort3(column[0], column[1], column[2]);
            } else {
                sort5(column[0], column[1], column[2], column[3], column[4]);
            }
            for (int i = 0; i < kSide; ++i) store(sorted[i] + x, column[i]);
        }
        float *out = grid.row(y, plane);
        for (int x = 0; x < width; x += TVL1_WIDTH) {
            if constexpr (kSide == 3) {
                store(out + x, median9(sorted, x));
            } else {
                store(out + x, median25(sorted, x));
            }
        }
        out[width] = out[width - 1];
        float *oldest = kept[0];
        for (int i = 1; i < kSide; ++i) kept[i - 1] = kept[i];
        keep(y + 1 + kReach, kept[kSide - 1] = oldest);
    }
}

static void median_filter(const Grid &grid, Plane plane, int side, float *rows) {
    side == 3 ? median_plane<3>(grid, plane, rows) : median_plane<5>(grid, plane, rows);
}
