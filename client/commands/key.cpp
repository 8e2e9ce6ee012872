// The key that the daemon shows to registries.

#include <fmt/format.h>

#include "client/commands/commands.h"
#include "common/printable.h"
#include "proto/methods.h"

namespace pullama::client {

int run_key(Context& context) {
  proto::KeyParams params;
  params.create = !context.options.operands.empty();
  const auto key = context.link.call<proto::KeyResult>(proto::method::kDaemonKey, params);
  if (!key) return report(context, key.error());
  if (context.options.is_json()) {
    document(context, proto::write(*key));
    return 0;
  }
  // Apart, so that each can be copied as it is.
  say(context, printable(key->public_key, 1024));
  say(context, printable(key->path, 4096));
  if (context.link.is_system()) {
    say(context, fmt::format("it is the system service's, whose user is {}", printable(key->user, 64)));
  }
  if (key->created) {
    say(context, "it is new: add the first line at https://ollama.com/settings/keys to be known there");
  } else if (params.create) {
    say(context, "it was there already, and nothing was changed");
  }
  return 0;
}

}  // namespace pullama::client
