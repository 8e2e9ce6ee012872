#pragma once
// Every command, one small function each; the exit code comes back. Families share a file.

#include <optional>
#include <string>

#include "client/context.h"
#include "proto/params.h"
#include "proto/results.h"

namespace pullama::client {

int run_command(Context& context);

// pull.cpp
int run_pull(Context& context);
int run_push(Context& context);
// watch.cpp
int run_watch(Context& context);
// jobs.cpp
int run_jobs(Context& context);
int run_pause(Context& context);
int run_resume(Context& context);
int run_cancel(Context& context);
int run_limit(Context& context);
int run_history(Context& context);
// queue.cpp, queue_start.cpp
int run_queue_add(Context& context);
int run_queue_list(Context& context);
int run_queue_remove(Context& context);
int run_queue_start(Context& context);
int run_queue_stop(Context& context);
int run_queue_move(Context& context);
int run_queue_retry(Context& context);
int run_queue_clear(Context& context);
// store.cpp, show.cpp, maintenance.cpp
int run_list(Context& context);
int run_show(Context& context);
int run_remove(Context& context);
int run_copy(Context& context);
int run_clean(Context& context);
int run_verify(Context& context);
int run_outdated(Context& context);
int run_update(Context& context);
int run_doctor(Context& context);
// key.cpp
int run_key(Context& context);
// daemon.cpp
int run_daemon_status(Context& context);
int run_daemon_start(Context& context);
int run_daemon_stop(Context& context);
int run_completion(Context& context);

// After a command, on standard error: that the daemon is of another version; how many transfers wait in a daemon that
// it started without waking them. afterwards.cpp
void tell_afterwards(Context& context);

// service_hint.cpp. Of a queue that starts; of transfers that go on without a terminal.
void tell_of_service(Context& context);
void tell_of_logout(Context& context);

// The transfer flags, the CA file looked at: the daemon could only say that it was not there.
Result<proto::PullOptions> transfer_options(const Options& options);

// "pullama --insecure llama3.2:latest": what does the same again.
std::string again_command(const Options& options, const std::string& models);
// The same for a job that another command line started: with the flags that it needs, wherever this one looks.
std::string again_command(const Options& options, const proto::JobSnapshot& job);

// The one job that the user means: its id, or a model that is under way (one that waits counts too).
Result<proto::JobSnapshot> find_job(Context& context, const std::string& model_or_job);

}  // namespace pullama::client
