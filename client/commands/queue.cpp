#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "client/commands/commands.h"
#include "common/printable.h"
#include "proto/methods.h"

namespace pullama::client {
namespace {

std::uint64_t number(const std::string& word) {  // checked when the command line was parsed
  std::uint64_t value = 0;
  std::from_chars(word.data(), word.data() + word.size(), value);
  return value;
}

Result<proto::QueueView> list(Context& context) {
  return context.link.call<proto::QueueView>(proto::method::kQueueList, proto::NoParams{});
}

Result<proto::QueueEntry> entry_at(Context& context, const std::string& word) {
  const auto queue = list(context);
  if (!queue) return fail(queue.error());
  const std::uint64_t position = number(word);
  for (const proto::QueueEntry& entry : queue->entries) {
    if (entry.position == position) return entry;
  }
  return fail(ErrorCode::kInvalidArgument, fmt::format("the queue has no entry {}", position),
              queue->entries.empty() ? "it is empty" : fmt::format("it has 1 to {}", queue->entries.size()));
}

Line line_of(const proto::QueueEntry& entry) {
  using proto::JobState;
  Span sign{"·", Tone::kMuted};
  if (entry.state == JobState::kActive) sign = {"▸", Tone::kInfo};
  if (entry.state == JobState::kCompleted) sign = {"✓", Tone::kSuccess};
  if (entry.state == JobState::kFailed) sign = {"✗", Tone::kError};
  if (entry.state == JobState::kWaitingNetwork || entry.state == JobState::kWaitingSpace) sign = {"⚠", Tone::kWarn};
  Line line{{"  ", Tone::kText},
            sign,
            {fmt::format(" {} {} {}", entry.position, printable(entry.model, 512), proto::name_of(entry.state)),
             Tone::kText}};
  if (entry.error) line.push_back({" — " + printable(entry.error->message, 512), Tone::kMuted});
  return line;
}

int show(Context& context, const proto::QueueView& queue) {
  if (context.options.is_json()) {
    document(context, proto::write(queue));
    return 0;
  }
  if (queue.entries.empty()) say(context, "queue is empty");
  std::vector<Line> lines;
  lines.reserve(queue.entries.size());
  for (const proto::QueueEntry& entry : queue.entries) lines.push_back(line_of(entry));
  context.streams.out.print_all(lines);
  return 0;
}

// The queue afterwards in JSON mode, a sentence else.
int answer(Context& context, const Result<proto::QueueView>& queue, const std::string& text) {
  if (!queue) return report(context, queue.error());
  if (context.options.is_json()) return show(context, *queue);
  say(context, text);
  return 0;
}

}  // namespace

int run_queue_add(Context& context) {
  const auto transfer = transfer_options(context.options);
  if (!transfer) return report(context, transfer.error());
  if (auto connection = context.link.open(); !connection) return report(context, connection.error());
  proto::QueueAddParams params;
  params.models = context.options.operands;
  params.options = *transfer;
  params.models_dir = context.link.models_dir();
  const auto result = context.link.call<proto::QueueAddResult>(proto::method::kQueueAdd, params);
  if (!result) return report(context, result.error());
  if (context.options.is_json()) {
    document(context, proto::write(*result));
    return 0;
  }
  say(context, fmt::format("added {} model(s) to queue", result->added.size()));
  for (const proto::QueueSkipped& skipped : result->skipped) {
    say(context, fmt::format("skipped {} — {}", skipped.model, skipped.why));
  }
  return 0;
}

int run_queue_list(Context& context) {
  const auto queue = list(context);
  return queue ? show(context, *queue) : report(context, queue.error());
}

int run_queue_remove(Context& context) {
  const auto entry = entry_at(context, context.options.operands.front());
  if (!entry) return report(context, entry.error());
  proto::QueueEntryParams params;
  params.id = entry->id;
  return answer(context, context.link.call<proto::QueueView>(proto::method::kQueueRemove, params),
                fmt::format("removed {} from queue", entry->model));
}

int run_queue_move(Context& context) {
  const auto entry = entry_at(context, context.options.operands[0]);
  if (!entry) return report(context, entry.error());
  const auto there = entry_at(context, context.options.operands[1]);
  if (!there) return report(context, there.error());
  proto::QueueMoveParams params;
  params.id = entry->id;
  params.to = there->position;
  return answer(context, context.link.call<proto::QueueView>(proto::method::kQueueMove, params),
                fmt::format("moved {} to {}", entry->model, params.to));
}

int run_queue_retry(Context& context) {
  proto::QueueRetryParams params;
  std::string what;
  if (!context.options.operands.empty()) {
    const auto entry = entry_at(context, context.options.operands.front());
    if (!entry) return report(context, entry.error());
    params.id = entry->id;
    what = fmt::format("{} is queued again", entry->model);
  }
  if (what.empty()) {
    const auto before = list(context);
    if (!before) return report(context, before.error());
    const auto failed = std::count_if(before->entries.begin(), before->entries.end(),
                                      [](const proto::QueueEntry& e) { return e.state == proto::JobState::kFailed; });
    what = failed == 0 ? std::string("no entry has failed")
                       : fmt::format("{} failed {} queued again", failed, failed == 1 ? "entry is" : "entries are");
  }
  return answer(context, context.link.call<proto::QueueView>(proto::method::kQueueRetry, params), what);
}

int run_queue_clear(Context& context) {
  const auto queue = context.link.call<proto::QueueView>(proto::method::kQueueClear, proto::NoParams{});
  return answer(
      context, queue,
      queue && !queue->entries.empty()
          ? fmt::format("cleared the queue; {} under way stay, pullama cancel stops them", queue->entries.size())
          : std::string("cleared the queue"));
}

int run_queue_stop(Context& context) {
  const auto queue = context.link.call<proto::QueueView>(proto::method::kQueueStop, proto::QueueStopParams{});
  std::string text = "queue stopped";
  if (queue) {
    std::string active;
    for (const proto::QueueEntry& entry : queue->entries) {
      if (entry.state == proto::JobState::kActive) active += (active.empty() ? "" : ", ") + entry.model;
    }
    if (!active.empty()) text = "queue stops after " + active;
  }
  return answer(context, queue, text);
}

}  // namespace pullama::client
