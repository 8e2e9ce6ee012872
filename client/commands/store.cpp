#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iostream>

#include "client/commands/ago.h"
#include "client/commands/commands.h"
#include "client/commands/table.h"
#include "common/size_text.h"
#include "proto/methods.h"

namespace pullama::client {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

bool ask(Context& context, const std::string& question) {
  context.streams.out.raw(question + " [y/N] ");
  std::string answer;
  std::getline(std::cin, answer);
  std::transform(answer.begin(), answer.end(), answer.begin(), [](unsigned char c) { return std::tolower(c); });
  return answer == "y" || answer == "yes";
}

Result<std::optional<std::string>> models_dir(Context& context) {
  if (auto connection = context.link.open(); !connection) return fail(connection.error());
  return context.link.models_dir();
}

}  // namespace

int run_list(Context& context) {
  const auto dir = models_dir(context);
  if (!dir) return report(context, dir.error());
  proto::StoreListParams params;
  params.models_dir = *dir;
  const auto list = context.link.call<proto::StoreList>(proto::method::kStoreList, params);
  if (!list) return report(context, list.error());
  if (context.options.is_json()) {
    document(context, proto::write(*list));
    return 0;
  }
  Table table({"NAME", "ID", "SIZE", "MODIFIED"});
  const proto::Time now = proto::now();
  for (const proto::StoredModel& model : list->models) {
    table.add({model.model, model.digest ? model.digest->short_hex() : "-",
               !model.digest                ? "broken"
               : model.remote_model.empty() ? format_size(model.size)
                                            : "-",
               model.broken ? ago_text(model.modified, now) + " — " + *model.broken : ago_text(model.modified, now)});
  }
  table.print(context);
  for (const std::string& what : list->unreadable) {
    context.streams.err.print({{"warning: ", Tone::kWarn}, {what + ", so models may be missing here", Tone::kText}});
  }
  return 0;
}

int run_remove(Context& context) {
  const auto dir = models_dir(context);
  if (!dir) return report(context, dir.error());
  proto::StoreRemoveParams params;
  params.models = context.options.operands;
  params.dry_run = context.options.has(Flag::kDryRun);
  params.models_dir = *dir;
  const auto result =
      context.link.call<proto::StoreRemoveResult>(proto::method::kStoreRemove, params, std::chrono::minutes(10));
  if (!result) return report(context, result.error());
  if (context.options.is_json()) {
    document(context, proto::write(*result));
    return 0;
  }
  const char* verb = params.dry_run ? "would remove" : "removed";
  for (const std::string& model : result->removed) say(context, fmt::format("{} {}", verb, model));
  say(context, fmt::format("{} {} blob(s), {}; {} shared blob(s) stay", verb, result->blobs.size(),
                           format_size(result->freed_bytes), result->shared_blobs));
  return 0;
}

int run_copy(Context& context) {
  const auto dir = models_dir(context);
  if (!dir) return report(context, dir.error());
  proto::StoreCopyParams params;
  params.source = context.options.operands[0];
  params.destination = context.options.operands[1];
  params.models_dir = *dir;
  const auto result = context.link.call<proto::StoreCopyResult>(proto::method::kStoreCopy, params);
  if (!result) return report(context, result.error());
  if (context.options.is_json()) {
    document(context, proto::write(*result));
  } else {
    say(context, fmt::format("copied {} to {}", result->source, result->destination));
  }
  return 0;
}

int run_clean(Context& context) {
  const Options& options = context.options;
  const bool may_ask = is_input_terminal() && context.streams.out.look().is_terminal && !options.is_json();
  const bool yes = options.has(Flag::kYes), dry_run = options.has(Flag::kDryRun);
  const auto dir = models_dir(context);
  if (!dir) return report(context, dir.error());
  proto::StoreCleanParams params;
  params.queue = options.has(Flag::kQueue);
  params.unreferenced = options.has(Flag::kUnreferenced);
  params.unfinished = yes;
  params.dry_run = dry_run;
  params.models_dir = *dir;
  const auto clean = [&] {
    return context.link.call<proto::StoreCleanResult>(proto::method::kStoreClean, params, std::chrono::minutes(10));
  };
  if (params.unreferenced && !yes && !dry_run) {
    if (!may_ask) {
      return report(context, Error{ErrorCode::kInvalidArgument,
                                   "clean --unreferenced asks first, and there is no terminal to ask on",
                                   "--yes answers, --dry-run only says what would go", 0});
    }
    params.dry_run = true;
    const auto plan = clean();
    if (!plan) return report(context, plan.error());
    params.dry_run = false;
    if (!ask(context, fmt::format("remove {} file(s), {}, among them blobs that no model names?", plan->removed.size(),
                                  format_size(plan->freed_bytes)))) {
      say(context, "nothing removed");
      return 0;
    }
  }
  auto result = clean();
  if (!result) return report(context, result.error());
  if (options.is_json()) {
    document(context, proto::write(*result));
    return 0;
  }
  const auto tell = [&](const proto::StoreCleanResult& done) {
    const char* verb = dry_run ? "would remove" : "removed";
    for (const proto::CleanedFile& file : done.removed) {
      say(context, fmt::format("{} {} ({})", verb, file.path, format_size(file.size)));
    }
    say(context, fmt::format("{} {} file(s), {}", verb, done.removed.size(), format_size(done.freed_bytes)));
    if (done.queue_entries > 0) say(context, fmt::format("{} {} queue entries", verb, done.queue_entries));
  };
  tell(*result);
  if (result->unfinished_bytes == 0 || params.unfinished) return 0;
  const std::string left = fmt::format("{} of transfers that wait, failed or are paused ({})",
                                       format_size(result->unfinished_bytes), joined(result->unfinished_models));
  if (dry_run || !may_ask) {
    say(context, left + " stay; --yes removes them too");
    return 0;
  }
  if (!ask(context, "remove " + left + " too?")) return 0;
  params.unfinished = true;
  result = clean();
  if (!result) return report(context, result.error());
  tell(*result);
  return 0;
}

}  // namespace pullama::client
