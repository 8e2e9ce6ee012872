#pragma once
// Sizes and rates as people read and type them. Shown decimal, as Ollama does (1 kB = 1,000 B); typed with IEC suffixes
// (KiB, MiB, …) as powers of 1,024 and SI ones (k, kB, M, MB, …) as powers of 1,000, in any case.

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace pullama {

// "999 B", "125.0 kB", "4.4 GB": one decimal from 1,000 on, rounded to nearest.
std::string format_size(std::uint64_t bytes);
// "8.2 MB/s". Below zero and what is no number count as zero.
std::string format_rate(double bytes_per_second);

// "64MiB", "64MB", "64M", "8k", "1.5G", "1048576": more than zero and at most 2^53 - 1, the largest integer that every
// JSON reader keeps. `what` names the argument in the error ("--chunk-size").
Result<std::uint64_t> parse_size(std::string_view text, std::string_view what = "size");
// Bytes a second: "5M" is 5,000,000, "800k", "2MiB"; "off" is 0, no limit. A trailing "/s" is allowed.
Result<std::uint64_t> parse_rate(std::string_view text, std::string_view what = "rate");

}  // namespace pullama
