#include <fmt/format.h>

#include <string>
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/table.h"
#include "client/follow.h"
#include "common/model_name.h"
#include "common/size_text.h"
#include "proto/errors.h"
#include "proto/json_object.h"
#include "proto/methods.h"

namespace pullama::client {
namespace {

using proto::JsonObject;

Result<proto::StartResult> start(Context& context, std::string_view method, const std::string& model,
                                 const proto::PullOptions& transfer) {
  // Which daemon it is decides whether the models dir is named at all.
  if (auto connection = context.link.open(); !connection) return fail(connection.error());
  proto::StartParams params;
  params.model = model;
  params.options = transfer;
  params.models_dir = context.link.models_dir();
  // A plan needs the registry's answer first.
  return context.link.call<proto::StartResult>(method, params,
                                               transfer.dry_run ? std::chrono::minutes(10) : kReplyLimit);
}

// A failure before there was anything to follow, in the words of the mode.
int start_failed(Context& context, const Subject& subject, const Error& error) {
  if (!context.options.is_json()) return report(context, error);
  const auto renderer = make_json_renderer(context.streams, false, true);
  renderer->started(subject);
  renderer->failed(error);
  return proto::exit_code(error.code);
}

int show_plan(Context& context, proto::JobKind kind, const proto::PullPlan& plan) {
  const bool pushes = kind == proto::JobKind::kPush;
  const std::uint64_t lacking = plan.needed_bytes > plan.free_bytes ? plan.needed_bytes - plan.free_bytes : 0;
  if (context.options.is_json()) {
    std::string blobs;
    for (const proto::PlannedBlob& blob : plan.blobs) {
      blobs += blobs.empty() ? "[" : ",";
      blobs += JsonObject()
                   .add("Digest", blob.digest.str())
                   .add("Size", blob.size)
                   .add("PresentBytes", blob.present_bytes)
                   .str();
    }
    const Subject subject = subject_of(kind, plan.model);
    document(context, JsonObject()
                          .add("event", "plan")
                          .add("Model", subject.name)
                          .add("Tag", subject.tag)
                          .add("ModelsDir", plan.models_dir)
                          .add("Digest", plan.digest.str())
                          .add("BlobCount", plan.blobs.size())
                          .add("TotalSize", plan.total_bytes)
                          .add("TravelBytes", plan.travel_bytes)
                          .add("FreeBytes", plan.free_bytes)
                          .add("NeededBytes", plan.needed_bytes)
                          .add("LackingBytes", lacking)
                          .add_json("Blobs", blobs.empty() ? "[]" : blobs + "]")
                          .str());
    return 0;
  }
  if (context.options.has(Flag::kQuiet)) {
    say(context, fmt::format("{}: {} of {} would travel{}", plan.model, format_size(plan.travel_bytes),
                             format_size(plan.total_bytes),
                             lacking == 0 ? "" : fmt::format(", the disk lacks {}", format_size(lacking))));
    return 0;
  }
  say(context, fmt::format("{} {} {}", plan.model, pushes ? "from" : "into", plan.models_dir));
  Table table({"BLOB", "SIZE", pushes ? "THERE" : "HERE", "STATE"});
  for (const proto::PlannedBlob& blob : plan.blobs) {
    table.add({blob.digest.short_hex(), format_size(blob.size), format_size(blob.present_bytes),
               blob.present_bytes >= blob.size ? (pushes ? "there" : "cached")
               : blob.present_bytes > 0        ? "resumes"
                                               : "travels"});
  }
  table.print(context);
  const std::uint64_t here = plan.total_bytes - std::min(plan.total_bytes, plan.travel_bytes);
  say(context, fmt::format("total {}, {} {}, would travel {}", format_size(plan.total_bytes),
                           pushes ? "there" : "cached", format_size(here), format_size(plan.travel_bytes)));
  if (pushes) return 0;
  say(context, lacking == 0 ? fmt::format("disk: {} free, {} needed", format_size(plan.free_bytes),
                                          format_size(plan.needed_bytes))
                            : fmt::format("disk: {} free, {} needed, lacks {}", format_size(plan.free_bytes),
                                          format_size(plan.needed_bytes), format_size(lacking)));
  return 0;
}

int detach(Context& context, const Subject& subject, const proto::StartResult& started) {
  const std::string job = started.job.value_or("");
  tell_of_logout(context);
  if (context.options.is_json()) {
    document(context, JsonObject()
                          .add("event", "detached")
                          .add("Model", subject.name)
                          .add("Tag", subject.tag)
                          .add("Job", job)
                          .add("Joined", started.joined)
                          .str());
  } else if (context.options.has(Flag::kQuiet)) {
    say(context, job);
  } else {
    say(context, fmt::format("{} {} as job {}", started.joined ? "joined" : "started", subject.model, job));
  }
  return 0;
}

// From the model at `first` on: what is left when this is interrupted.
std::string names_from(const std::vector<std::string>& models, std::size_t first) {
  std::string names = models.size() - first > 1 ? "pull" : "";
  for (std::size_t i = first; i < models.size(); ++i) {
    if (!names.empty()) names += " ";
    const auto name = ModelName::parse(models[i]);
    names += name && name->scheme() == "https" ? name->display() : models[i];
  }
  return names;
}

int transfer(Context& context, proto::JobKind kind, std::string_view method, const std::string& verb) {
  const Options& options = context.options;
  const auto params = transfer_options(options);
  if (!params) return start_failed(context, subject_of(kind, options.operands.front()), params.error());
  int exit_code = 0;
  const bool shows = !params->detached && !params->dry_run;
  std::optional<Signals> signals;
  std::unique_ptr<Renderer> renderer;
  if (shows) {
    signals.emplace();
    renderer = make_renderer(options, context.streams);
    context.link.set_wake(signals->fd(), [&] { return signals->stop_requested(); });
  }
  for (std::size_t i = 0; i < options.operands.size(); ++i) {
    const std::string& model = options.operands[i];
    const Subject subject = subject_of(kind, model);
    if (!shows) {
      const auto started = start(context, method, model, *params);
      const int code = !started        ? start_failed(context, subject, started.error())
                       : started->plan ? show_plan(context, kind, *started->plan)
                                       : detach(context, subject, *started);
      if (exit_code == 0) exit_code = code;
      if (!context.link.is_open()) break;  // the next one would meet the same
      continue;
    }
    Pursuit pursuit;
    pursuit.subject = subject;
    pursuit.start = [&] { return start(context, method, model, *params); };
    pursuit.cancels = true;
    pursuit.resume_command = again_command(options, verb + names_from(options.operands, i));
    const Outcome outcome = follow(context, *signals, *renderer, pursuit);
    if (outcome.end == End::kInterrupted || outcome.end == End::kDetached) return outcome.exit_code;
    if (exit_code == 0) exit_code = outcome.exit_code;
    if (!context.link.is_open()) break;
  }
  context.link.set_wake(-1, {});
  return exit_code;
}

}  // namespace

int run_pull(Context& context) { return transfer(context, proto::JobKind::kPull, proto::method::kPullStart, ""); }
int run_push(Context& context) { return transfer(context, proto::JobKind::kPush, proto::method::kPushStart, "push "); }

}  // namespace pullama::client
