// The command line of tvl1_videoframes.
#ifndef STS_NET_CPP_OPTIONS_H
#define STS_NET_CPP_OPTIONS_H

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "files.h"
#include "video.h"

struct Options {
    std::vector<std::string> arguments;  // those that are no options
    bool help = false, video = false, cuda = false;
    std::string preset = "opencv";
    int threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    Geometry geometry;
    int quality = 95;
    double bound = 20;
    bool rounds = false;
};

/// `text` as a number in [least, most].
inline double number(const std::string &name, const std::string &text, double least, double most) {
    char *end = nullptr;
    const bool begins = !text.empty() && std::isspace(static_cast<unsigned char>(text[0])) == 0;
    const double value = begins ? std::strtod(text.c_str(), &end) : NAN;
    if (begins && *end == '\0' && least <= value && value <= most) return value;
    const auto plain = [](double limit) { return cv::format("%.10g", limit); };
    throw Failure(name + " '" + text + "': must be a number from " + plain(least) + " to " + plain(most));
}

/// `text` as a whole number in [least, most].
inline int whole_number(const std::string &name, const std::string &text, int least, int most) {
    const double value = number(name, text, least, most);
    if (value != std::floor(value)) throw Failure(name + " '" + text + "': must be a whole number");
    return static_cast<int>(value);
}

/// Frames per second or pixels, of which 0 stands for the video's own.
inline double number_or_own(const std::string &name, const std::string &text, double least, double most) {
    const double value = number(name, text, 0, most);
    return value == 0 ? 0 : number(name, text, least, most);
}

/// Whether `text` names the second of two choices, `first` and `second`.
inline bool is_second(const std::string &name, const std::string &text, const char *first, const char *second) {
    if (text == second) return true;
    if (text == first) return false;
    throw Failure(name + " '" + text + "' does not exist; choose from " + first + ", " + second);
}

using Setter = std::function<void(Options &, const std::string &name, const std::string &value)>;

/// An option: whether only --video has it, whether a value follows it, and what it sets.
struct Option {
    bool of_video, takes_value;
    Setter set;
};

inline const std::map<std::string, Option> &known_options() {
    using Text = const std::string &;
    static const std::map<std::string, Option> options{
        {"--help", {false, false, [](Options &o, Text, Text) { o.help = true; }}},
        {"--video", {false, false, [](Options &o, Text, Text) { o.video = true; }}},
        {"--cuda", {false, false, [](Options &o, Text, Text) { o.cuda = true; }}},
        {"--preset", {false, true, [](Options &o, Text, Text v) { o.preset = v; }}},
        {"--threads", {false, true, [](Options &o, Text n, Text v) { o.threads = whole_number(n, v, 1, 1024); }}},
        {"--fps", {true, true, [](Options &o, Text n, Text v) { o.geometry.fps = number_or_own(n, v, 0.01, 999); }}},
        {"--short_side",
         {true, true, [](Options &o, Text n, Text v) { o.geometry.short_side = whole_number(n, v, 0, kMaxSide); }}},
        {"--allow_short", {true, false, [](Options &o, Text, Text) { o.geometry.allow_short = true; }}},
        {"--quality", {true, true, [](Options &o, Text n, Text v) { o.quality = whole_number(n, v, 1, 100); }}},
        {"--bound", {true, true, [](Options &o, Text n, Text v) { o.bound = number(n, v, 1e-6, 1e6); }}},
        {"--quant", {true, true, [](Options &o, Text n, Text v) { o.rounds = is_second(n, v, "truncate", "round"); }}},
    };
    return options;
}

/// Options of the words after the program's name; "--name=value" is "--name value", and "--" ends the options.
inline Options parse_options(const std::vector<std::string> &words) {
    Options options;
    std::string of_video;  // an option given that only --video has
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words[i] == "--") {
            options.arguments.insert(options.arguments.end(), words.begin() + static_cast<long>(i) + 1, words.end());
            break;
        }
        if (words[i].size() < 2 || words[i][0] != '-') {
            options.arguments.push_back(words[i]);
            continue;
        }
        const std::size_t equals = words[i].find('=');
        const std::string name = words[i].substr(0, equals);
        const auto found = known_options().find(name);
        if (found == known_options().end()) throw Failure("unknown option " + name + " (see --help)");
        const Option &option = found->second;
        std::string value;
        if (equals != std::string::npos) value = words[i].substr(equals + 1);
        else if (option.takes_value && ++i < words.size()) value = words[i];
        if (option.takes_value && value.empty()) throw Failure(name + " needs a value (see --help)");
        if (!option.takes_value && equals != std::string::npos) throw Failure(name + " takes no value (see --help)");
        option.set(options, name, value);
        if (option.of_video) of_video = name;
    }
    if (!of_video.empty() && !options.video && !options.help) throw Failure(of_video + " is only for --video");
    return options;
}

#endif
