#pragma once
// queue.json: the queue, the direct jobs and the limits on disk. It is the authority for order and state (received
// bytes are the checkpoints' business) and is only ever replaced whole. Its format stands in queue_codec.h. Blocking;
// any thread but control.

#include <string>
#include <string_view>

#include "daemon/io/file_system.h"
#include "daemon/queue/queue_codec.h"

namespace pullama::queue {

inline constexpr std::uint64_t kMaxQueueFileBytes = 64ULL << 20;

// Reads the file at `path`; a missing one is an empty queue. One that decode() refuses is renamed to
// "<path>.corrupt-<time>", never deleted, and said in the warnings. An error means that the file is there and can be
// neither read nor set aside.
Result<Decoded> load(io::FileSystem& fs, const std::string& path, const std::string& models_dir, std::int64_t now_ms);
// Durable on success; mode 0600, as options may name private hosts and files. kInvalidArgument for a text that load()
// would not read.
Status save(io::FileSystem& fs, const std::string& path, std::string_view text);

}  // namespace pullama::queue
