// Entropy code of baseline JPEGs (ITU-T T.81, annexes F.1.2 and F.2.2). See restart.h for use.

#include "restart.h"

#include <cstring>

namespace {

constexpr int DC_TABLES = 4, TABLES = 8, LOOK = 9;

struct Code {
    uint16_t bits;
    uint8_t length;  // 0: none
};

// Codes of one table, by symbol and by their bits.
struct Table {
    Code codes[256];
    Code look[1 << LOOK];  // short codes by the bits that begin with them; `bits` is the symbol here
    int32_t most[17], offset[17];  // of each length: largest code, or -1; index of the symbol minus the code
    const uint8_t *values;

    bool fill(const uint8_t lengths[16], const uint8_t symbols[256]) {
        std::memset(codes, 0, sizeof codes);
        std::memset(look, 0, sizeof look);
        values = symbols;
        int32_t code = 0, count = 0;
        for (int length = 1; length <= 16; ++length, code <<= 1) {
            offset[length] = count - code;
            for (int i = 0; i < lengths[length - 1]; ++i, ++code, ++count) {
                if (count == 256 || code >= 1 << length) return false;
                const uint8_t symbol = symbols[count];
                codes[symbol] = {static_cast<uint16_t>(code), static_cast<uint8_t>(length)};
                if (length <= LOOK)
                    for (int rest = 0; rest < 1 << (LOOK - length); ++rest)
                        look[(code << (LOOK - length)) + rest] = {symbol, static_cast<uint8_t>(length)};
            }
            most[length] = lengths[length - 1] ? code - 1 : -1;
        }
        return true;
    }
};

// Bits up to the next marker.
struct Reader {
    const uint8_t *at, *end;
    uint64_t word = 0;  // next bits, from the highest on
    int have = 0;       // of them
    bool damaged = false;

    void fill() {
        while (have <= 56 && at < end) {
            const uint8_t byte = *at;
            if (byte == 0xFF) {
                if (end - at < 2 || at[1] != 0) return;
                ++at;
            }
            ++at;
            word |= static_cast<uint64_t>(byte) << (56 - have);
            have += 8;
        }
    }

    uint32_t take(int count) {
        if (count == 0) return 0;
        if (have < count) fill();
        const auto bits = static_cast<uint32_t>(word >> (64 - count));
        drop(count);
        return bits;
    }

    void drop(int count) {
        if (have < count) {
            damaged = true;
            return;
        }
        word <<= count;
        have -= count;
    }

    int symbol(const Table &table) {
        if (have < 16) fill();
        const Code found = table.look[word >> (64 - LOOK)];
        if (found.length) {
            drop(found.length);
            return found.bits;
        }
        for (int length = LOOK + 1; length <= 16; ++length) {
            const auto code = static_cast<int32_t>(word >> (64 - length));
            if (code <= table.most[length]) {
                drop(length);
                return table.values[code + table.offset[length]];
            }
        }
        damaged = true;
        return 0;
    }

    // The bits that fill up the last byte, after which only a marker may come.
    void align() {
        fill();
        damaged |= have >= 8;
        word = 0;
        have = 0;
    }

    void marker(int number) {
        align();
        if (end - at < 2 || at[0] != 0xFF || at[1] != 0xD0 + number) {
            damaged = true;
            return;
        }
        at += 2;
    }
};

struct Writer {
    uint8_t *at, *end;
    uint64_t word = 0;
    int have = 0;
    bool full = false;

    void byte(uint8_t value) {
        if (at == end) {
            full = true;
            return;
        }
        *at++ = value;
    }

    void put(uint32_t bits, int count) {
        word = word << count | bits;
        have += count;
        while (have >= 8) {
            have -= 8;
            const auto value = static_cast<uint8_t>(word >> have);
            byte(value);
            if (value == 0xFF) byte(0);
        }
    }

    void align() {
        if (have) put((1u << (8 - have)) - 1, 8 - have);
    }
};

bool fits(const restart_scan &scan) {
    const bool sane = scan.columns > 0 && scan.rows > 0 && scan.columns <= 8192 && scan.rows <= 8192 &&
                      scan.interval >= 0 && scan.blocks > 0 && scan.blocks <= 10;
    for (int i = 0; sane && i < scan.blocks; ++i) {
        const int c = scan.component[i], dc = scan.dc[i], ac = scan.ac[i];
        if (c < 0 || c > 3 || dc < 0 || dc >= DC_TABLES || ac < DC_TABLES || ac >= TABLES) return false;
    }
    return sane;
}

class Transcoder {
public:
    Transcoder(const restart_scan &from, const restart_scan &to, const uint8_t *data, size_t size,
               restart_result &result)
        : from_(from), to_(to), result_(result), reader_{data, data + size},
          writer_{result.out, result.out + (result.counts ? 0 : result.capacity)} {}

    int run(const uint8_t *data) {
        if (!fill_tables()) return RESTART_DAMAGED;
        const int columns = from_.columns > to_.columns ? from_.columns : to_.columns;
        for (int row = 0; row < to_.rows; ++row)
            for (int column = 0; column < columns; ++column) {
                const bool reads = column < from_.columns, writes = column < to_.columns;
                if (reads) begin_reading();
                if (writes) begin_writing();
                for (int block = 0; block < to_.blocks; ++block) code_block(block, reads, writes);
                if (reader_.damaged) return RESTART_DAMAGED;
                if (missing_) return RESTART_NO_CODE;
                if (writer_.full) return RESTART_NO_ROOM;
            }
        end_interval();
        reader_.align();
        if (reader_.damaged) return RESTART_DAMAGED;
        if (writer_.full) return RESTART_NO_ROOM;
        result_.consumed = static_cast<size_t>(reader_.at - data);
        result_.written = static_cast<size_t>(writer_.at - result_.out);
        return RESTART_OK;
    }

private:
    bool fill_tables() {
        for (int i = 0; i < TABLES; ++i) {
            if (!old_[i].fill(from_.lengths[i], from_.values[i])) return false;
            if (!result_.counts && !new_[i].fill(to_.lengths[i], to_.values[i])) return false;
        }
        segment_start_ = writer_.at;
        return true;
    }

    void begin_reading() {
        if (from_.interval && read_ && read_ % from_.interval == 0) {
            reader_.marker((read_ / from_.interval - 1) & 7);
            std::memset(old_dc_, 0, sizeof old_dc_);
        }
        ++read_;
    }

    void begin_writing() {
        if (to_.interval && written_ && written_ % to_.interval == 0) {
            end_interval();
            if (result_.markers && !result_.counts) {
                writer_.byte(0xFF);
                writer_.byte(static_cast<uint8_t>(0xD0 + ((written_ / to_.interval - 1) & 7)));
            }
            segment_start_ = writer_.at;
            std::memset(new_dc_, 0, sizeof new_dc_);
        }
        ++written_;
    }

    void end_interval() {
        if (result_.counts) return;
        writer_.align();
        if (result_.lengths) result_.lengths[segment_++] = static_cast<uint32_t>(writer_.at - segment_start_);
    }

    void put(int table, int symbol, uint32_t bits, int count) {
        if (result_.counts) {
            ++result_.counts[table * 256 + symbol];
            return;
        }
        const Code code = new_[table].codes[symbol];
        missing_ |= code.length == 0;
        writer_.put(code.bits, code.length);
        if (count) writer_.put(bits, count);
    }

    void code_block(int block, bool reads, bool writes) {
        const int component = to_.component[block];
        if (reads) {
            old_dc_[component] += read_difference(from_.dc[block]);
            reader_.damaged |= old_dc_[component] > 1 << 16 || old_dc_[component] < -(1 << 16);
        }
        if (writes) {
            const int value = reads ? old_dc_[component] : new_dc_[component];
            write_difference(to_.dc[block], value - new_dc_[component]);
            new_dc_[component] = value;
        }
        if (reads) code_ac(from_.ac[block], to_.ac[block], writes);
        else put(to_.ac[block], 0, 0, 0);  // end of block
    }

    int read_difference(int table) {
        const int size = reader_.symbol(old_[table]);
        if (size > 11) {
            reader_.damaged = true;
            return 0;
        }
        const auto bits = static_cast<int>(reader_.take(size));
        return size && bits < 1 << (size - 1) ? bits - (1 << size) + 1 : bits;
    }

    void write_difference(int table, int difference) {
        int size = 0;
        for (int rest = difference < 0 ? -difference : difference; rest; rest >>= 1) ++size;
        if (size > 11) {  // only damaged data sum up to this
            reader_.damaged = true;
            return;
        }
        const int bits = difference < 0 ? difference + (1 << size) - 1 : difference;
        put(table, size, static_cast<uint32_t>(bits), size);
    }

    void code_ac(int from, int to, bool writes) {
        for (int k = 1; k < 64 && !reader_.damaged; ++k) {
            const int symbol = reader_.symbol(old_[from]), size = symbol & 15;
            const uint32_t bits = reader_.take(size);
            if (writes) put(to, symbol, bits, size);
            if (symbol == 0) return;
            k += symbol >> 4;
            reader_.damaged |= k > 63 || size > 10 || (size == 0 && symbol != 0xF0);
        }
    }

    const restart_scan &from_, &to_;
    restart_result &result_;
    Reader reader_;
    Writer writer_;
    Table old_[TABLES], new_[TABLES];
    int old_dc_[4] = {}, new_dc_[4] = {};
    int read_ = 0, written_ = 0, segment_ = 0;  // MCUs, MCUs, segments
    uint8_t *segment_start_ = nullptr;
    bool missing_ = false;
};

// One image cut to a window; returns the end of what was written, or null.
uint8_t *cut(const uint8_t *data, size_t size, const restart_window &window, uint8_t *out, const uint8_t *end) {
    const uint8_t *const stop = data + size;
    const uint8_t *table = data;
    const int64_t segments = static_cast<int64_t>(window.across) * window.down;
    for (int64_t i = 0; i < segments; ++i) {  // the segments begin after the last length
        while (table < stop && *table & 0x80) ++table;
        if (table++ >= stop) return nullptr;
    }
    const uint8_t *segment = table, *length_at = data;
    int number = 0;
    for (int row = 0; row < window.down; ++row)
        for (int column = 0; column < window.across; ++column) {
            uint64_t length = 0;
            for (int shift = 0; shift < 35; shift += 7) {
                length |= static_cast<uint64_t>(*length_at & 0x7F) << shift;
                if (!(*length_at++ & 0x80)) break;
            }
            if (length > static_cast<uint64_t>(stop - segment)) return nullptr;
            if (row >= window.top && row < window.top + window.height && column >= window.left &&
                column < window.left + window.width) {
                if (length + 4 > static_cast<uint64_t>(end - out)) return nullptr;
                if (number) {
                    *out++ = 0xFF;
                    *out++ = static_cast<uint8_t>(0xD0 + ((number - 1) & 7));
                }
                std::memcpy(out, segment, length);
                out += length;
                ++number;
            }
            segment += length;
        }
    if (segment != stop || length_at != table) return nullptr;
    *out++ = 0xFF;
    *out++ = 0xD9;
    return out;
}

bool fits(const restart_window &window) {
    return window.across > 0 && window.down > 0 && window.left >= 0 && window.top >= 0 && window.width > 0 &&
           window.height > 0 && window.width <= window.across - window.left && window.height <= window.down - window.top;
}

}  // namespace

#ifndef RESTART_SOURCE
#define RESTART_SOURCE ""
#endif

int32_t restart_abi(void) { return RESTART_ABI; }

const char *restart_source(void) { return RESTART_SOURCE; }

int32_t restart_transcode(const restart_scan *from, const uint8_t *data, size_t size, const restart_scan *to,
                          restart_result *result) {
    if (!fits(*from) || !fits(*to) || from->blocks != to->blocks || from->rows != to->rows) return RESTART_BAD_ARGUMENT;
    return Transcoder(*from, *to, data, size, *result).run(data);
}

int32_t restart_cut(const uint8_t *data, size_t size, const uint64_t *starts, const uint64_t *sizes, int32_t images,
                    const restart_window *window, const uint8_t *header, size_t header_size, uint8_t *out,
                    size_t capacity, uint64_t *ends) {
    if (images < 1 || !fits(*window)) return RESTART_BAD_ARGUMENT;
    uint8_t *at = out;
    const uint8_t *const end = out + capacity;
    for (int32_t i = 0; i < images; ++i) {
        const bool inside = starts[i] <= size && sizes[i] <= size - starts[i];
        if (!inside || header_size > static_cast<size_t>(end - at)) {
            ends[0] = static_cast<uint64_t>(i);
            return inside ? RESTART_NO_ROOM : RESTART_DAMAGED;
        }
        std::memcpy(at, header, header_size);
        at = cut(data + starts[i], sizes[i], *window, at + header_size, end);
        if (!at) {
            ends[0] = static_cast<uint64_t>(i);
            return RESTART_DAMAGED;
        }
        ends[i] = static_cast<uint64_t>(at - out);
    }
    return RESTART_OK;
}
