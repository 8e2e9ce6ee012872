#pragma once
// The upload state of one blob on the disk: read once, written at each answer of the registry, removed at the end.
// Thread-safe.

#include <functional>
#include <mutex>

#include "daemon/engine/progress.h"
#include "daemon/engine/upload_state.h"
#include "daemon/io/file_system.h"

namespace pullama::engine {

class UploadJournal {
 public:
  UploadJournal(io::FileSystem& fs, const BlobRef& blob, ProgressSink& sink) : fs_(fs), blob_(blob), sink_(sink) {}

  // What an earlier run left for this very place; nothing where there is none. What cannot be read is discarded, and
  // that is reported. What was left of a push to another place stays until update().
  std::optional<UploadState> load(const std::string& host, const std::string& repository);
  // Changes the state and saves it, durable on success.
  Status update(const std::function<void(UploadState&)>& change);
  // Starts over for the same place; removes the file unless it is of another place.
  Status forget();
  UploadState state();

 private:
  io::FileSystem& fs_;
  const BlobRef blob_;
  ProgressSink& sink_;
  std::mutex mutex_;  // guards state_ and the file
  UploadState state_;
  bool is_of_another_place_ = false;
};

}  // namespace pullama::engine
