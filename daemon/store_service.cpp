#include "daemon/store_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

#include "daemon/service.h"
#include "daemon/store/needed.h"
#include "daemon/store_replies.h"
#include "proto/message.h"
#include "proto/methods.h"

namespace pullama {

namespace method = proto::method;

namespace {

Result<std::vector<ModelName>> parse_names(const std::vector<std::string>& texts) {
  std::vector<ModelName> names;
  for (const std::string& text : texts) {
    auto name = ModelName::parse(text);
    if (!name) return fail(name.error());
    names.push_back(std::move(*name));
  }
  return names;
}

// When a job of each model last ended well or was cancelled: what had failed before that is nobody's to go on with.
std::map<std::string, std::int64_t> last_ends(const Jobs& jobs, const std::string& models_dir) {
  std::map<std::string, std::int64_t> ends;
  for (const auto* list : {&jobs.queue().direct(), &jobs.queue().entries()}) {
    for (const queue::JobPtr& job : *list) {
      const bool ended = job->state == queue::JobState::kCompleted || job->state == queue::JobState::kCancelled;
      if (!ended || job->models_dir != models_dir) continue;
      auto& last = ends[job->model.display()];
      last = std::max(last, job->finished_ms);
    }
  }
  return ends;
}

// `without_queued`: as if the entries that wait for their turn were gone.
OpenJobs open_jobs(const Jobs& jobs, const std::string& models_dir, bool without_queued = false) {
  OpenJobs open;
  const auto ends = last_ends(jobs, models_dir);
  for (const auto* list : {&jobs.queue().direct(), &jobs.queue().entries()}) {
    for (const queue::JobPtr& job : *list) {
      if (job->models_dir != models_dir) continue;
      switch (job->state) {
        case queue::JobState::kQueued:
          if (without_queued && job->entry) break;
          open.busy.push_back(job->model);
          break;
        case queue::JobState::kActive:
          open.busy.push_back(job->model);
          break;
        case queue::JobState::kWaitingNetwork:
        case queue::JobState::kWaitingSpace:
        case queue::JobState::kPaused:
          open.unfinished.push_back(job->model);
          break;
        case queue::JobState::kFailed:
          if (const auto end = ends.find(job->model.display()); end != ends.end() && end->second > job->finished_ms)
            break;
          open.unfinished.push_back(job->model);
          break;
        case queue::JobState::kCompleted:
        case queue::JobState::kCancelled:
          break;
      }
    }
  }
  return open;
}

// What a push needs goes with its model: whoever pushes it would be left with half of it at the registry.
Status none_is_pushed(const Jobs& jobs, const std::string& models_dir, const std::vector<ModelName>& names) {
  for (const queue::JobPtr& job : jobs.queue().direct()) {
    if (job->kind != queue::JobKind::kPush || queue::is_finished(job->state) || job->models_dir != models_dir) continue;
    if (!store::is_among(names, job->model)) continue;
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} is being pushed, by job {}", job->model.display(), job->id),
                fmt::format("wait for it, or end it: pullama cancel {}", job->id));
  }
  return {};
}

}  // namespace

StoreService::StoreService(Jobs& jobs, Upkeep& upkeep, Maintenance& maintenance, Stores& stores,
                           StoreServiceConfig config)
    : jobs_(jobs), upkeep_(upkeep), maintenance_(maintenance), stores_(stores), config_(std::move(config)) {}

void StoreService::add_methods(rpc::Dispatcher& dispatcher) {
  using Session = rpc::SessionContext;
  dispatcher.add<proto::StoreListParams>(
      method::kStoreList, [this](auto params, Session&, Reply reply) { list(params, std::move(reply)); });
  dispatcher.add<proto::StoreShowParams>(
      method::kStoreShow, [this](auto params, Session&, Reply reply) { show(params, std::move(reply)); });
  dispatcher.add<proto::StoreRemoveParams>(
      method::kStoreRemove, [this](auto params, Session&, Reply reply) { remove(params, std::move(reply)); });
  dispatcher.add<proto::StoreCopyParams>(
      method::kStoreCopy, [this](auto params, Session&, Reply reply) { copy(params, std::move(reply)); });
  dispatcher.add<proto::StoreCleanParams>(
      method::kStoreClean, [this](auto params, Session&, Reply reply) { clean(params, std::move(reply)); });
  dispatcher.add<proto::StoreOutdatedParams>(
      method::kStoreOutdated, [this](auto params, Session&, Reply reply) { outdated(params, std::move(reply)); });
  dispatcher.add<proto::MaintenanceParams>(
      method::kStoreVerify, [this](auto params, Session&, Reply reply) { verify(params, std::move(reply)); });
  dispatcher.add<proto::MaintenanceParams>(
      method::kStoreUpdate, [this](auto params, Session&, Reply reply) { update(params, std::move(reply)); });
  dispatcher.add<proto::MaintenanceParams>(
      method::kDaemonDoctor, [this](auto params, Session&, Reply reply) { doctor(params, std::move(reply)); });
}

template <class T>
void StoreService::answer(Reply reply, std::function<Result<T>()> work, std::function<void(T&)> then) {
  // Handlers of std::function must be copyable, a Reply is not.
  config_.storage([post = config_.post, given = std::make_shared<Reply>(std::move(reply)), work = std::move(work),
                   then = std::move(then)]() mutable {
    post([given, result = work(), then = std::move(then)]() mutable {
      if (result) then(*result);
      (*given)(result);
    });
    given.reset();  // a Reply is given, or dropped, on the control thread only
  });
}

void StoreService::publish_change(const std::string& models_dir, const char* change, std::vector<std::string> models) {
  config_.publish(proto::Event{.seq = {},
                               .time = {},
                               .job = {},
                               .model = {},
                               .body = proto::event::StoreChanged{models_dir, change, std::move(models)}});
}

void StoreService::list(const proto::StoreListParams& params, Reply reply) {
  const auto dir = models_dir_of(params.models_dir, config_.models_dir);
  if (!dir) return reply.error(dir.error());
  answer<proto::StoreList>(std::move(reply), [this, dir = *dir] { return list_reply(stores_, dir); });
}

void StoreService::show(const proto::StoreShowParams& params, Reply reply) {
  const auto dir = models_dir_of(params.models_dir, config_.models_dir);
  if (!dir) return reply.error(dir.error());
  auto name = ModelName::parse(params.model);
  if (!name) return reply.error(name.error());
  answer<proto::StoreShow>(std::move(reply),
                           [this, dir = *dir, name = *name] { return show_reply(stores_, dir, name); });
}

void StoreService::remove(const proto::StoreRemoveParams& params, Reply reply) {
  const auto dir = models_dir_of(params.models_dir, config_.models_dir);
  if (!dir) return reply.error(dir.error());
  auto names = parse_names(params.models);
  if (!names) return reply.error(names.error());
  if (auto free = none_is_pushed(jobs_, *dir, *names); !free) return reply.error(free.error());
  answer<proto::StoreRemoveResult>(
      std::move(reply),
      [this, dir = *dir, names = *names, open = open_jobs(jobs_, *dir), dry_run = params.dry_run] {
        return remove_reply(stores_, dir, names, open, dry_run);
      },
      [this, dir = *dir, dry_run = params.dry_run](proto::StoreRemoveResult& removed) {
        if (!dry_run) publish_change(dir, "removed", removed.removed);
      });
}

void StoreService::copy(const proto::StoreCopyParams& params, Reply reply) {
  const auto dir = models_dir_of(params.models_dir, config_.models_dir);
  if (!dir) return reply.error(dir.error());
  const auto names = parse_names({params.source, params.destination});
  if (!names) return reply.error(names.error());
  answer<proto::StoreCopyResult>(
      std::move(reply), [this, dir = *dir, names = *names] { return copy_reply(stores_, dir, names[0], names[1]); },
      [this, dir = *dir](proto::StoreCopyResult& copied) { publish_change(dir, "copied", {copied.destination}); });
}

void StoreService::clean(const proto::StoreCleanParams& params, Reply reply) {
  const auto dir = models_dir_of(params.models_dir, config_.models_dir);
  if (!dir) return reply.error(dir.error());
  const OpenJobs open = open_jobs(jobs_, *dir, params.queue);
  std::size_t entries = 0;
  if (params.queue) {
    const auto& before = jobs_.queue().entries();
    entries = static_cast<std::size_t>(std::count_if(
        before.begin(), before.end(), [](const queue::JobPtr& job) { return job->state != queue::JobState::kActive; }));
  }
  const auto given = std::make_shared<Reply>(std::move(reply));
  const auto go_on = [this, dir = *dir, open, params, entries, given] {
    const CleanWishes wishes{params.unfinished, params.unreferenced, params.dry_run};
    answer<proto::StoreCleanResult>(
        std::move(*given), [this, dir, open, wishes] { return clean_reply(stores_, dir, open, wishes); },
        [this, dir, entries, dry_run = wishes.dry_run](proto::StoreCleanResult& cleaned) {
          cleaned.queue_entries = entries;
          if (!dry_run && !cleaned.removed.empty()) publish_change(dir, "cleaned", {});
        });
  };
  if (!params.queue || params.dry_run || entries == 0) return go_on();
  jobs_.clear([given, go_on](const Status& cleared) {
    if (!cleared) return given->error(cleared.error());
    go_on();
  });
}

void StoreService::outdated(const proto::StoreOutdatedParams& params, Reply reply) {
  const auto dir = models_dir_of(params.models_dir, config_.models_dir);
  if (!dir) return reply.error(dir.error());
  const auto names = parse_names(params.models);
  if (!names) return reply.error(names.error());
  using Answer = Result<proto::StoreOutdatedResult>;
  upkeep_.ask<Answer>([this, dir = *dir, names = *names, options = params.options](
                          const std::stop_token& stop) { return maintenance_.outdated(names, options, dir, stop); },
                      [given = std::make_shared<Reply>(std::move(reply))](const Answer& result) { (*given)(result); });
}

Result<StoreService::Wanted> StoreService::wanted(proto::JobKind kind, const proto::MaintenanceParams& params) const {
  const auto dir = models_dir_of(params.models_dir, config_.models_dir);
  if (!dir) return fail(dir.error());
  auto names = parse_names(params.models);
  if (!names) return fail(names.error());
  if (!names->empty() && params.all) {
    return fail(ErrorCode::kInvalidArgument, "models are named and all of them are asked for",
                "either name models or ask for all");
  }
  Wanted wanted{*dir, std::move(*names), {}};
  wanted.task.kind = kind;
  wanted.task.models_dir = *dir;
  if (wanted.models.size() == 1) wanted.task.model = wanted.models.front().display();
  proto::MaintenanceParams same = params;
  same.models_dir.reset();
  same.options.detached = false;
  same.all = false;
  wanted.task.key = proto::write(same);
  return wanted;
}

void StoreService::verify(const proto::MaintenanceParams& params, Reply reply) {
  auto job = wanted(proto::JobKind::kVerify, params);
  if (!job) return reply.error(job.error());
  job->task.work = [this, dir = job->models_dir, models = job->models, repair = params.repair,
                    options = params.options](UpkeepVoice& voice, const std::stop_token& stop) {
    return maintenance_.verify(models, repair, options, dir, voice, stop);
  };
  reply(upkeep_.start(std::move(job->task)));
}

void StoreService::update(const proto::MaintenanceParams& params, Reply reply) {
  auto job = wanted(proto::JobKind::kUpdate, params);
  if (!job) return reply.error(job.error());
  if (job->models.empty() && !params.all) {
    return reply.error(Error{ErrorCode::kInvalidArgument, "update needs models, or all",
                             "`pullama update --all` updates every installed model", 0});
  }
  job->task.work = [this, dir = job->models_dir, models = job->models, options = params.options](
                       UpkeepVoice& voice, const std::stop_token& stop) {
    return maintenance_.update(models, options, dir, voice, stop);
  };
  reply(upkeep_.start(std::move(job->task)));
}

void StoreService::doctor(const proto::MaintenanceParams& params, Reply reply) {
  auto job = wanted(proto::JobKind::kDoctor, params);
  if (!job) return reply.error(job.error());
  Patient patient = config_.patient();
  patient.models_dir = job->models_dir;
  auto registries = registries_to_ask(job->models, params.options.insecure, patient.configured.config);
  if (!registries) return reply.error(registries.error());
  patient.registries = std::move(*registries);
  patient.ca_file = params.options.ca_file.value_or("");
  job->task.work = [checks = doctor_checks(patient), options = params.options](
                       UpkeepVoice& voice, const std::stop_token& stop) -> Result<UpkeepSummary> {
    if (auto usable = PullTransfers::check(options); !usable) return fail(usable.error());
    const auto tell = [&](const Finding& finding) { voice.tell(finding); };
    if (!look_at(checks, tell, stop)) return fail(ErrorCode::kCancelled, "stopped");
    return UpkeepSummary{};
  };
  reply(upkeep_.start(std::move(job->task)));
}

}  // namespace pullama
