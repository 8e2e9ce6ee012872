#pragma once
// What every command works with, and how it says that it failed.

#include "client/link.h"
#include "client/options.h"
#include "client/renderer.h"
#include "client/signals.h"
#include "common/result.h"

namespace pullama::client {

struct Context {
  const Options& options;
  Streams& streams;
  Link& link;
};

// One line on standard error, in JSON mode an object on standard output; the exit code.
int report(const Options& options, Streams& streams, const Error& error);
inline int report(Context& context, const Error& error) { return report(context.options, context.streams, error); }

// A line on standard output, a JSON document with its line's end.
void say(Context& context, std::string_view text);
void document(Context& context, const std::string& json);

}  // namespace pullama::client
