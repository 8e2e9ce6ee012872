#pragma once
// A chunk that the registry gave a digest for is hashed from the page cache when it is whole, and believed or fetched
// again.

#include "daemon/engine/progress.h"
#include "daemon/engine/transfer_state.h"
#include "daemon/io/file_system.h"

namespace pullama::engine {

// False when the disk failed (the transfer has ended then).
bool verify_group(TransferState& state, io::File& file, std::size_t index, const BlobRef& blob, ProgressSink& sink);

}  // namespace pullama::engine
