#include <fmt/format.h>

#include "client/commands/commands.h"

namespace pullama::client {
namespace {

bool wakes(Command command) {
  return command == Command::kPull || command == Command::kPush || command == Command::kQueueStart ||
         command == Command::kResume || command == Command::kWatch;
}

void tell(Context& context, const std::string& text) { context.streams.err.print({{text, Tone::kMuted}}); }

}  // namespace

void tell_afterwards(Context& context) {
  const std::string notice = context.link.take_version_notice();
  if (context.options.is_json() || context.options.has(Flag::kQuiet)) return;
  if (!notice.empty()) tell(context, "hint: " + notice);
  const std::uint64_t count = context.link.found_waiting();
  if (count == 0 || wakes(context.options.command)) return;
  tell(context, fmt::format("{} transfer{} — go on with {}: pullama queue start", count,
                            count == 1 ? " waits" : "s wait", count == 1 ? "it" : "them"));
}

}  // namespace pullama::client
