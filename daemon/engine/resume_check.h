#pragma once
// After a restart: compares what lies in the partial with the XXH3 of what was received, while the first requests are
// already under way. What does not match is fetched again; adopted bytes get their XXH3 here.

#include <stop_token>

#include "daemon/engine/progress.h"
#include "daemon/engine/transfer_state.h"
#include "daemon/io/file_system.h"

namespace pullama::engine {

void run_resume_check(TransferState& state, io::File& file, const BlobRef& blob, ProgressSink& sink,
                      std::stop_token stop);

}  // namespace pullama::engine
