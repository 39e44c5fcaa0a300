"""The coder of packed clips under the address and undefined-behaviour sanitizers, on data of any kind."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow  # compiles for some seconds

# Codes random bits again and back, and cuts random payloads; every buffer has exactly its size. Prints how often each
# code of restart.h came back.
DRIVER = r"""
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "datasets/jpeg/restart.h"

static std::mt19937 generator(0);

static int up_to(int most) { return int(generator() % unsigned(most + 1)); }

static void check(bool right, const char *what) {
    if (!right) std::printf("WRONG %s\n", what), std::exit(1);
}

// Short codes for a few symbols, of which most end a block: random bits are then often whole images.
static restart_scan make_scan(int columns, int rows, int interval, int blocks, bool broken) {
    restart_scan scan = {};
    scan.columns = columns, scan.rows = rows, scan.interval = interval, scan.blocks = blocks;
    const unsigned char symbols[] = {0, 0, 1, 2, 0x11, 0xF0, 0x35, 10};
    for (int i = 0; i < 10; ++i) scan.component[i] = i % 3, scan.dc[i] = i % 4, scan.ac[i] = 4 + i % 4;
    for (int table = 0; table < 8; ++table) {
        scan.lengths[table][0] = 1, scan.lengths[table][3] = 6;  // a code of one bit, six of four
        for (int i = 0; i < 7; ++i) scan.values[table][i] = table < 4 ? (unsigned char)i : symbols[i + 1];
        if (table >= 4) scan.values[table][0] = 0;
        if (broken) scan.lengths[table][up_to(15)] = (unsigned char)up_to(255);
    }
    return scan;
}

static std::vector<unsigned char> noise(int size) {
    std::vector<unsigned char> data(size);
    for (auto &byte : data) byte = up_to(9) ? up_to(255) & up_to(255) : up_to(255);
    return data;
}

int main() {
    int seen[8] = {}, same = 0;
    for (int i = 0; i < 60000; ++i) {
        const int blocks = 1 + up_to(9), rows = 1 + up_to(2), columns = 1 + up_to(3), interval = up_to(3);
        const bool broken = up_to(20) == 0;  // tables that name a symbol twice, or more codes than there are
        const restart_scan from = make_scan(columns, rows, up_to(9) ? 0 : up_to(3), blocks, broken);
        restart_scan to = from;
        to.interval = interval, to.columns = interval ? (columns + interval - 1) / interval * interval : columns;
        const auto data = noise(up_to(200));
        std::vector<uint32_t> lengths(interval ? to.columns * rows / interval : 1);
        std::vector<unsigned char> out(up_to(3) ? 4000 : up_to(60));
        restart_result result = {};
        result.out = out.data(), result.capacity = out.size(), result.lengths = lengths.data(), result.markers = 1;
        const int code = restart_transcode(&from, data.data(), data.size(), &to, &result);
        if (!broken) ++seen[code];
        if (code != RESTART_OK || broken) continue;
        check(result.consumed <= data.size() && result.written <= out.size(), "sizes");
        std::vector<unsigned char> packed(out.begin(), out.begin() + result.written), back(4000);
        restart_result again = {};
        again.out = back.data(), again.capacity = back.size(), again.markers = 1;
        check(restart_transcode(&to, packed.data(), packed.size(), &from, &again) == RESTART_OK, "way back");
        check(again.written == result.consumed, "length of the way back");
        same += std::equal(back.begin(), back.begin() + again.written - 1, data.begin());  // the last byte is filled up
        std::vector<uint64_t> counts(8 * 256);
        restart_result counted = {};
        counted.counts = counts.data();
        check(restart_transcode(&from, data.data(), data.size(), &to, &counted) == RESTART_OK, "counting");
    }
    int cuts = 0;
    for (int i = 0; i < 60000; ++i) {
        const int across = 1 + up_to(3), down = 1 + up_to(3);
        auto data = noise(up_to(40));
        int total = 0;
        for (int k = 0; k < across * down && k < int(data.size()) && up_to(9); ++k) data[k] &= 3, total += data[k];
        if (up_to(1)) data.resize(std::min<size_t>(data.size(), across * down + total));
        restart_window window = {across, down, up_to(3) - 1, up_to(3) - 1, up_to(4), up_to(4)};
        const uint64_t starts[1] = {uint64_t(up_to(20) ? 0 : up_to(50))}, sizes[1] = {data.size() + !up_to(20)};
        std::vector<unsigned char> header(3), out(up_to(2) ? 200 : up_to(30));
        uint64_t ends[1] = {};
        const int code = restart_cut(data.data(), data.size(), starts, sizes, 1, &window, header.data(), header.size(),
                                     out.data(), out.size(), ends);
        cuts += code == RESTART_OK;
        check(code != RESTART_OK || ends[0] <= out.size(), "end of a cut");
    }
    for (int i = 0; i < 5; ++i) std::printf("%d ", seen[i]);
    std::printf("%d %d\n", same, cuts);
}
"""


def test_damaged_entropy_code_is_read_and_written_inside_of_its_memory(tmp_path):
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    (tmp_path / "driver.cpp").write_text(DRIVER)
    sources = [str(tmp_path / "driver.cpp"), str(ROOT / "datasets" / "jpeg" / "restart.cpp")]
    flags = ["-std=c++17", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}"]
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    program = str(tmp_path / "driver")
    subprocess.run([compiler, *flags, *sanitizers, *sources, "-o", program], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    sound, argument, damaged, no_code, no_room, same, cuts = map(int, done.stdout.split())
    assert argument == 0
    assert min(sound, damaged, no_code, no_room, cuts) > 100
    assert same == sound
