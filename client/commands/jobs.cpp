#include <fmt/format.h>

#include <algorithm>

#include "client/bar.h"
#include "client/commands/ago.h"
#include "client/commands/commands.h"
#include "client/commands/table.h"
#include "common/duration_text.h"
#include "common/model_name.h"
#include "common/printable.h"
#include "common/size_text.h"
#include "proto/methods.h"

namespace pullama::client {
namespace {

bool names(const proto::JobSnapshot& job, const std::string& word) {
  if (job.id == word) return true;
  const auto wanted = ModelName::parse(word), has = ModelName::parse(job.model);
  return wanted && has && wanted->equals_ignoring_case(*has);
}

int change(Context& context, std::string_view method, const char* done) {
  const auto job = find_job(context, context.options.operands.front());
  if (!job) return report(context, job.error());
  Result<proto::JobStateResult> state = [&] {
    if (method == proto::method::kJobCancel) {
      proto::JobCancelParams params;
      params.job = job->id;
      return context.link.call<proto::JobStateResult>(method, params);
    }
    proto::JobParams params;
    params.job = job->id;
    return context.link.call<proto::JobStateResult>(method, params);
  }();
  if (!state) return report(context, state.error());
  if (context.options.is_json()) {
    document(context, proto::write(*state));
    return 0;
  }
  const std::string what = job->model.empty() ? job->id : job->model;
  if (proto::is_finished(state->state) && proto::name_of(state->state) != done) {
    return report(context, Error{ErrorCode::kInvalidArgument,
                                 fmt::format("{} is already {}", what, proto::name_of(state->state)), "", 0});
  }
  std::string line = fmt::format("{} {}", done, what);
  const bool travels = job->kind == proto::JobKind::kPull || job->kind == proto::JobKind::kPush;
  if (method == proto::method::kJobCancel && travels) {
    line += " — resume with: " + again_command(context.options, *job);
  }
  say(context, line);
  return 0;
}

}  // namespace

Result<proto::JobSnapshot> find_job(Context& context, const std::string& model_or_job) {
  const auto list = context.link.call<proto::JobList>(proto::method::kJobList, proto::JobListParams{});
  if (!list) return fail(list.error());
  const proto::JobSnapshot* best = nullptr;
  for (const proto::JobSnapshot& job : list->jobs) {
    if (!names(job, model_or_job)) continue;
    // An id is exact; of several transfers of one model the one in our models dir that still runs is meant, else the
    // last.
    const auto rank = [&](const proto::JobSnapshot& candidate) {
      return (candidate.id == model_or_job ? 4 : 0) + (proto::is_finished(candidate.state) ? 0 : 2) +
             (candidate.models_dir == context.options.models_dir ? 1 : 0);
    };
    if (best == nullptr || rank(job) >= rank(*best)) best = &job;
  }
  if (best == nullptr) {
    return fail(ErrorCode::kNotFound, fmt::format("no transfer of {} is under way", printable(model_or_job, 200)),
                "see pullama jobs");
  }
  return *best;
}

int run_jobs(Context& context) {
  const auto list = context.link.call<proto::JobList>(proto::method::kJobList, proto::JobListParams{});
  if (!list) return report(context, list.error());
  if (context.options.is_json()) {
    proto::JobList under_way;
    std::copy_if(list->jobs.begin(), list->jobs.end(), std::back_inserter(under_way.jobs),
                 [](const proto::JobSnapshot& job) { return !proto::is_finished(job.state); });
    document(context, proto::write(under_way));
    return 0;
  }
  Table table({"JOB", "MODEL", "STATE", "DONE", "RATE", "ETA"});
  for (const proto::JobSnapshot& job : list->jobs) {
    if (proto::is_finished(job.state)) continue;
    std::string share = "-", eta = "-";
    if (job.bytes_total > 0) {
      const std::uint64_t bytes = std::min(job.bytes_done, job.bytes_total);
      share = fmt::format("{}% {}", percent_of(bytes, job.bytes_total), size_pair(bytes, job.bytes_total, false));
    }
    if (job.eta_s) eta = format_duration(std::chrono::seconds(std::min<std::uint64_t>(*job.eta_s, 1ULL << 40)));
    std::string state(proto::name_of(job.state));
    if (job.kind != proto::JobKind::kPull) state = fmt::format("{} {}", proto::name_of(job.kind), state);
    table.add(
        {job.id, job.model.empty() ? "-" : job.model, state, share, job.rate > 0 ? format_rate(job.rate) : "-", eta});
  }
  if (table.size() == 0) {
    say(context, "nothing is under way");
  } else {
    table.print(context);
  }
  return 0;
}

int run_pause(Context& context) { return change(context, proto::method::kJobPause, "paused"); }
int run_resume(Context& context) { return change(context, proto::method::kJobResume, "resumed"); }
int run_cancel(Context& context) { return change(context, proto::method::kJobCancel, "cancelled"); }

int run_limit(Context& context) {
  const auto limits = [&]() -> Result<proto::Limits> {
    if (context.options.operands.empty()) {
      return context.link.call<proto::Limits>(proto::method::kLimitsGet, proto::NoParams{});
    }
    const auto rate = parse_rate(context.options.operands.front(), "the limit");
    if (!rate) return fail(rate.error());
    proto::LimitsSetParams params;
    params.rate = *rate;
    return context.link.call<proto::Limits>(proto::method::kLimitsSet, params);
  }();
  if (!limits) return report(context, limits.error());
  if (context.options.is_json()) {
    document(context, proto::write(*limits));
  } else {
    say(context, limits->rate == 0 ? std::string("no limit")
                                   : fmt::format("limit {}", format_rate(static_cast<double>(limits->rate))));
  }
  return 0;
}

int run_history(Context& context) {
  proto::HistoryListParams params;
  params.limit = context.options.limit;
  if (!context.options.operands.empty()) {
    const auto name = ModelName::parse(context.options.operands.front());
    if (!name) return report(context, name.error());
    params.model = name->display();
  }
  const auto list = context.link.call<proto::HistoryList>(proto::method::kHistoryList, params);
  if (!list) return report(context, list.error());
  if (context.options.is_json()) {
    document(context, proto::write(*list));
    return 0;
  }
  Table table({"MODEL", "KIND", "STATE", "SIZE", "FETCHED", "SAVED", "TIME", "RATE", "RETRIES", "FINISHED"});
  const proto::Time now = proto::now();
  for (const proto::HistoryEntry& entry : list->transfers) {
    table.add({entry.model, std::string(proto::name_of(entry.kind)), std::string(proto::name_of(entry.state)),
               format_size(entry.total_bytes), format_size(entry.fetched_bytes), format_size(entry.saved_bytes),
               format_duration(entry.finished - entry.started), format_rate(entry.rate), std::to_string(entry.retries),
               ago_text(entry.finished, now)});
  }
  if (table.size() == 0) {
    say(context, "no finished transfers yet");
  } else {
    table.print(context);
  }
  return 0;
}

}  // namespace pullama::client
