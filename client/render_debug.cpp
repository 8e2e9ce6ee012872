// Every member of every event, an event a line: time, type, then name=value.

#include <fmt/format.h>

#include "client/error_text.h"
#include "client/event_text.h"
#include "client/renderer.h"
#include "common/printable.h"
#include "proto/errors.h"

namespace pullama::client {
namespace {

class DebugRenderer final : public Renderer {
 public:
  explicit DebugRenderer(Streams& streams) : streams_(streams) {}

  void started(const Subject& subject) override {
    say(fmt::format("client.{} model={}", doing(subject.kind), subject.model));
  }
  void attached(const Transfer& transfer, Instant) override {
    say(fmt::format("client.attached job={} model={} state={} blobs={} bytes_done={} bytes_total={} rate={:.0f}",
                    transfer.job, transfer.model, proto::name_of(transfer.state), transfer.blob_count,
                    transfer.done_bytes, transfer.total_bytes, transfer.rate));
  }
  void event(const proto::Event& event, const Transfer&, Instant) override {
    std::string line = fmt::format("{} {}", proto::format_time(event.time), event.type());
    if (event.seq) line += fmt::format(" seq={}", *event.seq);
    if (!event.job.empty()) line += fmt::format(" job={}", event.job);
    if (!event.model.empty()) line += fmt::format(" model={}", event.model);
    for (const auto& [name, value] : proto::event_members(event)) line += fmt::format(" {}={}", name, value);
    say(line);
  }
  void notice(const std::string& text) override { say("client.notice " + text); }
  void completed(const Transfer& transfer) override { say(fmt::format("client.completed job={}", transfer.job)); }
  void failed(const Error& error) override { streams_.err.print({{error_line(error), Tone::kText}}); }
  void refused(const Subject&, const Error& error) override { failed(error); }
  void interrupted(const std::string& text) override { say(text); }
  void detached(const std::string& text) override { say(text); }

 private:
  void say(const std::string& text) { streams_.out.raw(printable(text) + "\n"); }

  Streams& streams_;
};

}  // namespace

std::unique_ptr<Renderer> make_debug_renderer(Streams& streams) { return std::make_unique<DebugRenderer>(streams); }

}  // namespace pullama::client
