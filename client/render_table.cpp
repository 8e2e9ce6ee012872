// The frame, the bar and the summary box of the original on a terminal that can show them; the same words as plain
// ASCII lines elsewhere, where progress is told now and then and not drawn.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "client/box.h"
#include "client/cells.h"
#include "client/error_text.h"
#include "client/event_text.h"
#include "client/renderer.h"
#include "common/duration_text.h"
#include "common/printable.h"
#include "common/size_text.h"

namespace pullama::client {
namespace {

constexpr std::array<const char*, 10> kSpinner{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};

std::string rate_of(const proto::event::JobCompleted& summary) {
  const double seconds = static_cast<double>(std::max<std::int64_t>(summary.elapsed.count(), 1)) / 1000.0;
  // A verification reads, the others fetch.
  const bool reads = summary.kind == proto::JobKind::kVerify;
  return format_rate(static_cast<double>(reads ? summary.total_bytes : summary.fetched_bytes) / seconds);
}

const char* title_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid argument";
    case ErrorCode::kNotFound:
      return "not found";
    case ErrorCode::kAuthFailed:
      return "authentication failed";
    case ErrorCode::kDiskFull:
      return "disk full";
    case ErrorCode::kNetwork:
      return "network";
    case ErrorCode::kLocked:
      return "locked";
    case ErrorCode::kCorrupt:
      return "corrupt data";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kPermission:
      return "permission denied";
    case ErrorCode::kUnsupported:
      return "not supported";
    case ErrorCode::kInternal:
      break;
  }
  return "internal error";
}

class TableRenderer final : public Renderer {
 public:
  TableRenderer(Streams& streams, bool verbose) : streams_(streams), verbose_(verbose) {}
  ~TableRenderer() override { close_frame(); }

  void started(const Subject& subject) override {
    subject_ = subject;
    cadence_ = {};
    transferred_ = false;
    figures_ = {};
    phase_.clear();
    std::string title = doing(subject.kind);
    if (!subject.model.empty()) title += " " + subject.model;
    if (pretty()) {
      out().cursor(false);
      out().print(box_top(Border::kRound, {{title, Tone::kText}}, width()));
      in_frame_ = true;
    } else {
      out().print({{title, Tone::kText}});
    }
  }

  void attached(const Transfer& transfer, Instant now) override {
    if (transfer.has_manifest) {
      proto::event::ManifestFetched known;
      known.blobs = transfer.blob_count;
      known.total_bytes = transfer.total_bytes;
      proto::Event event;
      event.body = known;
      if (const auto text = event_text(event, verbose_)) row(text->line);
    }
    if (transfer.state == proto::JobState::kPaused) row({{"· ", Tone::kMuted}, {"paused", Tone::kText}});
    if (const auto waits = waiting_event(transfer)) {
      if (const auto text = event_text(*waits, verbose_)) row(text->line);
    }
    show_progress(transfer, now);
  }

  void event(const proto::Event& event, const Transfer& transfer, Instant now) override {
    if (const auto text = event_text(event, verbose_, subject_.kind)) {
      if (text->is_warning && !pretty()) {
        out().clear();
        streams_.err.print(text->line);
      } else {
        row(text->line);
      }
    }
    if (std::holds_alternative<proto::event::ManifestFetching>(event.body)) phase_ = "fetching manifest…";
    if (std::holds_alternative<proto::event::ManifestFetched>(event.body)) phase_.clear();
    if (std::holds_alternative<proto::event::BlobProgress>(event.body)) transferred_ = true;
    show_progress(transfer, now);
  }

  void tick(Instant) override {
    if (!in_frame_) return;
    ++spin_;
    if (figures_.total_bytes == 0 || !phase_.empty()) draw();
  }

  void notice(const std::string& text) override {
    if (pretty()) {
      row({{"⚠ ", Tone::kWarn}, {printable(text, 1024), Tone::kText}});
    } else {
      out().clear();
      streams_.err.print({{printable(text, 1024), Tone::kText}});
    }
  }

  void completed(const Transfer& transfer) override {
    if (transferred_ && pretty()) row(progress(transfer.figures()));
    close_frame();
    std::vector<Line> rows;
    if (transfer.summary && subject_.kind != proto::JobKind::kDoctor) {
      const auto& summary = *transfer.summary;
      rows.push_back({{"size ", Tone::kMuted}, {format_size(summary.total_bytes), Tone::kBytes}});
      rows.push_back({{"blobs ", Tone::kMuted}, {std::to_string(summary.blobs), Tone::kText}});
      rows.push_back({{"elapsed ", Tone::kMuted}, {format_duration(summary.elapsed), Tone::kEta}});
      rows.push_back({{"avg rate ", Tone::kMuted}, {rate_of(summary), Tone::kInfo}});
    }
    std::string title = done(subject_.kind);
    if (!subject_.model.empty()) title += " " + subject_.model;
    if (subject_.kind == proto::JobKind::kUpdate && transfer.summary && transfer.summary->blobs == 0) {
      title = subject_.model.empty() ? "nothing to update" : subject_.model + " is up to date";
      rows.clear();
    }
    const Line head{{"✓ ", Tone::kSuccess}, {title, Tone::kText}};
    if (!pretty()) {
      out().print(head);
      for (const Line& line : rows) out().print(line);
      return;
    }
    out().print(box_top(Border::kDouble, {}, width()));
    out().print(box_row(Border::kDouble, head, width()));
    if (!rows.empty()) out().print(box_rule(Border::kDouble, width()));
    for (const Line& line : rows) out().print(box_row(Border::kDouble, line, width()));
    out().print(box_bottom(Border::kDouble, width()));
  }

  void failed(const Error& error) override {
    close_frame();
    Screen& err = streams_.err;
    if (!err.look().pretty) {
      err.print({{error_line(error), Tone::kText}});
      return;
    }
    const Error whole = with_hint(error);
    const std::size_t wide = box_width(err.look().columns);
    err.print(box_top(Border::kHeavy, {}, wide));
    err.print(box_row(Border::kHeavy, {{"✗ ", Tone::kError}, {title_of(whole.code), Tone::kText}}, wide));
    const auto rows = [&](const std::string& text, Tone tone) {
      for (const std::string& part : wrap_cells(printable(text, 4096), box_inner(wide))) {
        err.print(box_row(Border::kHeavy, {{part, tone}}, wide));
      }
    };
    rows("error: " + whole.message, Tone::kText);
    if (!whole.hint.empty()) rows("hint: " + whole.hint, Tone::kMuted);
    err.print(box_bottom(Border::kHeavy, wide));
  }

  void refused(const Subject&, const Error& error) override { streams_.err.print({{error_line(error), Tone::kText}}); }

  void interrupted(const std::string& text) override { last_words(text); }
  void detached(const std::string& text) override { last_words(text); }

 private:
  Screen& out() { return streams_.out; }
  bool pretty() { return out().look().pretty; }
  std::size_t width() { return box_width(out().look().columns); }

  void last_words(const std::string& text) {
    close_frame();
    out().print({{printable(text, 4096), Tone::kText}});
  }

  void close_frame() {
    out().clear();
    if (!in_frame_) return;
    in_frame_ = false;
    out().print(box_bottom(Border::kRound, width()));
    out().cursor(true);
  }

  void row(const Line& line) {
    if (in_frame_) {
      out().print(box_row(Border::kRound, line, width()));
    } else {
      out().print(line);
    }
  }

  Line progress(const Figures& figures) {
    const Look& look = out().look();
    if (pretty()) return progress_line(figures, box_inner(width()), bar_cells(look.columns), false);
    const std::size_t columns = look.is_terminal && look.columns > 1 ? look.columns - 1 : 120;
    return progress_line(figures, columns, bar_cells(columns), true);
  }

  void show_progress(const Transfer& transfer, Instant now) {
    figures_ = transfer.figures();
    if (out().look().overwrite) {
      draw();
    } else if (figures_.total_bytes > 0 && transferred_ && cadence_.is_due(figures_.percent, now)) {
      row(progress(figures_));
    }
  }

  void draw() {
    if (!out().look().overwrite) return;
    Line line;
    if (figures_.total_bytes > 0 && phase_.empty()) {
      line = progress(figures_);
    } else if (pretty() && !phase_.empty()) {
      line = {{kSpinner.at(spin_ % kSpinner.size()), Tone::kBrand}, {" " + phase_, Tone::kMuted}};
    } else {
      out().clear();
      return;
    }
    out().live({in_frame_ ? box_row(Border::kRound, line, width()) : line});
  }

  Streams& streams_;
  bool verbose_;
  Subject subject_;
  Cadence cadence_;
  Figures figures_;
  std::string phase_;
  std::size_t spin_ = 0;
  bool in_frame_ = false, transferred_ = false;
};

}  // namespace

std::unique_ptr<Renderer> make_table_renderer(Streams& streams, bool verbose) {
  return std::make_unique<TableRenderer>(streams, verbose);
}

}  // namespace pullama::client
