#include "client/watch_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>

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

// One transfer's row, or the total's, before it is known which columns there is room for.
struct Row {
  std::string name;
  bool is_total = false;
  Figures figures;
  std::string percent, sizes, rate, eta, connections;
  std::string words;  // instead of figures
};

void set_figures(Row& row, const Figures& figures, unsigned connections) {
  row.figures = figures;
  row.percent = fmt::format("{}%", figures.percent);
  row.sizes = size_pair(figures.done_bytes, figures.total_bytes, false);
  if (figures.bytes_per_second >= 1) row.rate = format_rate(figures.bytes_per_second);
  if (figures.eta) row.eta = "eta " + format_duration(*figures.eta);
  if (connections > 0) row.connections = fmt::format("{} conn", connections);
}

std::string words_of(const Transfer& transfer) {
  std::string words(proto::name_of(transfer.state));
  std::replace(words.begin(), words.end(), '_', ' ');
  if (transfer.state == proto::JobState::kActive) words = "fetching manifest";
  if (transfer.total_bytes > 0) words += fmt::format(" {}%", transfer.percent);
  if (!transfer.waits_for.empty()) words += " · " + printable(transfer.waits_for, 300);
  return words;
}

Row row_of(const Transfer& transfer) {
  Row row;
  row.name = name_of_transfer(transfer);
  if (transfer.state == proto::JobState::kActive && transfer.total_bytes > 0) {
    set_figures(row, transfer.figures(), transfer.connections);
  } else {
    row.words = words_of(transfer);
  }
  return row;
}

Row total_of(const std::vector<const Transfer*>& running) {
  Row row;
  row.name = "total";
  row.is_total = true;
  Figures sum;
  unsigned connections = 0;
  for (const Transfer* transfer : running) {
    sum.done_bytes += std::min(transfer->done_bytes, UINT64_MAX - sum.done_bytes);
    sum.total_bytes += std::min(transfer->total_bytes, UINT64_MAX - sum.total_bytes);
    sum.bytes_per_second += transfer->rate;
    connections += transfer->connections;
  }
  sum.percent = percent_of(sum.done_bytes, sum.total_bytes);
  const double left = static_cast<double>(sum.total_bytes - std::min(sum.done_bytes, sum.total_bytes));
  if (sum.bytes_per_second >= 1 && left > 0) {
    sum.eta = std::chrono::seconds(static_cast<std::int64_t>(std::min(left / sum.bytes_per_second, 1e9)));
  }
  set_figures(row, sum, connections);
  return row;
}

// Which columns all rows have, and how wide each is.
struct Columns {
  std::size_t name = 0, bar = 0, percent = 0;
  // In the order in which they stand; 0: no room for it.
  std::size_t sizes = 0, rate = 0, eta = 0, connections = 0;
};

constexpr std::size_t kDot = 3;       // " · " before a column
constexpr std::size_t kBrackets = 3;  // of the bar, and the blank before it

Columns lay_out(const std::vector<Row>& rows, std::size_t width) {
  Columns widest;
  for (const Row& row : rows) {
    widest.name = std::max(widest.name, cell_width(row.name));
    widest.percent = std::max(widest.percent, row.percent.size());
    widest.sizes = std::max(widest.sizes, row.sizes.size());
    widest.rate = std::max(widest.rate, row.rate.size());
    widest.eta = std::max(widest.eta, row.eta.size());
    widest.connections = std::max(widest.connections, row.connections.size());
  }
  Columns columns;
  columns.name = std::min(widest.name, std::max<std::size_t>(width * 3 / 10, 8));
  if (widest.percent == 0) {  // nothing but words
    columns.name = std::min(widest.name, width / 2);
    return columns;
  }
  columns.percent = std::max<std::size_t>(widest.percent, 4);  // "100%" moves nothing
  std::size_t used = columns.name + 1 + columns.percent;
  const auto take = [&](std::size_t wanted, std::size_t before) {
    if (wanted == 0 || used + before + wanted > width) return std::size_t{0};
    used += before + wanted;
    return wanted;
  };
  columns.bar = take(width < 40 ? 3 : 8, kBrackets);
  columns.rate = take(widest.rate, kDot);
  columns.eta = take(widest.eta, kDot);
  columns.connections = take(widest.connections, kDot);
  columns.sizes = take(widest.sizes, 1);
  // What is left over goes to the bar, then to names that were cut.
  if (columns.bar > 0)
    columns.bar += std::min(width - used, bar_cells(width) - std::min(bar_cells(width), columns.bar));
  used = columns.name + 1 + columns.percent + (columns.bar > 0 ? columns.bar + kBrackets : 0);
  for (const std::size_t column : {columns.rate, columns.eta, columns.connections})
    used += column > 0 ? column + kDot : 0;
  if (columns.sizes > 0) used += columns.sizes + 1;
  columns.name += std::min(width - std::min(width, used), widest.name - columns.name);
  return columns;
}

// What tells names apart is at their end.
std::string cut_name(const std::string& name, std::size_t cells) {
  if (cells < 2 || cell_width(name) <= cells) return name;
  return "…" + std::string(cut_cells_in_front(name, cells - 1));
}

Line draw_row(const Row& row, const Columns& columns, std::size_t width, bool ascii) {
  Line line = fill({{cut_name(row.name, columns.name), row.is_total ? Tone::kMuted : Tone::kText}}, columns.name);
  line.push_back({" ", Tone::kText});
  if (row.percent.empty()) {
    line.push_back({row.words, Tone::kMuted});
    return fit(line, width);
  }
  if (columns.bar > 0) {
    for (Span& span : draw_bar(row.figures, columns.bar, ascii)) line.push_back(std::move(span));
    line.push_back({" ", Tone::kText});
  }
  const auto cell = [&](const std::string& text, std::size_t cells, std::string_view before, Tone tone) {
    if (cells == 0) return;
    line.push_back({text.empty() ? std::string(cell_width(before), ' ') : std::string(before), Tone::kMuted});
    line.push_back({std::string(cells - std::min(cells, text.size()), ' ') + text, tone});
  };
  cell(row.percent, columns.percent, "", Tone::kText);
  cell(row.sizes, columns.sizes, " ", Tone::kBytes);
  cell(row.rate, columns.rate, " · ", Tone::kInfo);
  cell(row.eta, columns.eta, " · ", Tone::kEta);
  cell(row.connections, columns.connections, " · ", Tone::kMuted);
  return fit(line, width);
}

}  // namespace

Line watch_line(const Transfer& transfer, std::size_t width) {
  const Row row = row_of(transfer);
  Line line{{row.name + " ", Tone::kText}};
  if (row.percent.empty()) {
    line.push_back({row.words, Tone::kMuted});
    return fit(line, width);
  }
  std::string more;
  if (!row.connections.empty()) more = " . " + row.connections;
  const std::size_t left = width > width_of(line) ? width - width_of(line) : 0;
  const std::size_t for_more = left > 70 ? more.size() : 0;
  for (Span& span : progress_line(row.figures, left - for_more, bar_cells(width), true))
    line.push_back(std::move(span));
  if (for_more > 0) line.push_back({more, Tone::kMuted});
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
  std::vector<const Transfer*> running;
  std::set<std::string_view> queued_beside;  // direct jobs; what stands in the queue is told by the queue
  for (const Transfer* transfer : view.transfers()) {
    if (transfer->is_finished()) continue;
    if (transfer->state == proto::JobState::kQueued) {
      queued_beside.insert(transfer->job);
    } else {
      running.push_back(transfer);
    }
  }
  std::size_t queued = 0;
  for (const proto::QueueEntry& entry : queue.entries) {
    queued_beside.erase(entry.id);
    if (entry.state == proto::JobState::kQueued) ++queued;
  }
  const std::size_t waiting = queued + queued_beside.size();

  std::vector<Row> table;
  table.reserve(running.size() + 1);
  for (const Transfer* transfer : running) table.push_back(row_of(*transfer));
  if (!running.empty() && running.size() + waiting > 1) table.push_back(total_of(running));
  const Columns layout = lay_out(table, columns);
  std::vector<Line> lines;
  lines.reserve(table.size());
  for (const Row& row : table) lines.push_back(draw_row(row, layout, columns, ascii));

  const auto tell = [&](const std::string& text) { lines.push_back(fit({{text, Tone::kMuted}}, columns)); };
  std::size_t told = 0;
  for (const proto::QueueEntry& entry : queue.entries) {
    if (lines.size() + 2 >= rows) break;
    if (entry.state != proto::JobState::kQueued) continue;
    tell(fmt::format("  · {} {} queued", entry.position, printable(entry.model, 400)));
    ++told;
  }
  if (waiting > told) tell(fmt::format("  · {}{} queued", waiting - told, told > 0 ? " more" : ""));
  if (queue.paused && queued > 0) tell("  the queue is stopped; start it with: pullama queue start");
  if (lines.empty()) tell("nothing is under way; Ctrl-C leaves");
  if (lines.size() > rows) {
    const std::size_t hidden = lines.size() - rows + 1;
    lines.resize(rows);
    lines.back() = fit({{fmt::format("… {} more", hidden), Tone::kMuted}}, columns);
  }
  return lines;
}

}  // namespace pullama::client
