#pragma once
// An error as people see it: one line that says what is wrong and what to do next.

#include <string>

#include "common/result.h"

namespace pullama::client {

// Adds what cli.md says of exit codes 2 and 3 where the hint does not say it yet.
Error with_hint(Error error);

// "error: disk full in /m — try `pullama clean`", printable, without a line's end.
std::string error_line(const Error& error);

}  // namespace pullama::client
