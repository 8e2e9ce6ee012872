#include "daemon/service.h"

#include <fmt/core.h>
#include <unistd.h>
#include <algorithm>
#include <filesystem>
#include <memory>

#include "common/version.h"
#include "daemon/store_replies.h"
#include "proto/message.h"
#include "proto/methods.h"

namespace pullama {

namespace method = proto::method;
using queue::JobState;

namespace {

proto::JobState wire(JobState state) {
  return proto::job_state(queue::state_name(state)).value_or(proto::JobState::kFailed);
}

proto::PullPlan wire(const engine::PullPlan& plan, const queue::NewJob& job) {
  proto::PullPlan wired;
  wired.model = job.model.display();
  wired.models_dir = job.models_dir;
  wired.digest = plan.manifest;
  for (const auto& item : plan.blobs) wired.blobs.push_back({item.digest, item.size_bytes, item.present_bytes});
  wired.total_bytes = plan.total_bytes;
  wired.travel_bytes = plan.travel_bytes;
  wired.free_bytes = plan.free_bytes;
  wired.needed_bytes = plan.needed_bytes;
  return wired;
}

Error cannot_pause(const proto::JobSnapshot& job) {
  return {ErrorCode::kUnsupported, fmt::format("{} is no transfer, it cannot be paused or resumed", job.id),
          fmt::format("it can be cancelled: pullama cancel {}", job.id), 0};
}

proto::Limits wire(const queue::Limits& limits) { return {limits.rate, limits.connections, limits.parallel_models}; }

}  // namespace

Service::Service(Jobs& jobs, Upkeep& upkeep, Stores& stores, rpc::EventHub& hub, ServiceConfig config)
    : jobs_(jobs), upkeep_(upkeep), stores_(stores), hub_(hub), config_(std::move(config)) {}

void Service::add_methods(rpc::Dispatcher& dispatcher) {
  dispatcher.add<proto::NoParams>(method::kDaemonInfo, [this](auto, Session&, Reply reply) { info(std::move(reply)); });
  dispatcher.add<proto::ShutdownParams>(
      method::kDaemonShutdown, [this](auto params, Session&, Reply reply) { shutdown(params, std::move(reply)); });
  dispatcher.add<proto::KeyParams>(method::kDaemonKey, [this](auto params, Session&, Reply reply) {
    answer_from_storage<proto::KeyResult>(std::move(reply), [this, params] { return config_.key(params.create); });
  });
  const auto add_start = [&](std::string_view name, queue::JobKind kind) {
    dispatcher.add<proto::StartParams>(name, [this, kind](auto params, Session& session, Reply reply) {
      start(kind, params, session, std::move(reply));
    });
  };
  add_start(method::kPullStart, queue::JobKind::kPull);
  add_start(method::kPushStart, queue::JobKind::kPush);
  add_job_methods(dispatcher);
  add_queue_methods(dispatcher);
  dispatcher.add<proto::SubscribeParams>(method::kEventsSubscribe, [this](auto params, Session& session, Reply reply) {
    // Who watches wants to see what was interrupted go on; who follows a job of another kind does not.
    if (params.jobs.empty() || jobs_.was_interrupted(params.jobs)) jobs_.wake();
    hub_.subscribe(session, std::move(params), std::move(reply));
  });
  dispatcher.add<proto::NoParams>(method::kEventsUnsubscribe, [this](auto, Session& session, Reply reply) {
    hub_.unsubscribe(session);
    reply.succeed(proto::NoResult{});
  });
  dispatcher.add<proto::NoParams>(method::kLimitsGet,
                                  [this](auto, Session&, Reply reply) { reply.succeed(wire(jobs_.queue().limits())); });
  dispatcher.add<proto::LimitsSetParams>(
      method::kLimitsSet, [this](auto params, Session&, Reply reply) { limits_set(params, std::move(reply)); });
  dispatcher.add<proto::HistoryListParams>(
      method::kHistoryList, [this](auto params, Session&, Reply reply) { history_list(params, std::move(reply)); });
}

void Service::add_job_methods(rpc::Dispatcher& dispatcher) {
  dispatcher.add<proto::JobListParams>(method::kJobList, [this](auto params, Session&, Reply reply) {
    if (!params.job) {
      proto::JobList all{jobs_.list()};
      upkeep_.add_to(all.jobs);
      std::ranges::stable_sort(all.jobs, {}, &proto::JobSnapshot::created);
      return reply.succeed(all);
    }
    if (auto ours = upkeep_.find(*params.job)) return reply.succeed(proto::JobList{{std::move(*ours)}});
    const auto job = jobs_.find(*params.job);
    if (!job) return reply.error(job.error());
    reply.succeed(proto::JobList{{jobs_.show(**job)}});
  });
  dispatcher.add<proto::JobParams>(method::kJobGet, [this](auto params, Session&, Reply reply) {
    if (const auto ours = upkeep_.find(params.job)) return reply.succeed(*ours);
    const auto job = jobs_.find(params.job);
    if (!job) return reply.error(job.error());
    reply.succeed(jobs_.show(**job));
  });
  using Operation = void (Jobs::*)(const std::string&, Jobs::Answer<JobState>);
  const auto add = [&](std::string_view name, Operation operation) {
    dispatcher.add<proto::JobParams>(name, [this, operation](auto params, Session&, Reply reply) {
      if (const auto ours = upkeep_.find(params.job)) return reply.error(cannot_pause(*ours));
      const auto job = jobs_.find(params.job);
      if (!job) return reply.error(job.error());
      const std::string id = (*job)->id;
      (jobs_.*operation)(id, answer_state(id, std::move(reply)));
    });
  };
  add(method::kJobPause, &Jobs::pause);
  add(method::kJobResume, &Jobs::resume);
  dispatcher.add<proto::JobCancelParams>(method::kJobCancel, [this](auto params, Session& session, Reply reply) {
    job_cancel(params, session, std::move(reply));
  });
}

void Service::info(Reply reply) const {
  proto::DaemonInfo info;
  info.version = kVersion;
  info.epoch = hub_.epoch();
  info.seq = hub_.seq();
  info.pid = static_cast<std::uint64_t>(::getpid());
  info.uptime_s = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started_).count());
  info.models_dir = config_.models_dir;
  info.socket = config_.socket();
  info.jobs = jobs_.counts();
  upkeep_.count_in(info.jobs);
  info.asleep = jobs_.is_asleep();
  info.rate = jobs_.rate() + upkeep_.rate();
  info.limits = wire(jobs_.queue().limits());
  config_.describe(info);
  reply.succeed(info);
}

void Service::shutdown(const proto::ShutdownParams& params, Reply reply) {
  reply.succeed(proto::NoResult{});
  config_.shut_down(params.graceful);
}

Result<std::string> models_dir_of(const std::optional<std::string>& wanted, const std::string& own) {
  if (!wanted) return own;
  if (!wanted->starts_with('/') || wanted->find('\0') != std::string::npos) {
    return fail(ErrorCode::kInvalidArgument, "models_dir is not an absolute path",
                "the daemon does not know the folder that a relative one is meant in");
  }
  std::string path = std::filesystem::path(*wanted).lexically_normal().string();
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

Result<queue::NewJob> Service::new_job(const std::string& model, const proto::PullOptions& options,
                                       const std::optional<std::string>& dir) const {
  auto name = ModelName::parse(model);
  if (!name) return fail(name.error());
  auto path = models_dir_of(dir, config_.models_dir);
  if (!path) return fail(path.error());
  if (options.ca_file && !options.ca_file->starts_with('/')) {
    return fail(ErrorCode::kInvalidArgument, "ca_file is not an absolute path",
                "the daemon does not know the folder that a relative one is meant in");
  }
  return queue::NewJob{queue::JobKind::kPull, std::move(*name), std::move(*path), proto::write(options)};
}

void Service::start(queue::JobKind kind, const proto::StartParams& params, Session& session, Reply reply) {
  auto job = new_job(params.model, params.options, params.models_dir);
  if (!job) return reply.error(job.error());
  job->kind = kind;
  const auto answer = shared(std::move(reply));
  if (params.options.dry_run) {
    return jobs_.plan(*job, [answer, job = *job](const Result<engine::PullPlan>& plan) {
      if (!plan) return answer->error(plan.error());
      proto::StartResult result;
      result.plan = wire(*plan, job);
      answer->succeed(result);
    });
  }
  const bool waits = !params.options.detached;
  if (waits) note_waiting(session);
  when_writable(job->models_dir, answer,
                [this, answer, job = *job, waits, id = session.id()](const std::string& dir) mutable {
                  job.models_dir = dir;
                  const bool still_there = sessions_.contains(id);
                  jobs_.start(job, waits && still_there ? std::optional(id) : std::nullopt,
                              [answer](const Result<Jobs::Accepted>& accepted) {
                                if (!accepted) return answer->error(accepted.error());
                                proto::StartResult result;
                                result.job = accepted->id;
                                result.joined = accepted->joined;
                                answer->succeed(result);
                              });
                });
}

void Service::note_waiting(Session& session) {
  if (!sessions_.insert(session.id()).second) return;
  session.on_close([this, id = session.id()] {
    sessions_.erase(id);
    jobs_.detach(id);
  });
}

void Service::when_writable(const std::string& models_dir, std::shared_ptr<Reply> reply,
                            std::function<void(const std::string&)> then) {
  if (models_dir == config_.models_dir) return then(models_dir);
  config_.storage([this, models_dir, reply = std::move(reply), then = std::move(then)]() mutable {
    Result<std::string> opened = models_dir;
    if (const auto store = stores_.writable(models_dir)) {
      opened = (*store)->models_dir;
    } else {
      opened = fail(store.error());
    }
    // All that holds the reply goes back to the control thread, where alone it may be given or dropped.
    config_.post([opened = std::move(opened), reply = std::move(reply), then = std::move(then)] {
      if (!opened) return reply->error(opened.error());
      then(*opened);
    });
  });
}

Jobs::Answer<JobState> Service::answer_state(const std::string& id, Reply reply) {
  return [id, answer = shared(std::move(reply))](const Result<JobState>& state) {
    if (!state) return answer->error(state.error());
    proto::JobStateResult result;
    result.job = id;
    result.state = wire(*state);
    answer->succeed(result);
  };
}

// A client that was interrupted does not take the pull from others that watch it.
void Service::job_cancel(const proto::JobCancelParams& params, Session& session, Reply reply) {
  if (const auto ours = upkeep_.find(params.job)) return upkeep_cancel(*ours, params, session, std::move(reply));
  const auto job = jobs_.find(params.job);
  if (!job) return reply.error(job.error());
  const std::string id = (*job)->id;
  const std::size_t watchers = hub_.watchers(id, &session);
  if (params.unless_watched && watchers > 0 && !queue::is_finished((*job)->state)) {
    jobs_.detach(session.id(), id);
    proto::JobStateResult result;
    result.job = id;
    result.state = wire((*job)->state);
    result.watchers = static_cast<unsigned>(watchers);
    return reply.succeed(result);
  }
  jobs_.cancel(id, answer_state(id, std::move(reply)));
}

void Service::upkeep_cancel(const proto::JobSnapshot& job, const proto::JobCancelParams& params, Session& session,
                            Reply reply) {
  proto::JobStateResult result;
  result.job = job.id;
  result.state = job.state;
  const std::size_t watchers = hub_.watchers(job.id, &session);
  if (params.unless_watched && watchers > 0 && !proto::is_finished(job.state)) {
    result.watchers = static_cast<unsigned>(watchers);
    return reply.succeed(result);
  }
  upkeep_.cancel(job.id, [result, answer = shared(std::move(reply))](proto::JobState state) mutable {
    result.state = state;
    answer->succeed(result);
  });
}

void Service::limits_set(const proto::LimitsSetParams& params, Reply reply) {
  const ChosenLimits before = *config_.limits;
  config_.limits->take(params);
  jobs_.set_limits(config_.limits->in_effect(), [this, before, answer = shared(std::move(reply))](const Status& set) {
    if (!set) {
      *config_.limits = before;
      jobs_.set_limits(before.in_effect(), [](const Status&) {});  // the next save remembers the old ones
      return answer->error(set.error());
    }
    answer->succeed(wire(jobs_.queue().limits()));
  });
}

template <class T>
void Service::answer_from_storage(Reply reply, std::function<Result<T>()> work) {
  config_.storage([post = config_.post, answer = shared(std::move(reply)), work = std::move(work)]() mutable {
    post([answer, result = work()] { (*answer)(result); });
    answer.reset();  // a Reply is given, or dropped, on the control thread only
  });
}

void Service::history_list(const proto::HistoryListParams& params, Reply reply) {
  std::string model;
  if (params.model) {
    const auto name = ModelName::parse(*params.model);
    if (!name) return reply.error(name.error());
    model = name->display();
  }
  const auto limit = static_cast<std::size_t>(params.limit.value_or(100));
  answer_from_storage<proto::HistoryList>(std::move(reply), [this, limit, model]() -> Result<proto::HistoryList> {
    return history_reply(config_.history(limit, model));
  });
}

}  // namespace pullama
