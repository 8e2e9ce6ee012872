#include "daemon/engine/upload_journal.h"

#include "daemon/io/atomic_write.h"
#include "daemon/io/os_error.h"
#include "daemon/store/models_dir.h"

namespace pullama::engine {

std::optional<UploadState> UploadJournal::load(const std::string& host, const std::string& repository) {
  const std::lock_guard lock(mutex_);
  state_ = {};
  is_of_another_place_ = false;
  const auto text = fs_.read_file(store::upload_path(blob_.digest), kMaxUploadStateBytes);
  if (text) {
    auto parsed = parse_upload_state(*text, blob_.digest, blob_.size_bytes);
    if (parsed && parsed->host == host && parsed->repository == repository) {
      state_ = std::move(*parsed);
      return state_;
    }
    is_of_another_place_ = parsed.has_value();
    if (!parsed) sink_.report(CheckpointDiscarded{blob_, "upload state: " + parsed.error().message});
  } else if (!io::is_missing(text.error())) {
    sink_.report(CheckpointDiscarded{blob_, "upload state: " + text.error().message});
  }
  state_.host = host;
  state_.repository = repository;
  return std::nullopt;
}

Status UploadJournal::update(const std::function<void(UploadState&)>& change) {
  const std::lock_guard lock(mutex_);
  change(state_);
  auto saved = io::atomic_write(fs_, store::upload_path(blob_.digest),
                                format_upload_state(blob_.digest, blob_.size_bytes, state_), 0600);
  if (saved) is_of_another_place_ = false;
  if (saved) sink_.report(CheckpointSaved{blob_, state_.offset});
  return saved;
}

UploadState UploadJournal::state() {
  const std::lock_guard lock(mutex_);
  return state_;
}

Status UploadJournal::forget() {
  const std::lock_guard lock(mutex_);
  UploadState fresh;
  fresh.host = state_.host;
  fresh.repository = state_.repository;
  state_ = std::move(fresh);
  if (is_of_another_place_) return {};
  auto removed = fs_.remove(store::upload_path(blob_.digest));
  if (!removed && io::is_missing(removed.error())) return {};
  return removed;
}

}  // namespace pullama::engine
