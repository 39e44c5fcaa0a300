// File names with a number in them, as "frames/%05d.jpg".
#ifndef STS_NET_CPP_PATTERN_H
#define STS_NET_CPP_PATTERN_H

#include <string>

#include "files.h"

/// A printf-like pattern with exactly one number, %d or %01d to %09d; %% is a percent sign.
///
/// The number is put in by this class: what a user gave is never the format of a printf.
class Pattern {
public:
    /// Throws a `Failure` that begins with `role` for any other text.
    Pattern(const std::string &text, const std::string &role) {
        bool numbered = false;
        for (std::size_t i = 0; i < text.size(); ++i) {
            std::string &part = numbered ? after_ : before_;
            if (text[i] != '%') {
                part += text[i];
            } else if (text.compare(i, 2, "%%") == 0) {
                part += '%';
                ++i;
            } else {
                const std::size_t length = conversion(text, i);
                if (length == 0 || numbered) throw Failure(role + " '" + text + "': " + kRule);
                numbered = true;
                i += length - 1;
            }
        }
        if (!numbered) throw Failure(role + " '" + text + "': " + kRule);
    }

    /// The path of file `number`, which is not negative.
    fs::path path(long number) const {
        const std::string digits = std::to_string(number);
        return before_ + std::string(width_ > digits.size() ? width_ - digits.size() : 0, '0') + digits + after_;
    }

private:
    static constexpr const char *kRule =
        "must hold exactly one number, written %d or with its digits as %05d, and %% for every percent sign";

    /// Length of the number's conversion at `start`, whose width is kept; 0 if it is anything else.
    std::size_t conversion(const std::string &text, std::size_t start) {
        if (text.compare(start, 2, "%d") == 0) return 2;
        const bool padded = text.size() >= start + 4 && text[start + 1] == '0' && text[start + 3] == 'd';
        if (!padded || text[start + 2] < '1' || text[start + 2] > '9') return 0;
        width_ = static_cast<std::size_t>(text[start + 2] - '0');
        return 4;
    }

    std::string before_, after_;
    std::size_t width_ = 0;
};

#endif
