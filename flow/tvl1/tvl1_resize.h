// Bilinear resizing with half-pixel centres, and derivatives. Included once per code path.

// Where the columns of the target lie between those of the source, `scale` source pixels apart.
static void plan_columns(int source, int target, double scale, Workspace &work) {
    work.columns.resize(size_t(target));
    work.fractions.resize(size_t(target));
    for (int x = 0; x < target; ++x) {
        const float at = float((x + 0.5) * scale - 0.5);
        const int left = int(std::floor(at));
        const bool between = left >= 0 && left < source - 1;
        work.columns[x] = std::clamp(left, 0, source - 1);
        work.fractions[x] = between ? at - float(left) : 0.0f;
    }
}

// Row y of the target; `scale` is in source pixels per target pixel and `plan_columns` has been called with the width.
// `blend` has room for a row of the source and one more float.
static void resize_row(const float *source, ptrdiff_t step, Size from, float *target, int width, int y, double scale,
                       float factor, const Workspace &work, float *blend) {
    const float at = float((y + 0.5) * scale - 0.5);
    const int top = int(std::floor(at));
    const bool between = top >= 0 && top < from.height - 1;
    const float below = between ? at - float(top) : 0.0f;
    const float *row = source + std::clamp(top, 0, from.height - 1) * step, *next = between ? row + step : row;
    for (int x = 0; x < from.width; ++x) blend[x] = factor * (row[x] + below * (next[x] - row[x]));
    blend[from.width] = 0.0f;
    const int *columns = work.columns.data();
    const float *fractions = work.fractions.data();
    for (int x = 0; x < width; ++x) {
        const float left = blend[columns[x]];
        target[x] = left + fractions[x] * (blend[columns[x] + 1] - left);
    }
}

// An image to the next coarser level.
static void shrink(const float *source, Size from, float *target, Size to, double step, Workspace &work, float *blend) {
    const double scale = 1 / step;
    plan_columns(from.width, to.width, scale, work);
    for (int y = 0; y < to.height; ++y, target += to.width)
        resize_row(source, from.width, from, target, to.width, y, scale, 1.0f, work, blend);
}

// Image and central differences, one-sided halves at the border, as quads.
static void make_quads(const float *image, const Quads &quads) {
    quads.clear();
    const int height = quads.height(), width = quads.width();
    for (int y = 0; y < height; ++y) {
        const float *row = image + ptrdiff_t(y) * width;
        const float *above = y > 0 ? row - width : row, *below = y + 1 < height ? row + width : row;
        float *out = quads.pixel(y, 0);
        for (int x = 0; x < width; ++x) {
            out[4 * x] = row[x];
            out[4 * x + 1] = 0.5f * (row[x + 1 < width ? x + 1 : x] - row[x > 0 ? x - 1 : x]);
            out[4 * x + 2] = 0.5f * (below[x] - above[x]);
        }
    }
}
