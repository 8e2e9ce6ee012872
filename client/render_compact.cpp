// Three kinds of lines: "pulling M:T", "67% 3.1/4.7 GB" (in place on a terminal), "completed 4.7 GB 12m34s".

#include <fmt/format.h>

#include "client/error_text.h"
#include "client/event_text.h"
#include "client/renderer.h"
#include "common/duration_text.h"
#include "common/printable.h"
#include "common/size_text.h"

namespace pullama::client {
namespace {

class CompactRenderer final : public Renderer {
 public:
  explicit CompactRenderer(Streams& streams) : streams_(streams) {}
  ~CompactRenderer() override { streams_.out.clear(); }

  void started(const Subject& subject) override {
    cadence_ = {};
    std::string title = doing(subject.kind);
    if (!subject.model.empty()) title += " " + subject.model;
    streams_.out.print({{title, Tone::kText}});
  }
  void attached(const Transfer& transfer, Instant now) override {
    if (const auto waits = waiting_event(transfer)) event(*waits, transfer, now);
    show(transfer, now);
  }
  void event(const proto::Event& event, const Transfer& transfer, Instant now) override {
    if (std::holds_alternative<proto::event::JobWaiting>(event.body) ||
        std::holds_alternative<proto::event::VerifyFinding>(event.body) ||
        std::holds_alternative<proto::event::DoctorCheck>(event.body)) {
      if (const auto text = event_text(event, false)) notice(text_of(text->line));
    }
    show(transfer, now);
  }
  void notice(const std::string& text) override {
    streams_.out.clear();
    streams_.err.print({{printable(text, 1024), Tone::kText}});
  }
  void completed(const Transfer& transfer) override {
    streams_.out.clear();
    std::string line = "completed";
    if (transfer.summary) {
      line +=
          fmt::format(" {} {}", format_size(transfer.summary->total_bytes), format_duration(transfer.summary->elapsed));
    }
    streams_.out.print({{line, Tone::kText}});
  }
  void failed(const Error& error) override {
    streams_.out.clear();
    streams_.err.print({{error_line(error), Tone::kText}});
  }
  void refused(const Subject&, const Error& error) override { failed(error); }
  void interrupted(const std::string& text) override { detached(text); }
  void detached(const std::string& text) override {
    streams_.out.clear();
    streams_.out.print({{printable(text, 4096), Tone::kText}});
  }

 private:
  void show(const Transfer& transfer, Instant now) {
    if (transfer.total_bytes == 0 || transfer.is_finished()) return;
    const Line line{
        {fmt::format("{}% {}", transfer.percent, size_pair(transfer.done_bytes, transfer.total_bytes, true)),
         Tone::kText}};
    if (streams_.out.look().overwrite) {
      streams_.out.live({line});
    } else if (cadence_.is_due(transfer.percent, now)) {
      streams_.out.print(line);
    }
  }

  Streams& streams_;
  Cadence cadence_;
};

}  // namespace

std::unique_ptr<Renderer> make_compact_renderer(Streams& streams) { return std::make_unique<CompactRenderer>(streams); }

}  // namespace pullama::client
