// The queue, shown until it is empty or stopped: a headline before and after each model, between them the model's pull
// as `pullama pull` shows it. Where several run at once the first one is shown and the others keep to their headlines.

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <variant>

#include "client/commands/commands.h"
#include "client/error_text.h"
#include "client/follow.h"
#include "common/printable.h"
#include "proto/errors.h"
#include "proto/json_object.h"
#include "proto/methods.h"

namespace pullama::client {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using proto::JobState;

constexpr int kMostRestarts = 5;

class QueueShow {
 public:
  QueueShow(Context& context, Signals& signals)
      : context_(context),
        link_(context.link),
        signals_(signals),
        renderer_(make_renderer(context.options, context.streams)) {}

  int run() {
    if (auto status = attach(); !status) return report(context_, status.error());
    while (!is_over()) {
      if (signals_.take_resized()) follow_resize(context_.streams);
      if (signals_.stop_requested() && !stop_asked_ && !ask_to_stop()) return 0;
      const auto event = link_.next_event(100ms, signals_.fd());
      signals_.drain();
      if (!event) {
        if (auto status = recover(event.error()); !status) return report(context_, status.error());
        continue;
      }
      if (*event) {
        take(**event);
      } else {
        renderer_->tick(Clock::now());
      }
    }
    return last_words();
  }

 private:
  struct Member {
    std::string model;
    std::size_t index = 0;  // from 1, in the order of their starts; 0: not started
    JobState state = JobState::kQueued;
    std::optional<Error> error;
  };

  // Subscribed before the queue is started: a model that fails at once is not missed.
  Status attach() {
    proto::SubscribeParams params;
    params.trace = context_.options.has(Flag::kVerbose);
    const auto subscribed = link_.call<proto::SubscribeResult>(proto::method::kEventsSubscribe, params);
    if (!subscribed) return fail(subscribed.error());
    if (!subscribed->snapshot) return fail(ErrorCode::kInternal, "the daemon sent no snapshot");
    const auto queue = link_.call<proto::QueueView>(proto::method::kQueueStart, proto::NoParams{});
    if (!queue) return fail(queue.error());
    view_.reset(*subscribed->snapshot);
    adopt(subscribed->snapshot->queue);
    for (const proto::QueueEntry& entry : subscribed->snapshot->queue.entries) {
      if (entry.state == JobState::kActive) begin(entry.id);
      // Its end happened while no daemon was there to tell of it.
      if (const auto at = members_.find(entry.id);
          at != members_.end() && proto::is_finished(entry.state) && !proto::is_finished(at->second.state)) {
        Transfer end_of;
        end_of.model = entry.model;
        end_of.state = at->second.state = entry.state;
        end_of.error = entry.error;
        end(entry.id, end_of);
      }
    }
    adopt(*queue);
    paused_ = false;
    return {};
  }

  // A daemon that died is started again; the queue goes on where it was.
  Status recover(Error why) {
    while (++restarts_ <= kMostRestarts) {
      if (stop_asked_) return fail(why);
      if (restarts_ == 1) renderer_->notice("the daemon went away, looking for it again");
      const auto status = attach();
      if (status) return {};
      why = status.error();
      if (link_.is_open()) break;
    }
    return fail(gone(context_, std::move(why), "pullama queue start"));
  }

  // Whether it is paused is told by events only: a list may be newer than the events that are still to be read, and
  // work that was short would count as never begun.
  void adopt(const proto::QueueView& queue) {
    for (auto at = members_.begin(); at != members_.end();) {  // removed by somebody
      const bool is_there = std::any_of(queue.entries.begin(), queue.entries.end(),
                                        [&](const proto::QueueEntry& entry) { return entry.id == at->first; });
      at = is_there || at->second.index > 0 ? std::next(at) : members_.erase(at);
    }
    for (const proto::QueueEntry& entry : queue.entries) {
      const auto at = members_.find(entry.id);
      if (at == members_.end() && proto::is_finished(entry.state)) continue;  // of an earlier run
      Member& member = members_[entry.id];
      member.model = entry.model;
      if (member.index == 0 || !proto::is_finished(member.state)) {
        if (!proto::is_finished(entry.state)) member.state = entry.state;
      }
    }
  }

  bool is_over() const {
    bool open = false, active = false;
    for (const auto& [id, member] : members_) {
      open = open || !proto::is_finished(member.state);
      active = active || member.state == JobState::kActive;
    }
    return !open || (paused_ && !active);
  }

  void headline(const Member& member, Line rest, std::string_view event, const std::string& error = {}) {
    const Options& options = context_.options;
    if (options.is_json()) {
      if (options.has(Flag::kQuiet)) return;
      const Subject subject = subject_of(proto::JobKind::kPull, member.model);
      proto::JsonObject object;
      object.add("event", event)
          .add("Index", member.index - 1)
          .add("Total", members_.size())
          .add("Model", subject.name)
          .add("Tag", subject.tag);
      if (!error.empty()) object.add("Error", error);
      document(context_, object.str());
      return;
    }
    if (options.has(Flag::kQuiet)) return;
    Line line{{"▸", Tone::kAlt}, {fmt::format(" queue [{}/{}] ", member.index, members_.size()), Tone::kText}};
    line.insert(line.end(), rest.begin(), rest.end());
    context_.streams.out.print(line);
  }

  void begin(const std::string& job) {
    const auto at = members_.find(job);
    if (at == members_.end()) return;
    Member& member = at->second;
    member.state = JobState::kActive;
    if (member.index == 0) {
      member.index = ++started_;
      headline(member, {{"pulling ", Tone::kText}, {member.model, Tone::kText}}, "queue_start");
    }
    if (shown_.empty()) show(job);
  }

  void show(const std::string& job) {
    shown_ = job;
    if (context_.options.has(Flag::kQuiet)) return;
    renderer_->started(subject_of(proto::JobKind::kPull, members_[job].model));
    if (const Transfer* transfer = view_.find(job)) renderer_->attached(*transfer, Clock::now());
  }

  void take(const proto::Event& event) {
    restarts_ = 0;
    if (const auto* changed = std::get_if<proto::event::QueueChanged>(&event.body)) {
      paused_ = changed->paused;
      if (changed->change != "state") {
        if (auto queue = link_.call<proto::QueueView>(proto::method::kQueueList, proto::NoParams{})) adopt(*queue);
      }
      return;
    }
    const auto at = members_.find(event.job);
    if (at == members_.end()) return;
    view_.apply(event);
    const Transfer& transfer = *view_.find(event.job);
    if (std::holds_alternative<proto::event::JobStarted>(event.body) ||
        std::holds_alternative<proto::event::JobResumed>(event.body)) {
      begin(event.job);
    }
    at->second.state = transfer.state;
    if (event.job == shown_ && !context_.options.has(Flag::kQuiet)) renderer_->event(event, transfer, Clock::now());
    if (transfer.is_finished()) {
      end(event.job, transfer);
    } else if (event.job == shown_ && transfer.state != JobState::kActive) {
      shown_.clear();  // it waits; another one takes its place on the screen
      show_next();
    }
  }

  void end(const std::string& job, const Transfer& transfer) {
    Member& member = members_[job];
    if (member.index == 0 && transfer.state == JobState::kCancelled) {  // taken out of the queue before its turn
      members_.erase(job);
      return;
    }
    if (member.index == 0) member.index = ++started_;
    const bool completed = transfer.state == JobState::kCompleted;
    member.error = transfer.error;
    if (!completed && !member.error) member.error = Error{ErrorCode::kCancelled, "cancelled", {}, 0};
    if (job == shown_ && !context_.options.has(Flag::kQuiet)) {
      if (completed) {
        renderer_->completed(transfer);
      } else {
        renderer_->failed(*member.error);
      }
    }
    if (completed) {
      headline(member, {{"✓", Tone::kSuccess}, {" completed " + member.model, Tone::kText}}, "queue_completed");
    } else {
      const std::string why = printable(member.error->message, 512);
      headline(member, {{"✗", Tone::kError}, {" failed " + member.model + ": " + why, Tone::kText}}, "queue_failed",
               why);
    }
    if (job != shown_) return;
    shown_.clear();
    show_next();
  }

  void show_next() {
    for (const auto& [id, member] : members_) {
      if (member.state == JobState::kActive) {
        begin(id);
        return;
      }
    }
  }

  // False: nothing is left to do for us.
  bool ask_to_stop() {
    stop_asked_ = true;
    proto::QueueStopParams params;
    params.unless_attached = true;
    const auto queue = link_.call<proto::QueueView>(proto::method::kQueueStop, params);
    if (!queue) return false;
    if (!queue->paused) {
      renderer_->detached("detached — the queue goes on for another client that is attached");
      return false;
    }
    paused_ = true;
    if (!is_over()) renderer_->notice("the queue stops after the current model; Ctrl-C again leaves it to the daemon");
    return true;
  }

  int last_words() {
    std::string failed;
    std::size_t count = 0;
    bool cancelled = false;
    for (const auto& [id, member] : members_) {
      if (member.index == 0 || member.state == JobState::kCompleted || !proto::is_finished(member.state)) continue;
      failed += fmt::format("{}{}: {}", failed.empty() ? "" : "; ", member.model,
                            member.error ? member.error->message : "failed");
      cancelled = cancelled || member.state == JobState::kCancelled;
      ++count;
    }
    if (count > 0) {
      return report(context_,
                    Error{ErrorCode::kInternal, fmt::format("{} of {} model(s) failed: {}", count, started_, failed),
                          cancelled ? "pullama queue retry N puts an entry back, also a cancelled one"
                                    : "pullama queue retry puts them back",
                          0});
    }
    if (context_.options.is_json() && !stop_asked_) {
      document(context_, proto::JsonObject().add("event", "queue_finished").add("Completed", started_).str());
    } else if (stop_asked_) {
      renderer_->detached("queue stopped — go on with: pullama queue start");
    } else if (started_ == 0) {
      say(context_, "queue is empty");
    } else if (context_.options.has(Flag::kQuiet)) {
      say(context_, fmt::format("completed {} model(s)", started_));
    }
    return 0;
  }

  Context& context_;
  Link& link_;
  Signals& signals_;
  std::unique_ptr<Renderer> renderer_;
  View view_;
  std::map<std::string, Member> members_;
  std::size_t started_ = 0;
  std::string shown_;
  bool paused_ = false, stop_asked_ = false;
  int restarts_ = 0;
};

}  // namespace

int run_queue_start(Context& context) {
  if (context.options.has(Flag::kDetach)) {
    const auto queue = context.link.call<proto::QueueView>(proto::method::kQueueStart, proto::NoParams{});
    if (!queue) return report(context, queue.error());
    tell_of_service(context);
    if (context.options.is_json()) {
      document(context, proto::write(*queue));
    } else {
      say(context, "queue started");
    }
    return 0;
  }
  Signals signals;
  context.link.set_wake(signals.fd(), [&] { return signals.stop_requested(); });
  if (context.link.open()) tell_of_service(context);
  const int code = QueueShow(context, signals).run();
  context.link.set_wake(-1, {});
  return code;
}

}  // namespace pullama::client
