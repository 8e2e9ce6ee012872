#pragma once
// The running SHA-256 over a blob from byte 0: one thread that reads the page cache in order, close behind the writers,
// and publishes its midstate, so that neither a resume nor the end needs a second pass. Ends when the transfer does.

#include <optional>
#include <stop_token>

#include "common/digest.h"
#include "daemon/engine/transfer_state.h"
#include "daemon/io/file_system.h"

namespace pullama::engine {

// Runs on a thread of its own until the digest is known (right or wrong: both are told to `state`), the transfer ends
// or stop. A read that fails ends the transfer.
void run_front_hash(TransferState& state, io::File& file, const Digest& expected, std::uint64_t size_bytes,
                    std::stop_token stop);

}  // namespace pullama::engine
