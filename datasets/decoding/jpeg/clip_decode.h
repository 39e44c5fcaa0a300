// What a view shows of one image: only the columns and rows that its filter reaches are decoded.
#ifndef STS_NET_CLIP_DECODE_H
#define STS_NET_CLIP_DECODE_H

#include "clip_avx.h"
#include "clip_jpeg.h"

namespace clip {

// A view of frames of one size, prepared for many of them.
struct Plan {
    Axis across, down;
    AlongRows along_rows;
    DownColumns down_columns;
    int isa;
    int scale = 1;  // divisor of the size that images are decoded at
    int height, width;
};

inline Span span(int begin, int length, int size, int window, int kept, int scale) {
    if (scale == 1) return {0, double(length), begin, begin + length, size, window, kept};
    const int first = begin / 2, last = (begin + length + 1) / 2;
    return {begin / 2.0 - first, length / 2.0, first, last, size, window, kept};
}

inline Plan make_plan(const clip_view &view, int height, int width, int isa) {
    Plan plan;
    if (view.fast && view.box_height >= 2 * view.height && view.box_width >= 2 * view.width) plan.scale = 2;
    plan.across = make_axis(span(view.box_left, view.box_width, view.width, view.left, view.columns, plan.scale),
                            view.flip != 0);
    plan.down = make_axis(span(view.box_top, view.box_height, view.height, view.top, view.rows, plan.scale), false);
    plan.height = height, plan.width = width, plan.isa = isa;
    plan.along_rows = plan.across.copies ? baseline::copy_rows : along_rows_of(isa);
    plan.down_columns = plan.down.copies ? baseline::copy_row : down_columns_of(isa);
    return plan;
}

// Memory of a thread, for its next calls.
struct Scratch {
    Image image;
    Buffer decoded, pixels, rows, line;
};

// The second pass: `columns.channels` planes `plane` bytes apart.
inline void finish(const Plan &plan, const Columns &columns, const uint8_t *rows, Buffer &line, uint8_t *out,
                   int64_t plane) {
    uint8_t *const whole = line.get(size_t(columns.stride) + 64);
    for (int y = 0; y < plan.down.size; ++y) {
        plan.down_columns(plan.down, y, rows, columns.stride, whole);
        for (int c = 0; c < columns.channels; ++c)
            std::memcpy(out + c * plane + int64_t(y) * plan.across.size, whole + ptrdiff_t(c) * columns.pitch,
                        size_t(plan.across.size));
    }
}

inline uint8_t *intermediate(const Plan &plan, const Columns &columns, Buffer &rows) {
    return rows.get(size_t(plan.down.length + plan.down.taps + MARGIN) * size_t(columns.stride));
}

// Columns [left, right) that must be decoded so that those of `axis` come out as of the whole image: fancy upsampling
// looks a column further, and does not run on very narrow images.
inline void crop(jpeg_decompress_struct &info, const Axis &axis, JDIMENSION &left, JDIMENSION &width) {
    const JDIMENSION all = info.output_width;
    const JDIMENSION step = JDIMENSION(info.max_h_samp_factor) * 8;
    JDIMENSION first = JDIMENSION(std::max(axis.first - 1, 0)) / step * step;
    const JDIMENSION last = std::min(all, (JDIMENSION(axis.first + axis.length) / step + 1) * step);
    if (last - first < 2 * step) first = first < step ? 0 : first - step;
    left = first, width = last - first;
    if (width < all) library.jpeg_crop_scanline(&info, &left, &width);
}

// The first pass on the rows of an image whose header was read.
inline void decode_rows(Image &image, const Plan &plan, Columns &columns, Scratch &scratch, uint8_t *out) {
    jpeg_decompress_struct &info = image.info;
    info.out_color_space = columns.pixel == 1 ? JCS_GRAYSCALE : JCS_EXT_RGBX;
    info.dct_method = JDCT_ISLOW;
    info.scale_num = 1, info.scale_denom = unsigned(plan.scale);
    library.jpeg_start_decompress(&info);
    JDIMENSION left = 0, width = 0;
    crop(info, plan.across, left, width);
    const int skipped = plan.down.first;
    if (skipped > 0) library.jpeg_skip_scanlines(&info, JDIMENSION(skipped));
    const size_t room = size_t(padded(int(width) * columns.pixel + 4 * plan.across.taps + 128, 64));
    uint8_t *const memory = scratch.decoded.get(room * ROWS);
    JSAMPROW lines[ROWS];
    const uint8_t *starts[ROWS];
    for (int i = 0; i < ROWS; ++i) {
        lines[i] = memory + room * size_t(i) + 8;  // libjpeg-turbo writes aligned rows past the cache
        starts[i] = lines[i] + (plan.across.first - ptrdiff_t(left)) * columns.pixel;
    }
    for (int done = 0; done < plan.down.length;) {
        const int wanted = std::min(ROWS, plan.down.length - done);
        for (int have = 0; have < wanted;) {
            const JDIMENSION got = library.jpeg_read_scanlines(&info, lines + have, JDIMENSION(wanted - have));
            if (!got) image.stop(CLIP_DAMAGED, "it is cut short");
            have += int(got);
        }
        plan.along_rows(columns, starts, wanted, out + ptrdiff_t(done) * columns.stride);
        done += wanted;
    }
}

// Tables of the pass along rows of grey levels and of colours, made when the first such image comes.
class Tables {
public:
    Tables(const Plan &plan, Buffer &pixels) : plan_(plan), pixels_(pixels) {}
    Columns &get(bool colour) {
        Columns &columns = columns_[colour];
        if (!columns.axis) {
            columns = make_columns(plan_.across, colour ? 4 : 1, colour ? 3 : 1);
            columns.scratch = &pixels_;
            prepare(columns, plan_.isa, plan_.across.length * columns.pixel + 128);
        }
        return columns;
    }

private:
    const Plan &plan_;
    Buffer &pixels_;
    Columns columns_[2];
};

inline int32_t decode_image(const Plan &plan, Tables &tables, Scratch &scratch, const uint8_t *data, int64_t size,
                            int channels, uint8_t *out, int64_t plane, clip_failure *failure) {
    const Columns *columns = nullptr;
    const uint8_t *rows = nullptr;
    const int32_t code = scratch.image.run(data, size, failure, [&](Image &image) {
        image.read_header(data, size);
        if (int(image.info.image_width) != plan.width || int(image.info.image_height) != plan.height) {
            char reason[40];
            std::snprintf(reason, sizeof reason, "%ux%u", image.info.image_width, image.info.image_height);
            image.stop(CLIP_OTHER_SIZE, reason);
        }
        Columns &fitting = tables.get(channels == 3 && image.info.num_components == 3);
        uint8_t *const memory = intermediate(plan, fitting, scratch.rows);
        columns = &fitting, rows = memory;
        decode_rows(image, plan, fitting, scratch, memory);
    });
    if (code != CLIP_OK) return code;
    finish(plan, *columns, rows, scratch.line, out, plane);
    const size_t area = size_t(plan.down.size) * size_t(plan.across.size);
    for (int c = columns->channels; c < channels; ++c) std::memcpy(out + c * plane, out, area);
    return CLIP_OK;
}

}  // namespace clip

#endif
