"""The image loader under the address and undefined-behaviour sanitizers: any view, and any bytes."""

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sanitizers import build_driver

from datasets.decoding.jpeg import native
from datasets.decoding.jpeg.build import KERNEL

pytestmark = [
    pytest.mark.slow,  # compiles for a quarter of a minute
    pytest.mark.skipif(bool(native.missing()), reason="no native image loader"),
]

# Decodes the files that it is given after the library, in every code path; prints a line per file and view with a hash,
# then damages each file some hundred times. Every buffer has exactly its size. With the word "refuse" it makes wrong
# calls.
DRIVER = r"""
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "datasets/decoding/jpeg/clip.h"

static unsigned state = 1;

static int draw(int below) {
    state = state * 1664525u + 1013904223u;
    return int((state >> 8) % unsigned(below));
}

static void check(bool right, const char *what) {
    if (!right) std::printf("WRONG %s\n", what), std::exit(1);
}

static clip_view any_view(int height, int width, int isa) {
    clip_view v = {};
    v.box_height = 1 + draw(height), v.box_width = 1 + draw(width);
    v.box_top = draw(height - v.box_height + 1), v.box_left = draw(width - v.box_width + 1);
    v.height = draw(4) ? 1 + draw(90) : v.box_height, v.width = draw(4) ? 1 + draw(90) : v.box_width;
    v.rows = 1 + draw(v.height), v.columns = 1 + draw(v.width);
    v.top = draw(v.height - v.rows + 1), v.left = draw(v.width - v.columns + 1);
    v.flip = draw(2), v.fast = draw(2), v.isa = isa;
    return v;
}

// Images of exactly their size, so that a read beyond their end is seen.
struct Copy {
    explicit Copy(const uint8_t *data, int64_t size) : bytes(new uint8_t[size_t(size)]), size(size) {
        std::memcpy(bytes.get(), data, size_t(size));
    }
    std::unique_ptr<uint8_t[]> bytes;
    int64_t size;
};

static int decode(const Copy &image, int height, int width, int channels, const clip_view &v,
                  std::vector<uint8_t> &out) {
    out.assign(size_t(channels) * 2 * v.rows * v.columns, 0);
    const uint8_t *data[] = {image.bytes.get(), image.bytes.get()};
    const int64_t sizes[] = {image.size, image.size};
    clip_failure failure = {};
    const int code = clip_decode(data, sizes, 2, height, width, channels, &v, out.data(), &failure);
    check(code == CLIP_OK || std::strlen(failure.reason) > 2, "reason");
    return code;
}

static unsigned hash(const std::vector<uint8_t> &bytes) {
    unsigned sum = 2166136261u;
    for (const uint8_t byte : bytes) sum = (sum ^ byte) * 16777619u;
    return sum;
}

static void decode_all(const Copy &image) {
    int32_t height = 0, width = 0, components = 0;
    clip_failure failure = {};
    check(clip_size(image.bytes.get(), image.size, &height, &width, &components, &failure) == CLIP_OK, "size");
    std::vector<uint8_t> out, first;
    for (int i = 0; i < 40; ++i) {
        clip_view v = any_view(height, width, CLIP_BASELINE);
        const int channels = draw(2) ? 3 : 1;
        check(decode(image, height, width, channels, v, first) == CLIP_OK, "code");
        for (v.isa = CLIP_AVX2; v.isa <= CLIP_AVX512; ++v.isa) {
            if (clip_isa(v.isa) != v.isa) continue;
            check(decode(image, height, width, channels, v, out) == CLIP_OK, "code");
            check(out == first, "another code path");
        }
        std::printf("%dx%d view %d: %08x\n", width, height, i, hash(first));
    }
    for (int i = 0; i < 2000; ++i) {
        Copy damaged(image.bytes.get(), draw(3) ? image.size : 1 + draw(int(image.size)));
        for (int k = draw(5); k >= 0; --k) damaged.bytes[size_t(draw(int(damaged.size)))] ^= uint8_t(1 << draw(8));
        decode(damaged, height, width, draw(2) ? 3 : 1, any_view(height, width, CLIP_AUTO), out);
    }
}

static void resample_all() {
    for (int i = 0; i < 300; ++i) {
        const int height = 1 + draw(60), width = 1 + draw(60), channels = 1 + draw(3);
        std::vector<uint8_t> frames(size_t(2) * height * width * channels), out, first;
        for (uint8_t &level : frames) level = uint8_t(draw(256));
        clip_view v = any_view(height, width, CLIP_BASELINE);
        clip_failure failure = {};
        for (; v.isa <= CLIP_AVX512; ++v.isa) {
            if (clip_isa(v.isa) != v.isa) continue;
            out.assign(size_t(channels) * 2 * v.rows * v.columns, 0);
            const Copy copy(frames.data(), int64_t(frames.size()));
            const int code = clip_resample(copy.bytes.get(), 2, height, width, channels, &v, out.data(), &failure);
            check(code == CLIP_OK, "code");
            if (v.isa == CLIP_BASELINE) first = out;
            check(out == first, "another code path");
        }
    }
}

static void read_files(const std::vector<std::string> &names) {
    clip_files *files = clip_files_new();
    for (int round = 0; round < 3; ++round) {
        std::string text;
        for (const std::string &name : names) text += name + '\0';
        clip_failure failure = {};
        check(clip_files_read(files, text.c_str(), int64_t(names.size()), &failure) == CLIP_OK, "files");
        for (size_t i = 0; i < names.size(); ++i) check(clip_files_sizes(files)[i] > 100, "size of a file");
        text += std::string("/no/such/file") + '\0';
        check(clip_files_read(files, text.c_str(), int64_t(names.size()) + 1, &failure) == CLIP_MISSING, "missing");
        check(failure.index == int64_t(names.size()), "index");
    }
    clip_failure failure = {};
    check(clip_files_read(files, "/", 1, &failure) == CLIP_UNREADABLE, "a folder");
    check(clip_files_read(files, "", 0, &failure) == CLIP_OK, "no files");
    clip_files_free(files);
}

static void refuse() {
    const uint8_t byte = 0, *data = &byte;
    const int64_t size = 1;
    uint8_t out[16];
    clip_failure failure = {};
    const clip_view right = {0, 0, 4, 4, 2, 2, 0, 0, 2, 2, 0, 0, 0};
    const auto code = [&](const clip_view &v, int height, int width, int channels) {
        const int found = clip_decode(&data, &size, 1, height, width, channels, &v, out, &failure);
        check(clip_resample(out, 0, height, width, channels, &v, out, &failure) == CLIP_BAD_ARGUMENT, "resample");
        return found == CLIP_BAD_ARGUMENT;
    };
    check(code(right, 3, 4, 3) && code(right, 4, 3, 3) && code(right, 0, 4, 3) && code(right, 4, 1 << 20, 3), "size");
    check(code(right, 4, 4, 0) && code(right, 4, 4, 5) && code(right, 4, 4, -1), "channels");
    for (int32_t field = 0; field < 10; ++field)
        for (int32_t bad : {-1, 9000, 2147483647}) {
            clip_view v = right;
            reinterpret_cast<int32_t *>(&v)[field] = bad;
            if ((field == 4 || field == 5) && bad > 0 && bad <= CLIP_MOST_PIXELS) continue;
            check(code(v, 4, 4, 3), "view");
        }
    for (int32_t isa : {-1, 4, 99}) {
        clip_view v = right;
        v.isa = isa;
        check(code(v, 4, 4, 3), "isa");
    }
}

int main(int argc, char **argv) {
    const std::string what = argv[1];
    clip_failure failure = {};
    check(clip_open(argv[2], &failure) == CLIP_OK, "library");
    if (what == "refuse") refuse();
    if (what == "decode") {
        std::vector<std::string> names(argv + 3, argv + argc);
        read_files(names);
        resample_all();
        clip_files *files = clip_files_new();
        for (const std::string &name : names) {
            check(clip_files_read(files, (name + '\0').c_str(), 1, &failure) == CLIP_OK, "file");
            decode_all(Copy(clip_files_data(files)[0], clip_files_sizes(files)[0]));
        }
        clip_files_free(files);
    }
    std::puts("done");
}
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory) -> Path:
    sources = [KERNEL.folder / source for source in KERNEL.sources]
    return build_driver(tmp_path_factory.mktemp("clip"), DRIVER, sources, "-ffp-contract=off", *KERNEL.libraries)


def drive(driver: Path, *words: str, options: str = "") -> list[str]:
    """Lines that it prints; neither a report of a sanitizer nor a wrong result."""
    env = {"ASAN_OPTIONS": options, "UBSAN_OPTIONS": "print_stacktrace=1"}
    result = subprocess.run([driver, *words], env=env, capture_output=True, text=True, timeout=600)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout[-300:]
    *lines, last = result.stdout.splitlines()
    assert last == "done"
    return lines


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[str]:
    """JPEGs of several kinds."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(1)
    kinds = [("RGB", {"subsampling": i}) for i in range(3)] + [("L", {})]
    kinds += [("RGB", {"progressive": True}), ("RGB", {"restart_marker_blocks": 2}), ("L", {"progressive": True})]
    paths = []
    for number, (mode, options) in enumerate(kinds):
        height, width = ((33, 47), (64, 80), (1, 1), (17, 16), (40, 130), (50, 50), (9, 100))[number]
        levels = rng.integers(0, 256, (height, width, 3), np.uint8)
        data = io.BytesIO()
        Image.fromarray(levels).convert(mode).save(data, "JPEG", quality=70, **options)
        paths.append(folder / f"{number}.jpg")
        paths[-1].write_bytes(data.getvalue())
    return [str(path) for path in paths]


def test_any_view_of_any_bytes_stays_within_its_memory_and_ignores_what_was_there(driver, images):
    library = native.jpeg_library()
    zero, other = (
        drive(driver, "decode", library, *images, options=f"max_malloc_fill_size=1000000000:malloc_fill_byte={byte}")
        for byte in (0, 255)
    )
    assert len(zero) == 40 * len(images)
    assert zero == other


def test_wrong_calls_are_refused_before_anything_is_touched(driver):
    assert drive(driver, "refuse", native.jpeg_library()) == []
