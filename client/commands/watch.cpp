#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "client/bar.h"
#include "client/cells.h"
#include "client/commands/commands.h"
#include "client/error_text.h"
#include "client/event_text.h"
#include "client/follow.h"
#include "client/watch_lines.h"
#include "common/duration_text.h"
#include "common/printable.h"
#include "common/size_text.h"
#include "proto/json_object.h"
#include "proto/methods.h"

namespace pullama::client {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int kMostRestarts = 5;

// With thousands of entries a look at the queue is megabytes.
constexpr std::size_t kLongQueue = 500;
constexpr auto kLongQueueInterval = 2s;
constexpr auto kDrawInterval = 100ms;

// Everything under way and queued, a line a transfer, redrawn in place; where that cannot be, a line a change and now
// and then one of progress.
class WatchAll {
 public:
  WatchAll(Context& context, Signals& signals) : context_(context), link_(context.link), signals_(signals) {}

  int run() {
    auto status = attach();
    if (!status) return report(context_, status.error());
    while (!signals_.stop_requested()) {
      const bool is_resized = signals_.take_resized();
      if (is_resized) follow_resize(context_.streams);
      if (!stays() && !view_has_work()) break;
      auto event = link_.next_event(100ms, signals_.fd());
      signals_.drain();
      if (!event) {
        status = recover(event.error());
        if (!status) break;
        continue;
      }
      if (*event) {
        restarts_ = 0;
        take(**event);
      }
      draw(is_resized);
    }
    out().clear();
    out().cursor(true);
    if (status && signals_.stop_requested() && view_has_work() && !context_.options.has(Flag::kQuiet)) {
      const char* words = "detached — what is under way goes on in the daemon";
      if (context_.options.is_json()) {
        document(context_, proto::JsonObject().add("event", "detached").add("Message", words).str());
      } else {
        say(context_, words);
      }
    }
    if (!status) return report(context_, status.error());
    return 0;
  }

 private:
  Screen& out() { return context_.streams.out; }
  bool is_table() const {
    return context_.options.output == OutputMode::kTable || context_.options.output == OutputMode::kCompact;
  }
  // A screen stays until it is left; plain lines have an end.
  bool stays() {
    return is_table() && out().look().overwrite && out().look().pretty && !context_.options.has(Flag::kQuiet);
  }
  // Of a plain line: a terminal must not wrap it.
  std::size_t line_cells() { return out().look().is_terminal ? out().look().columns : 120; }

  bool view_has_work() const {
    for (const Transfer* transfer : view_.transfers()) {
      if (!transfer->is_finished() && transfer->state != proto::JobState::kPaused &&
          !(transfer->state == proto::JobState::kQueued && view_.queue().paused)) {
        return true;
      }
    }
    return false;
  }

  Status attach() {
    proto::SubscribeParams params;
    params.trace = context_.options.has(Flag::kVerbose);
    const auto subscribed = link_.call<proto::SubscribeResult>(proto::method::kEventsSubscribe, params);
    if (!subscribed) return fail(subscribed.error());
    if (!subscribed->snapshot) return fail(ErrorCode::kInternal, "the daemon sent no snapshot");
    view_.reset(*subscribed->snapshot);
    queue_ = subscribed->snapshot->queue;
    tell_snapshot(*subscribed->snapshot);
    if (stays()) out().cursor(false);
    draw(true);
    return {};
  }

  Status recover(Error why) {
    while (++restarts_ <= kMostRestarts && !signals_.stop_requested()) {
      const auto status = attach();
      if (status) return {};
      why = status.error();
      if (link_.is_open()) break;
    }
    return fail(gone(context_, std::move(why), "pullama watch"));
  }

  void tell_snapshot(const proto::Snapshot& snapshot) {
    if (context_.options.has(Flag::kQuiet)) return;
    if (context_.options.is_json()) {
      document(context_,
               proto::JsonObject().add("event", "snapshot").add_json("Snapshot", proto::write(snapshot)).str());
      return;
    }
    if (stays()) return;
    if (!view_has_work()) say(context_, "nothing is under way");
    if (context_.options.output == OutputMode::kDebug) return;
    for (const Transfer* transfer : view_.transfers()) {
      if (!transfer->is_finished()) out().print(watch_line(*transfer, line_cells()));
    }
  }

  void take(const proto::Event& event) {
    if (std::holds_alternative<proto::event::QueueChanged>(event.body)) queue_is_old_ = true;
    view_.apply(event);
    const Transfer* transfer = event.job.empty() ? nullptr : view_.find(event.job);
    if (context_.options.has(Flag::kQuiet)) return;
    if (context_.options.output == OutputMode::kDebug) {
      if (!debug_) debug_ = make_debug_renderer(context_.streams);
      debug_->event(event, Transfer{}, Clock::now());
      return;
    }
    if (context_.options.is_json()) {
      tell_json(event, transfer);
      return;
    }
    if (transfer == nullptr) return;
    if (transfer->is_finished() && std::holds_alternative<proto::event::BlobProgress>(event.body)) return;
    const bool changed = event.type().substr(0, 4) == "job.";
    if (transfer->is_finished() && changed) {
      out().print(finished_line(*transfer));
    } else if (!stays() && (changed || cadences_[event.job].is_due(transfer->percent, Clock::now()))) {
      out().print(watch_line(*transfer, line_cells()));
    }
    if (transfer->is_finished()) cadences_.erase(event.job);
  }

  // The names of `pull --output json`, each line with its job.
  void tell_json(const proto::Event& event, const Transfer* transfer) {
    if (transfer == nullptr) {
      proto::JsonObject object;
      std::string name(event.type());
      std::replace(name.begin(), name.end(), '.', '_');
      object.add("event", name);
      for (const auto& [member, value] : proto::event_members(event)) object.add_json(member, value);
      document(context_, object.str());
      return;
    }
    auto& renderer = tellers_[event.job];
    if (!renderer) {
      if (transfer->is_finished() && std::holds_alternative<proto::event::BlobProgress>(event.body)) return;
      renderer = make_json_renderer(context_.streams, context_.options.has(Flag::kVerbose), false, event.job);
      renderer->started(subject_of(transfer->kind, transfer->model));
    }
    renderer->event(event, *transfer, Clock::now());
    if (!transfer->is_finished()) return;
    if (transfer->state == proto::JobState::kCompleted) {
      renderer->completed(*transfer);
    } else {
      renderer->failed(transfer->error.value_or(Error{ErrorCode::kCancelled, "cancelled", {}, 0}));
    }
    tellers_.erase(event.job);
  }

  // At most ten times a second, whatever comes in.
  void draw(bool at_once) {
    const auto now = Clock::now();
    if (!stays() || (!at_once && now - drawn_at_ < kDrawInterval)) return;
    drawn_at_ = now;
    const auto wait = queue_.entries.size() > kLongQueue ? Clock::duration(kLongQueueInterval) : Clock::duration(0);
    if (queue_is_old_ && now - queue_at_ >= wait) {
      queue_is_old_ = false;
      queue_at_ = now;
      if (auto queue = link_.call<proto::QueueView>(proto::method::kQueueList, proto::NoParams{})) queue_ = *queue;
    }
    const Look& look = out().look();
    out().live(watch_lines(view_, queue_, look.columns, look.rows > 1 ? look.rows - 1 : 1, !look.pretty));
  }

  Context& context_;
  Link& link_;
  Signals& signals_;
  View view_;
  proto::QueueView queue_;
  std::map<std::string, Cadence> cadences_;
  std::map<std::string, std::unique_ptr<Renderer>> tellers_;  // by job, of JSON
  std::unique_ptr<Renderer> debug_;
  int restarts_ = 0;
  bool queue_is_old_ = false;
  Clock::time_point queue_at_{}, drawn_at_{};
};

}  // namespace

int run_watch(Context& context) {
  Signals signals;
  context.link.set_wake(signals.fd(), [&] { return signals.stop_requested(); });
  int code = 0;
  if (context.options.operands.empty()) {
    code = WatchAll(context, signals).run();
  } else if (const auto job = find_job(context, context.options.operands.front())) {
    Pursuit pursuit;
    pursuit.subject = subject_of(job->kind, job->model);
    pursuit.job = job->id;
    if (!job->model.empty()) pursuit.resume_command = again_command(context.options, *job);
    const auto renderer = make_renderer(context.options, context.streams);
    code = follow(context, signals, *renderer, pursuit).exit_code;
  } else {
    code = report(context, job.error());
  }
  context.link.set_wake(-1, {});
  return code;
}

}  // namespace pullama::client
