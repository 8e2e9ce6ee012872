#pragma once
// What the daemon asks of the operating system for itself, beyond files and sockets.

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

#include "common/result.h"

namespace pullama {

// Before the first thread: no core files (they would hold tokens), nothing readable for others unless said, and neither
// a closed terminal nor a closed connection ends the process.
void harden_process();

// Of the user that the process runs as; "" where the password database does not know.
std::string home_folder();

// How often the service manager wants to hear "WATCHDOG=1" from this process ($WATCHDOG_USEC): half its limit. Nothing:
// never.
std::optional<std::chrono::milliseconds> watchdog_interval();

// The id of a group of this machine; kInvalidArgument where there is none of that name. Blocks: it asks the database.
Result<gid_t> group_id(const std::string& name);

// Whether another file lies where this program's was: an update.
bool is_program_replaced();

// Tells the service manager ("READY=1", "STOPPING=1"), if there is one ($NOTIFY_SOCKET). Does not block.
void notify_service_manager(const std::string& state);

// From now on SIGTERM and SIGINT end the process at once, and so does the passing of `limit`: exit code 0, nothing is
// flushed, which the files are made for.
void leave_soon(std::chrono::milliseconds limit);

[[noreturn]] void leave_now(int exit_code);

}  // namespace pullama
