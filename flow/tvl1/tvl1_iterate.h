// The iteration of TV-L1, streamed through memory once for several of them. Included once per code path.

struct Steps {
    Vector tau;    // step of the dual ascent
    Vector limit;  // lambda * theta * t^2, t = tau / theta: the bound on the scaled data step
};

// p = (p + gradient) / (1 + |gradient|) of one component of the flow.
TVL1_INLINE void dual(float *px, float *py, Vector old_y, Vector dx, Vector dy) {
    const Vector square = fma(dx, dx, fma(dy, dy, all(1e-30f)));  // not 0, whose reciprocal root is infinite
    const Vector shrink = all(1.0f) / (all(1.0f) + fast_sqrt(square));
    store(px, (load(px) + dx) * shrink);
    store(py, (old_y + dy) * shrink);
}

enum class Rows { Flow, Both, Dual };  // what a pass does: its first row has no row above, its last none below

// New u of row `here`, then new p of the row above it, which needs that u. Returns the sum of squared changes of
// (U1, U2), spread over a vector; in the row's last vector only where `inside` is 1, as beyond the row anything may
// lie. Not inlined: alone in its function the loop keeps its registers.
template <Rows kRows, bool kChange>
static __attribute__((noinline)) Vector pass(float *here, float *above, ptrdiff_t step, int width, const Steps &steps, Vector inside) {
    Vector change = all(0.0f), left1 = all(0.0f), left2 = all(0.0f), u1_above{}, u2_above{};
    if (kRows != Rows::Flow) u1_above = load(above + U1 * step), u2_above = load(above + U2 * step);
    for (int x = 0; x < width; x += TVL1_WIDTH, here += TVL1_WIDTH, above += TVL1_WIDTH) {
        const Vector p1y_above = load(above + P1y * step), p2y_above = load(above + P2y * step);
        Vector u1{}, u2{};
        if (kRows != Rows::Dual) {
            const Vector ix = load(here + Ix * step), iy = load(here + Iy * step);
            const Vector old1 = load(here + U1 * step), old2 = load(here + U2 * step);
            const Vector p1x = load(here + P1x * step), p2x = load(here + P2x * step);
            const Vector rho = fma(ix, old1, fma(iy, old2, load(here + Rho * step)));
            const Vector data = most(least(rho * load(here + Curb * step), steps.limit), -steps.limit);
            const Vector div1 = (p1x - left_neighbours(left1, p1x)) + (load(here + P1y * step) - p1y_above);
            const Vector div2 = (p2x - left_neighbours(left2, p2x)) + (load(here + P2y * step) - p2y_above);
            left1 = p1x, left2 = p2x;
            u1 = fma(data, ix, fma(steps.tau, div1, old1));
            u2 = fma(data, iy, fma(steps.tau, div2, old2));
            store(here + U1 * step, u1);
            store(here + U2 * step, u2);
            if (kChange) {
                const Vector d1 = u1 - old1, d2 = u2 - old2, squares = fma(d1, d1, d2 * d2);
                change += x + TVL1_WIDTH < width ? squares : inside > all(0.0f) ? squares : all(0.0f);
            }
        }
        if (kRows != Rows::Flow) {
            const Vector u1_after = load(above + U1 * step + TVL1_WIDTH);
            const Vector u2_after = load(above + U2 * step + TVL1_WIDTH);
            const Vector down1 = kRows == Rows::Dual ? u1_above : u1, down2 = kRows == Rows::Dual ? u2_above : u2;
            dual(above + P1x * step, above + P1y * step, p1y_above, right_neighbours(u1_above, u1_after) - u1_above,
                 down1 - u1_above);
            dual(above + P2x * step, above + P2y * step, p2y_above, right_neighbours(u2_above, u2_after) - u2_above,
                 down2 - u2_above);
            u1_above = u1_after, u2_above = u2_after;
        }
    }
    return change;
}

// Up to kDepth iterations in one sweep down the image: iteration k works one row above iteration k - 1, so the rows
// of all of them stay in the caches.
constexpr int kDepth = 8;

template <bool kChange>
static void sweep(const Grid &grid, const Steps &steps, int depth, Vector inside, double *change) {
    const int height = grid.height(), width = grid.width();
    const ptrdiff_t step = grid.plane_step();
    for (int line = 0; line < height + depth; ++line) {
        for (int k = 0; k < depth; ++k) {
            const int y = line - k;
            if (y < 0 || y > height) continue;
            float *here = grid.row(y), *above = grid.row(y - 1);
            Vector changed = all(0.0f);
            if (y == 0) {
                changed = pass<Rows::Flow, kChange>(here, above, step, width, steps, inside);
            } else if (y < height) {
                changed = pass<Rows::Both, kChange>(here, above, step, width, steps, inside);
            } else {
                pass<Rows::Dual, kChange>(here, above, step, width, steps, inside);
            }
            if (y < height) {  // no gradient across the right border
                here[U1 * step + width] = here[U1 * step + width - 1];
                here[U2 * step + width] = here[U2 * step + width - 1];
            }
            if (kChange) change[k] += sum(changed);
        }
    }
}

// How many iterations may be made before the change, which last fell from `before` to `now`, can be down to `enough`:
// a little less than a constant rate of decay says, so that the end is seldom overrun.
static int forecast(double before, double now, double enough) {
    if (before <= 0) return 1;
    if (!(now < before)) return kDepth;
    const double left = 0.7 * std::log(enough / now) / std::log(now / before);
    return left < kDepth ? std::max(1, int(left)) : kDepth;
}

// The iterations of one warp, at most `most`. Returns whether the flow has settled: changed by `enough` or less.
static bool relax(const Grid &grid, const Steps &steps, int most, double enough) {
    alignas(64) float mask[TVL1_WIDTH];
    const int rest = grid.width() % TVL1_WIDTH;
    for (int i = 0; i < TVL1_WIDTH; ++i) mask[i] = rest == 0 || i < rest ? 1.0f : 0.0f;
    const Vector inside = load(mask);
    if (enough <= 0) {
        for (int done = 0; done < most; done += kDepth)
            sweep<false>(grid, steps, std::min(kDepth, most - done), inside, nullptr);
        return false;
    }
    double before = 0, now = 0;
    for (int done = 0; done < most;) {
        const int depth = std::min(forecast(before, now, enough), most - done);
        double change[kDepth] = {};
        sweep<true>(grid, steps, depth, inside, change);
        for (int k = 0; k < depth; ++k)
            if (change[k] <= enough) return true;
        done += depth;
        before = depth > 1 ? change[depth - 2] : now;
        now = change[depth - 1];
    }
    return false;
}
