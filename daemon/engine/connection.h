#pragma once
// One worker that fetches ranges of a blob: asks the transfer for a range, requests it, writes what comes into the
// partial at its offset, commits it, and decides by the retry rules what a fault means. Runs on a thread of its own.

#include <cstdint>
#include <functional>
#include <stop_token>

#include "daemon/engine/progress.h"
#include "daemon/engine/rate_limit.h"
#include "daemon/engine/retry.h"
#include "daemon/engine/transfer_state.h"
#include "daemon/io/clock.h"
#include "daemon/io/file_system.h"
#include "daemon/registry/registry.h"

namespace pullama::engine {

// What the connections of one blob's transfer share; all outlive them.
struct ConnectionContext {
  TransferState& state;
  io::File& file;
  registry::Registry& registry;
  registry::BlobSource& source;
  const io::Clock& clock;
  RateLimit& rate_limit;      // the daemon's
  RateLimit& job_rate_limit;  // this job's
  std::uint64_t job = 0;      // key for the fair turn
  std::optional<unsigned> max_retries;
  Refusals& refusals;  // of this blob
  ProgressSink& sink;
  BlobRef blob;
  std::function<void()> on_retry;             // counts; from any thread
  std::function<std::uint64_t()> generation;  // changes when connections are to be made anew (after a suspend)
};

// Returns when the transfer needs this connection no more, has ended, or stop. `id` from TransferState::enter(); left
// here.
void run_connection(ConnectionContext& context, unsigned id, std::stop_token stop);

}  // namespace pullama::engine
