#pragma once
// The progress line: bar, percentage, sizes, rate, time left. Always at most as wide as asked: the bar shrinks first,
// then the time left, the rate and the sizes go, the percentage last. Percentages are rounded down, so 100 means done.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "client/line.h"

namespace pullama::client {

unsigned percent_of(std::uint64_t done, std::uint64_t total);

// Cells that the bar gets on a terminal of that many columns.
std::size_t bar_cells(std::size_t columns);

struct Figures {
  std::uint64_t done_bytes = 0, total_bytes = 0;
  unsigned percent = 0;
  double bytes_per_second = 0;
  std::optional<std::chrono::seconds> eta;
};

// "2.9 GB/4.4 GB", "3.1/4.7 GB" where `shared_unit` and both have the same unit.
std::string size_pair(std::uint64_t done, std::uint64_t total, bool shared_unit);

// The bar alone, in brackets: two cells more than `cells`.
Line draw_bar(const Figures& figures, std::size_t cells, bool ascii);

// `bar` is the most cells that the bar may take; `ascii` draws it with # and dots.
Line progress_line(const Figures& figures, std::size_t width, std::size_t bar, bool ascii);

}  // namespace pullama::client
