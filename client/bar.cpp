#include "client/bar.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/duration_text.h"
#include "common/size_text.h"

namespace pullama::client {
namespace {

constexpr std::size_t kLeastBar = 8;  // a shorter one gives way to what stands beside it
constexpr std::size_t kTiniestBar = 3;

}  // namespace

Line draw_bar(const Figures& figures, std::size_t cells, bool ascii) {
  const double share =
      figures.total_bytes == 0
          ? figures.percent / 100.0
          : std::min(1.0, static_cast<double>(figures.done_bytes) / static_cast<double>(figures.total_bytes));
  const bool is_full = figures.percent >= 100;
  const auto eighths =
      is_full ? cells * 8 : std::min(static_cast<std::size_t>(share * static_cast<double>(cells * 8)), cells * 8 - 1);
  static constexpr std::array<const char*, 8> kPart{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  std::string filled, track;
  for (std::size_t i = 0; i < eighths / 8; ++i) filled += ascii ? "#" : "█";
  std::size_t used = eighths / 8;
  if (!ascii && eighths % 8 != 0) {
    filled += kPart.at(eighths % 8);
    ++used;
  }
  for (std::size_t i = used; i < cells; ++i) track += ascii ? "." : "░";
  Line line{{"[", Tone::kMuted}};
  if (!filled.empty()) line.push_back({filled, is_full ? Tone::kSuccess : Tone::kBrand});
  if (!track.empty()) line.push_back({track, Tone::kTrack});
  line.push_back({"]", Tone::kMuted});
  return line;
}

unsigned percent_of(std::uint64_t done, std::uint64_t total) {
  if (total == 0) return 0;
  if (done >= total) return 100;
  // done < total, so the remainder loop stays below it; 100 * done may not fit.
  const std::uint64_t share = total >= 100 ? done / (total / 100) : done * 100 / total;
  unsigned percent = static_cast<unsigned>(std::min<std::uint64_t>(share, 99));
  const auto reaches = [&](unsigned value) {  // done/total >= value/100 without overflow
    const std::uint64_t whole = total / 100 * value, rest = (total % 100) * value;
    return done >= whole && (done - whole) >= (rest + 99) / 100;
  };
  while (percent > 0 && !reaches(percent)) --percent;
  return percent;
}

std::size_t bar_cells(std::size_t columns) { return columns < 60 ? 12 : columns < 100 ? 20 : 30; }

std::string size_pair(std::uint64_t done, std::uint64_t total, bool shared_unit) {
  const std::string left = format_size(done), right = format_size(total);
  const auto unit = [](const std::string& text) { return text.substr(std::min(text.find(' '), text.size())); };
  if (shared_unit && unit(left) == unit(right)) return left.substr(0, left.find(' ')) + "/" + right;
  return left + "/" + right;
}

Line progress_line(const Figures& figures, std::size_t width, std::size_t bar, bool ascii) {
  const std::string percent = fmt::format("{}%", figures.percent);
  Line sizes, rate, eta;
  if (figures.total_bytes > 0) {
    sizes = {{" ", Tone::kText}, {size_pair(figures.done_bytes, figures.total_bytes, false), Tone::kBytes}};
  }
  const char* dot = ascii ? " . " : " · ";
  if (figures.bytes_per_second >= 1) {
    const auto whole = static_cast<std::uint64_t>(std::min(figures.bytes_per_second, 1e18));
    rate = {{dot, Tone::kMuted}, {format_size(whole) + "/s", Tone::kInfo}};
  }
  if (figures.eta) eta = {{dot, Tone::kMuted}, {"eta " + format_duration(*figures.eta), Tone::kEta}};

  const std::size_t least = std::min(bar, kLeastBar);
  std::size_t text = percent.size() + width_of(sizes) + width_of(rate) + width_of(eta);
  const auto overhead = std::size_t{3};  // two brackets and a blank
  for (Line* piece : {&eta, &rate, &sizes}) {
    if (text + overhead + least <= width) break;
    text -= width_of(*piece);
    piece->clear();
  }
  Line line;
  if (text + overhead + kTiniestBar <= width) {
    line = draw_bar(figures, std::min(bar, width - text - overhead), ascii);
    line.push_back({" ", Tone::kText});
  }
  line.push_back({percent, Tone::kText});
  for (const Line* piece : {&sizes, &rate, &eta}) line.insert(line.end(), piece->begin(), piece->end());
  return fit(line, width);
}

}  // namespace pullama::client
