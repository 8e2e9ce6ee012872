#include "client/commands/commands.h"

#include <fmt/format.h>

#include <array>

#include "client/help.h"
#include "common/version.h"
#include "proto/json_object.h"

namespace pullama::client {
namespace {

int run_version(Context& context) {
  if (context.options.is_json()) {
    document(context, proto::JsonObject().add("version", kVersion).str());
  } else {
    say(context, fmt::format("pullama {}", kVersion));
  }
  return 0;
}

int run_help(Context& context) {
  const auto text = help_text(context.options.operands);
  if (!text) return report(context, text.error());
  context.streams.out.raw(*text);
  return 0;
}

}  // namespace

int run_command(Context& context) {
  switch (context.options.command) {
    case Command::kPull:
      return run_pull(context);
    case Command::kPush:
      return run_push(context);
    case Command::kList:
      return run_list(context);
    case Command::kShow:
      return run_show(context);
    case Command::kRemove:
      return run_remove(context);
    case Command::kCopy:
      return run_copy(context);
    case Command::kClean:
      return run_clean(context);
    case Command::kVerify:
      return run_verify(context);
    case Command::kOutdated:
      return run_outdated(context);
    case Command::kUpdate:
      return run_update(context);
    case Command::kQueueAdd:
      return run_queue_add(context);
    case Command::kQueueList:
      return run_queue_list(context);
    case Command::kQueueRemove:
      return run_queue_remove(context);
    case Command::kQueueStart:
      return run_queue_start(context);
    case Command::kQueueStop:
      return run_queue_stop(context);
    case Command::kQueueMove:
      return run_queue_move(context);
    case Command::kQueueRetry:
      return run_queue_retry(context);
    case Command::kQueueClear:
      return run_queue_clear(context);
    case Command::kWatch:
      return run_watch(context);
    case Command::kJobs:
      return run_jobs(context);
    case Command::kPause:
      return run_pause(context);
    case Command::kResume:
      return run_resume(context);
    case Command::kCancel:
      return run_cancel(context);
    case Command::kLimit:
      return run_limit(context);
    case Command::kHistory:
      return run_history(context);
    case Command::kDoctor:
      return run_doctor(context);
    case Command::kKey:
      return run_key(context);
    case Command::kDaemonStatus:
      return run_daemon_status(context);
    case Command::kDaemonStart:
      return run_daemon_start(context);
    case Command::kDaemonStop:
      return run_daemon_stop(context);
    case Command::kCompletion:
      return run_completion(context);
    case Command::kVersion:
      return run_version(context);
    case Command::kHelp:
    case Command::kCount:
      break;
  }
  return run_help(context);
}

}  // namespace pullama::client
