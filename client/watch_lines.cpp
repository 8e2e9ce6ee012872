#include "client/watch_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "client/cells.h"
#include "client/event_text.h"
#include "common/duration_text.h"
#include "common/printable.h"
#include "common/size_text.h"

namespace pullama::client {
namespace {

std::string name_of_transfer(const Transfer& transfer) {
  std::string name = printable(transfer.model.empty() ? transfer.job : transfer.model, 400);
  if (transfer.kind != proto::JobKind::kPull) name = fmt::format("{} {}", proto::name_of(transfer.kind), name);
  return name;
}

Line total_line(const std::vector<const Transfer*>& running, std::size_t width) {
  Figures sum;
  for (const Transfer* transfer : running) {
    sum.done_bytes += std::min(transfer->done_bytes, UINT64_MAX - sum.done_bytes);
    sum.total_bytes += std::min(transfer->total_bytes, UINT64_MAX - sum.total_bytes);
    sum.bytes_per_second += transfer->rate;
  }
  Line line{{fmt::format("total {} transfers", running.size()), Tone::kMuted}};
  if (sum.total_bytes > 0) {
    line.push_back({fmt::format(" {}% ", percent_of(sum.done_bytes, sum.total_bytes)), Tone::kText});
    line.push_back({size_pair(sum.done_bytes, sum.total_bytes, false), Tone::kBytes});
  }
  line.push_back({" · " + format_rate(sum.bytes_per_second), Tone::kInfo});
  return fit(line, width);
}

}  // namespace

Line watch_line(const Transfer& transfer, std::size_t width, std::size_t bar, bool ascii, std::size_t name_cells) {
  std::string name = name_of_transfer(transfer);
  // What tells names apart is at their end.
  if (name_cells > 1 && cell_width(name) > name_cells) {
    name = "…" + std::string(cut_cells_in_front(name, name_cells - 1));
  }
  const Line title{{name, Tone::kText}};
  Line line = name_cells > 0 ? fill(title, name_cells) : title;
  line.push_back({" ", Tone::kText});
  const std::size_t left = width > width_of(line) ? width - width_of(line) : 0;
  if (transfer.state == proto::JobState::kActive && transfer.total_bytes > 0) {
    Figures figures = transfer.figures();
    std::string more;
    if (transfer.connections > 0) more = fmt::format("{}{} conn", ascii ? " . " : " · ", transfer.connections);
    const std::size_t for_more = left > 70 ? cell_width(more) : 0;
    for (Span& span : progress_line(figures, left - for_more, bar, ascii)) line.push_back(std::move(span));
    if (for_more > 0) line.push_back({more, Tone::kMuted});
  } else {
    std::string words(proto::name_of(transfer.state));
    std::replace(words.begin(), words.end(), '_', ' ');
    if (transfer.state == proto::JobState::kActive) words = "fetching manifest";
    if (transfer.total_bytes > 0) words += fmt::format(" {}%", transfer.percent);
    if (!transfer.waits_for.empty()) words += " · " + printable(transfer.waits_for, 300);
    line.push_back({words, Tone::kMuted});
  }
  return fit(line, width);
}

Line finished_line(const Transfer& transfer) {
  const std::string name = name_of_transfer(transfer);
  if (transfer.state == proto::JobState::kCompleted) {
    std::string words = fmt::format(" completed {}", name);
    if (transfer.summary) {
      words +=
          fmt::format(" {} {}", format_size(transfer.summary->total_bytes), format_duration(transfer.summary->elapsed));
    }
    return {{"✓", Tone::kSuccess}, {words, Tone::kText}};
  }
  if (transfer.state == proto::JobState::kCancelled) return {{"·", Tone::kMuted}, {" cancelled " + name, Tone::kText}};
  std::string words = " failed " + name;
  if (transfer.error) words += ": " + printable(transfer.error->message, 512);
  return {{"✗", Tone::kError}, {words, Tone::kText}};
}

std::vector<Line> watch_lines(const View& view, const proto::QueueView& queue, std::size_t columns, std::size_t rows,
                              bool ascii) {
  std::vector<const Transfer*> running, queued;
  for (const Transfer* transfer : view.transfers()) {
    if (transfer->is_finished()) continue;
    (transfer->state == proto::JobState::kQueued ? queued : running).push_back(transfer);
  }
  std::vector<Line> lines;
  std::size_t name_cells = 0;
  for (const Transfer* transfer : running) name_cells = std::max(name_cells, cell_width(name_of_transfer(*transfer)));
  name_cells = std::min(name_cells, columns * 3 / 10);
  for (const Transfer* transfer : running) {
    lines.push_back(watch_line(*transfer, columns, bar_cells(columns), ascii, std::max<std::size_t>(name_cells, 1)));
  }
  if (running.size() > 1) lines.push_back(total_line(running, columns));
  std::size_t waiting = queued.size();
  for (const proto::QueueEntry& entry : queue.entries) {
    if (entry.state != proto::JobState::kQueued || lines.size() + 2 > rows) continue;
    lines.push_back(
        fit({{fmt::format("  · {} {} queued", entry.position, printable(entry.model, 400)), Tone::kMuted}}, columns));
    waiting -= std::min<std::size_t>(waiting, 1);
  }
  if (waiting > 0) lines.push_back(fit({{fmt::format("  · {} more queued", waiting), Tone::kMuted}}, columns));
  if (lines.empty()) lines.push_back(fit({{"nothing is under way; Ctrl-C leaves", Tone::kMuted}}, columns));
  if (lines.size() > rows) {
    const std::size_t hidden = lines.size() - rows + 1;
    lines.resize(rows);
    lines.back() = fit({{fmt::format("… {} more", hidden), Tone::kMuted}}, columns);
  }
  return lines;
}

}  // namespace pullama::client
