#include "client/context.h"

#include "client/error_text.h"
#include "common/printable.h"
#include "proto/errors.h"
#include "proto/json_object.h"

namespace pullama::client {

int report(const Options& options, Streams& streams, const Error& error) {
  const Error whole = with_hint(error);
  if (options.is_json()) {
    proto::JsonObject object;
    object.add("event", "error").add("Kind", proto::kind_name(whole.code)).add("Message", whole.message);
    if (!whole.hint.empty()) object.add("Hint", whole.hint);
    streams.out.raw(object.str() + "\n");
  } else {
    streams.err.print({{error_line(error), Tone::kText}});
  }
  return proto::exit_code(error.code);
}

void say(Context& context, std::string_view text) { context.streams.out.print({{printable(text), Tone::kText}}); }

void document(Context& context, const std::string& json) { context.streams.out.raw(json + "\n"); }

}  // namespace pullama::client
