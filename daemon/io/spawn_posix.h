#pragma once
// Starts another program with only the descriptors that it is meant to have: a session of its own, so that no signal of
// a terminal reaches it, signals as at a program's start, "/" as its folder.

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

namespace pullama::io {

// `program` is a path, or a name that is looked for on PATH; `words` its arguments from its own name on, `environment`
// all of the child's. `descriptors`: ours, and the numbers that they get; standard input, output and error are
// /dev/null where they do not stand among them. 0, or the errno of what failed.
int spawn(pid_t& child, const std::string& program, std::vector<std::string> words,
          std::vector<std::string> environment, const std::vector<std::pair<int, int>>& descriptors);

// Our own environment, as "NAME=value".
std::vector<std::string> process_variables();

}  // namespace pullama::io
