#pragma once
// JSON text to struct and back, for every struct of params.h, results.h, job.h and events.h.

#include <string>
#include <string_view>

#include "common/result.h"

namespace pullama::proto {

// Params structs are strict: an unknown member, a wrong type or a number out of range is kInvalidArgument with a
// sentence that names it. Results, snapshots and events are strict about types but pass over members that they do
// not know, so that an older client understands a newer daemon. Never throws.
template <class T>
Result<T> read(std::string_view json);

// On one line, members in the order of PROTOCOL.md. Text that is not UTF-8 is repaired with U+FFFD.
template <class T>
std::string write(const T& message);

}  // namespace pullama::proto
