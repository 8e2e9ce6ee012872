#pragma once
// Where the daemon's words go: to standard error, which is the journal under systemd, a terminal in the foreground, and
// a file that is kept small (log_file.h) where a client started us.

#include <string>

namespace pullama {

// `level` is one of spdlog's names.
void start_log(const std::string& level);
// From the next line on. Any thread.
void set_log_level(const std::string& level);

}  // namespace pullama
