// The second image moved back by the flow, and the terms of the iteration that follow from it. Included once per
// code path.

// Bicubic weights (a = -0.75) of the four neighbours for a position t in [0, 1) between the middle two: polynomials,
// from the constant term up.
constexpr float kCubic[4][4] = {
    {0, -0.75f, 1.5f, -0.75f}, {1, 0, -2.25f, 1.25f}, {0, 0.75f, 1.5f, -1.25f}, {0, 0, -0.75f, 0.75f}};

// The same for a row of four quads: each weight four times.
constexpr int kParts = 16 / TVL1_WIDTH;
struct Cubic {
    alignas(64) float terms[4][16];

    Cubic() {
        for (int power = 0; power < 4; ++power)
            for (int i = 0; i < 16; ++i) terms[power][i] = kCubic[i / 4][power];
    }
};

// Where the pixels of a row are in the second image, and how to interpolate there.
struct Targets {
    int *offset;   // of the bicubic neighbourhood, in floats from Quads::pixel(-Quads::kBorder, -Quads::kBorder)
    float *t;      // position between columns
    float *wy[4];  // weights of the four rows

    // Takes 6 rows of `room` floats.
    Targets(float *rows, int room) : offset(reinterpret_cast<int *>(rows)), t(rows + room) {
        for (int j = 0; j < 4; ++j) wy[j] = rows + (2 + j) * room;
    }
};

// The targets of row y, no further outside the image than one neighbourhood, where every tap is zero.
static void find_targets(const Grid &grid, const Quads &quads, float per_pixel, int y, const Targets &to) {
    const float *u1 = grid.row(y, U1), *u2 = grid.row(y, U2);
    alignas(64) float ramp[TVL1_WIDTH];
    alignas(64) int column[TVL1_WIDTH], row[TVL1_WIDTH];
    for (int i = 0; i < TVL1_WIDTH; ++i) ramp[i] = float(i);
    constexpr float kShift = Quads::kBorder;  // makes positions positive
    const Vector scale = all(per_pixel), least_at = all(kShift - 3);
    const Vector most_x = all(kShift + 1 + float(grid.width())), most_y = all(kShift + 1 + float(grid.height()));
    const int row_step = int(quads.row_step());
    for (int x = 0; x < grid.width(); x += TVL1_WIDTH) {
        const Vector at_x = fma(load(u1 + x), scale, all(kShift + float(x)) + load(ramp));
        const Vector at_y = fma(load(u2 + x), scale, all(kShift + float(y)));
        const Vector in_x = most(least(at_x, most_x), least_at), in_y = most(least(at_y, most_y), least_at);
        store(to.t + x, in_x - whole(in_x, column));
        const Vector t = in_y - whole(in_y, row);
        for (int j = 0; j < 4; ++j)
            store(to.wy[j] + x, fma(fma(fma(all(kCubic[j][3]), t, all(kCubic[j][2])), t, all(kCubic[j][1])), t,
                                    all(kCubic[j][0])));
        for (int i = 0; i < TVL1_WIDTH; ++i) to.offset[x + i] = (row[i] - 1) * row_step + (column[i] - 1) * 4;
    }
}

// The interpolated quad at target i.
TVL1_INLINE Quad interpolate(const float *origin, ptrdiff_t row_step, const Cubic &cubic, const Targets &at, int i) {
    const float *corner = origin + at.offset[i];
    const Vector t = all(at.t[i]);
    Vector parts[kParts];
    for (int part = 0; part < kParts; ++part, corner += TVL1_WIDTH) {
        Vector column = all(at.wy[0][i]) * load_unaligned(corner);
        for (int j = 1; j < 4; ++j) column = fma(all(at.wy[j][i]), load_unaligned(corner + j * row_step), column);
        const auto term = [&](int power) { return load(cubic.terms[power] + part * TVL1_WIDTH); };
        parts[part] = column * fma(fma(fma(term(3), t, term(2)), t, term(1)), t, term(0));
    }
    return quad_sum(parts);
}

// Rho, Ix, Iy and Curb of row y. `rows` has room for 9 rows, `previous` is the row of the first image.
static void linearise_row(const Grid &grid, const Quads &quads, const Cubic &cubic, const float *previous, float t,
                          int y, float *rows) {
    const int width = grid.width(), room = round_up(width);
    float *rho = grid.row(y, Rho), *ix = grid.row(y, Ix), *iy = grid.row(y, Iy), *curb = grid.row(y, Curb);
    const float *u1 = grid.row(y, U1), *u2 = grid.row(y, U2), *origin = quads.pixel(-Quads::kBorder, -Quads::kBorder);
    const Targets targets(rows, room);
    find_targets(grid, quads, 1.0f / t, y, targets);
    float *warped = rows + 6 * room;  // image and derivatives
    const auto quad = [&](int x) { return interpolate(origin, quads.row_step(), cubic, targets, x); };
    for (int x = 0; x < width; x += 4)
        store_transposed(warped + x, warped + room + x, warped + 2 * room + x, quad(x), quad(x + 1), quad(x + 2),
                         quad(x + 3));
    // Beyond the row there is no gradient, so nothing that is read there has an effect.
    for (int x = width; x < room; ++x) warped[x] = warped[room + x] = warped[2 * room + x] = 0.0f;
    const Vector inverse = all(1.0f / t);
    for (int x = 0; x < width; x += TVL1_WIDTH) {
        const Vector dx = load(warped + room + x) * inverse, dy = load(warped + 2 * room + x) * inverse;
        store(ix + x, dx);
        store(iy + x, dy);
        store(curb + x, all(-1.0f) / most(fma(dx, dx, dy * dy), all(1e-20f)));
        store(rho + x, load(warped + x) - load_unaligned(previous + x) - fma(dx, load(u1 + x), dy * load(u2 + x)));
    }
}
