#include "client/follow.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <variant>

#include "proto/errors.h"
#include "proto/methods.h"

namespace pullama::client {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int kMostRestarts = 5;  // in a row, without one event between
constexpr int kMostHops = 3;      // from daemon to daemon, after a models dir
constexpr auto kStopLimit = 15s;  // a graceful stop takes two seconds; then we leave
constexpr auto kTick = 100ms;

class Follower {
 public:
  Follower(Context& context, Signals& signals, Renderer& renderer, const Pursuit& pursuit)
      : context_(context), link_(context.link), signals_(signals), renderer_(renderer), pursuit_(pursuit) {}

  Outcome run() {
    if (!pursuit_.start) begin();
    if (auto status = attach(); !status) {
      if (reached_) {
        recover(status.error());
      } else if (signals_.stop_requested()) {
        interrupted({});
      } else {
        fail_with(status.error());
      }
    }
    while (!outcome_) step();
    return *outcome_;
  }

 private:
  void finish(End end, int exit_code, Error error = {}) { outcome_ = Outcome{end, exit_code, std::move(error)}; }
  // The headline, once there is a job that it can stand over.
  void begin() {
    if (!begun_) renderer_.started(pursuit_.subject);
    begun_ = true;
  }

  void fail_with(Error error) {
    error = link_.explained(std::move(error));
    if (begun_) {
      renderer_.failed(error);
    } else {
      renderer_.refused(pursuit_.subject, error);
    }
    const int exit_code = proto::exit_code(error.code);
    finish(End::kFailed, exit_code, std::move(error));
  }

  Status attach() {
    reached_ = false;
    const auto connection = link_.open();
    if (!connection) return fail(connection.error());
    reached_ = true;
    const auto info = link_.call<proto::DaemonInfo>(proto::method::kDaemonInfo, proto::NoParams{});
    if (!info) return fail(info.error());
    if (const std::string notice = link_.take_version_notice(); !notice.empty()) {
      begin();
      renderer_.notice(notice);
    }
    const bool same_daemon = info->epoch == epoch_;
    proto::SubscribeParams params;
    params.trace = context_.options.has(Flag::kVerbose);
    if (same_daemon) {
      params.since = seq_;
      params.epoch = epoch_;
    } else if (auto status = find_job(*info, params); !status) {
      return status;
    }
    params.jobs = {job_};
    const auto subscribed = link_.call<proto::SubscribeResult>(proto::method::kEventsSubscribe, params);
    if (!subscribed) return fail(subscribed.error());
    epoch_ = info->epoch;
    seq_ = subscribed->seq;
    if (subscribed->snapshot) {
      epoch_ = subscribed->snapshot->epoch;
      return take_snapshot(*subscribed->snapshot);
    }
    return {};
  }

  // A job of this daemon, for a first look or after the one before it died.
  Status find_job(const proto::DaemonInfo& info, proto::SubscribeParams& params) {
    if (!pursuit_.start) {
      if (job_.empty()) job_ = pursuit_.job;
      return {};
    }
    if (params.trace) {
      // A trace is sent once, to who listens then; before the job has a name it has made requests already.
      proto::SubscribeParams traces;
      traces.trace = true;
      traces.types = {"http.request"};
      const auto listening = link_.call<proto::SubscribeResult>(proto::method::kEventsSubscribe, traces);
      if (!listening) return fail(listening.error());
    }
    const auto started = pursuit_.start();
    if (!started) return fail(started.error());
    if (!started->job) return fail(ErrorCode::kInternal, "the daemon named no job", "see pullama daemon status");
    begin();
    if (!job_.empty()) view_.rename(job_, *started->job);
    job_ = *started->job;
    // A job of our own began after `info`: its first events are replayed. One that we joined is told by its snapshot.
    if (!started->joined && epoch_.empty()) {
      params.since = info.seq;
      params.epoch = info.epoch;
    }
    return {};
  }

  Status take_snapshot(const proto::Snapshot& snapshot) {
    const auto by_id = [&](const proto::JobSnapshot& job) { return job.id == job_; };
    auto at = std::find_if(snapshot.jobs.begin(), snapshot.jobs.end(), by_id);
    if (at == snapshot.jobs.end() && !pursuit_.start && !pursuit_.subject.model.empty()) {
      at = std::find_if(snapshot.jobs.begin(), snapshot.jobs.end(), [&](const proto::JobSnapshot& job) {
        return job.model == pursuit_.subject.model && !proto::is_finished(job.state);
      });
      if (at != snapshot.jobs.end()) {
        view_.rename(job_, at->id);
        job_ = at->id;
      }
    }
    if (at == snapshot.jobs.end()) {
      return fail(ErrorCode::kNotFound, fmt::format("the daemon knows no job {} any more", job_),
                  "see pullama history");
    }
    view_.put(*at);
    const Transfer& transfer = *view_.find(job_);
    if (!attached_) renderer_.attached(transfer, Clock::now());
    attached_ = true;
    judge(transfer);
    return {};
  }

  // Whether the state that the job is in now is an end for us.
  void judge(const Transfer& transfer) {
    if (outcome_) return;
    switch (transfer.state) {
      case proto::JobState::kCompleted:
        renderer_.completed(transfer);
        finish(End::kCompleted, proto::kExitSuccess);
        return;
      case proto::JobState::kFailed:
        if (transfer.error && pursuit_.start && ++hops_ <= kMostHops && link_.go_where(*transfer.error)) {
          restart();  // another daemon has the models dir
        } else {
          fail_with(transfer.error.value_or(Error{ErrorCode::kInternal, "the transfer failed", {}, 0}));
        }
        return;
      case proto::JobState::kCancelled:
        if (stop_asked_) {
          interrupted({});
        } else {
          Error error{ErrorCode::kCancelled, "the transfer was cancelled from elsewhere", {}, 0};
          if (!pursuit_.resume_command.empty()) error.hint = "go on with: " + pursuit_.resume_command;
          fail_with(std::move(error));
        }
        return;
      case proto::JobState::kWaitingSpace:
        // A client that waits is told now; the job stays and goes on once there is room.
        if (pursuit_.cancels) {
          fail_with(transfer.error.value_or(Error{ErrorCode::kDiskFull, transfer.waits_for, {}, 0}));
        }
        return;
      default:
        return;
    }
  }

  void restart() {
    epoch_.clear();
    if (auto status = attach(); !status) fail_with(status.error());
  }

  void interrupted(const std::string& more) {
    begin();
    std::string text = "interrupted";
    if (!pursuit_.resume_command.empty()) text += " — resume with: " + pursuit_.resume_command;
    renderer_.interrupted(text + more);
    finish(End::kInterrupted, proto::kExitSuccess);
  }

  void step() {
    if (signals_.take_resized()) follow_resize(context_.streams);
    if (signals_.stop_requested() && !stop_asked_) {
      on_stop();
      if (outcome_) return;
    }
    if (stop_asked_ && Clock::now() > stop_deadline_) {
      interrupted(" (the daemon is still stopping it)");
      return;
    }
    const auto event = link_.next_event(kTick, signals_.fd());
    signals_.drain();
    if (!event) {
      recover(event.error());
      return;
    }
    if (*event) take(**event);
    if (!outcome_ && Clock::now() - ticked_ >= kTick) {
      ticked_ = Clock::now();
      renderer_.tick(ticked_);
    }
  }

  void take(const proto::Event& event) {
    if (event.seq) seq_ = std::max(seq_, *event.seq);
    if (event.job != job_) return;
    restarts_ = 0;
    attached_ = true;
    view_.apply(event);
    const Transfer& transfer = *view_.find(job_);
    renderer_.event(event, transfer, Clock::now());
    judge(transfer);
  }

  void on_stop() {
    if (!pursuit_.cancels) {
      std::string text = "detached";
      if (!pursuit_.subject.model.empty()) {
        text += fmt::format(" — {} {} goes on in the daemon", doing_text(), pursuit_.subject.model);
      }
      renderer_.detached(text);
      finish(End::kDetached, proto::kExitSuccess);
      return;
    }
    stop_asked_ = true;
    stop_deadline_ = Clock::now() + kStopLimit;
    proto::JobCancelParams params;
    params.job = job_;
    params.unless_watched = true;
    const auto reply = link_.call<proto::JobStateResult>(proto::method::kJobCancel, params, kStopLimit);
    if (!reply) {
      interrupted(link_.is_open() ? fmt::format(" ({})", reply.error().message) : std::string());
      return;
    }
    if (reply->watchers.value_or(0) > 0) {
      interrupted(fmt::format(" — it goes on for {} other client{} watching it", *reply->watchers,
                              *reply->watchers == 1 ? "" : "s"));
    }
  }

  std::string doing_text() const {
    switch (pursuit_.subject.kind) {
      case proto::JobKind::kPush:
        return "the push of";
      case proto::JobKind::kVerify:
        return "the verification of";
      case proto::JobKind::kUpdate:
        return "the update of";
      case proto::JobKind::kDoctor:
        return "the check of";
      case proto::JobKind::kPull:
        break;
    }
    return "the pull of";
  }

  // After an error on the way. A connection that is still there carried a real answer; one that was lost is looked for
  // again, and so is the daemon behind it.
  void recover(Error why) {
    while (!outcome_) {
      if (link_.is_open()) {
        return fail_with(std::move(why));
      } else if (stop_asked_ || signals_.stop_requested()) {
        interrupted({});
      } else if (++restarts_ > kMostRestarts) {
        why.hint = "the daemon went away again and again; its log and pullama daemon status may say why";
        return fail_with(std::move(why));
      } else {
        if (!epoch_.empty() && restarts_ == 1) renderer_.notice("the daemon went away, looking for it again");
        const auto status = attach();
        if (status) return;
        why = status.error();
        if (!reached_) fail_with(no_daemon(why));
      }
    }
  }

  Error no_daemon(const Error& why) const {
    if (epoch_.empty()) return why;
    return gone(context_, why, pursuit_.resume_command.empty() ? "pullama watch" : pursuit_.resume_command);
  }

  Context& context_;
  Link& link_;
  Signals& signals_;
  Renderer& renderer_;
  const Pursuit& pursuit_;
  View view_;
  std::string job_, epoch_;
  std::uint64_t seq_ = 0;
  int restarts_ = 0, hops_ = 0;
  bool begun_ = false, attached_ = false, reached_ = false, stop_asked_ = false;
  Clock::time_point stop_deadline_{}, ticked_{};
  std::optional<Outcome> outcome_;
};

}  // namespace

Outcome follow(Context& context, Signals& signals, Renderer& renderer, const Pursuit& pursuit) {
  return Follower(context, signals, renderer, pursuit).run();
}

Error gone(const Context& context, Error why, const std::string& command) {
  if (!context.options.has(Flag::kNoAutostart) || context.link.is_open()) return why;
  return Error{ErrorCode::kNetwork, "the daemon went away and nothing answers in its place",
               fmt::format("start one with pullama daemon start, then go on with: {}", command), 0};
}

void follow_resize(Streams& streams) {
  for (Screen* screen : {&streams.out, &streams.err}) {
    Look now = screen->look();
    measure(screen == &streams.out ? kStdout : kStderr, now);
    screen->resize(now.columns, now.rows);
  }
}

}  // namespace pullama::client
