#pragma once
// The text of queue.json. Pure.
//
// Version 2, one object, UTF-8, one job a line:
//   {"version":2,"next_id":4,"paused":true,"limits":{"rate":0,"connections":0,"parallel_models":1},
//    "entries":[JOB,…],"direct":[JOB,…]}
//   JOB = {"id":"j1","kind":"pull","model":"registry.ollama.ai/library/m:latest","models_dir":"/…","options":{…},
//          "state":"queued","added_ms":1763752813123}, and where there is something to say "started_ms", "finished_ms",
//          "bytes_done" and "bytes_total" (as last shown when the state changed), "manifest":"sha256:…",
//          "error":{"kind","message","hint"}
// "entries" are the queue in its order. Unknown members are ignored; anything else that is not as said makes the whole
// file corrupt: guessing could start transfers that nobody asked for.

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "daemon/queue/job.h"

namespace pullama::queue {

// More jobs than this in one list is corrupt.
inline constexpr std::size_t kMaxJobs = 200'000;

struct Decoded {
  QueueData data;
  std::vector<std::string> warnings;
};
// kCorrupt says what is wrong, kUnsupported is a version that we do not know. Text without a version is the original's
// (original_queue.h), whose entries go to `models_dir`.
Result<Decoded> decode(std::string_view text, const std::string& models_dir);

// Remembers the lines of jobs that have not changed since the last call: with 10,000 entries a change costs a copy of
// 2 MB, not a serialization. One thread at a time.
class Encoder {
 public:
  std::string encode(const QueueData& data);

 private:
  std::unordered_map<JobPtr, std::string> lines_;
  std::size_t last_bytes_ = 0;
};

}  // namespace pullama::queue
