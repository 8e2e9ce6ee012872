#pragma once
// The original pullama's queue.json, which has no version (registry-protocol.md 7.6):
//   {"entries":[{"model","tag","status":"queued|active|completed|failed","added_at","finished_at","error"?}]}
// It had dropped hosts and namespaces. Its "active" outlived any crash, so it is queued here, and the queue paused.

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "daemon/queue/queue_codec.h"

namespace pullama::queue {

// Entries whose model is no valid name are left out and said in the warnings. All go to `models_dir`.
Result<Decoded> decode_original(const nlohmann::json& root, const std::string& models_dir);

}  // namespace pullama::queue
