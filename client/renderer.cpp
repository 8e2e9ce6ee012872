#include "client/renderer.h"

#include "client/error_text.h"
#include "client/event_text.h"
#include "common/duration_text.h"
#include "common/model_name.h"
#include "common/printable.h"
#include "common/size_text.h"

namespace pullama::client {

Subject subject_of(proto::JobKind kind, const std::string& model) {
  Subject subject;
  subject.kind = kind;
  if (const auto name = ModelName::parse(model)) {
    subject.model = name->display();
    subject.name = name->display_without_tag();
    subject.tag = name->tag();
  } else {
    subject.model = subject.name = printable(model, 512);
  }
  return subject;
}

bool Cadence::is_due(unsigned percent, Instant now) {
  if (any_ && percent / 10 <= percent_ / 10 && now - at_ < std::chrono::seconds(10)) return false;
  any_ = true;
  percent_ = percent;
  at_ = now;
  return true;
}

namespace {

class QuietRenderer final : public Renderer {
 public:
  explicit QuietRenderer(Streams& streams) : streams_(streams) {}

  void started(const Subject& subject) override { subject_ = subject; }
  void attached(const Transfer&, Instant) override {}
  void event(const proto::Event&, const Transfer&, Instant) override {}
  void notice(const std::string&) override {}
  void completed(const Transfer& transfer) override {
    std::string line = done(subject_.kind);
    if (!subject_.model.empty()) line += " " + subject_.model;
    if (transfer.summary) {
      line += " " + format_size(transfer.summary->total_bytes) + " " + format_duration(transfer.summary->elapsed);
    }
    streams_.out.print({{line, Tone::kText}});
  }
  void failed(const Error& error) override { streams_.err.print({{error_line(error), Tone::kText}}); }
  void interrupted(const std::string& text) override { streams_.out.print({{text, Tone::kText}}); }
  void detached(const std::string& text) override { streams_.out.print({{text, Tone::kText}}); }

 private:
  Streams& streams_;
  Subject subject_;
};

}  // namespace

std::unique_ptr<Renderer> make_quiet_renderer(Streams& streams) { return std::make_unique<QuietRenderer>(streams); }

std::unique_ptr<Renderer> make_renderer(const Options& options, Streams& streams) {
  const bool verbose = options.has(Flag::kVerbose), quiet = options.has(Flag::kQuiet);
  if (options.is_json()) return make_json_renderer(streams, verbose, quiet);
  if (quiet) return make_quiet_renderer(streams);
  switch (options.output) {
    case OutputMode::kCompact:
      return make_compact_renderer(streams);
    case OutputMode::kDebug:
      return make_debug_renderer(streams);
    case OutputMode::kTable:
    case OutputMode::kJson:
      break;
  }
  return make_table_renderer(streams, verbose);
}

}  // namespace pullama::client
