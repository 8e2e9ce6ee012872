#pragma once
// The life of one blob of a push: is it there? → mount → the upload of an earlier run, or a new one → chunks, parts or
// directly, as the registry answers → digest checked → finished. A session that the registry lost is begun anew, at
// most twice a run. What is read from the disk goes through one descriptor, opened without following links, of a
// regular file of the right size.

#include <memory>
#include <stop_token>

#include "daemon/engine/courier.h"
#include "daemon/engine/upload_body.h"
#include "daemon/engine/upload_context.h"
#include "daemon/engine/upload_journal.h"
#include "daemon/engine/upload_retry.h"

namespace pullama::engine {

struct UploadOutcome {
  std::uint64_t saved_bytes = 0;  // that an earlier run had sent
};

class BlobUpload {
 public:
  BlobUpload(UploadContext& context, BlobRef blob, BlobGauge& gauge);
  // kCancelled after a stop. Precondition: the blob's lock is held.
  Result<UploadOutcome> run(std::stop_token stop);

 private:
  registry::Outcome<void> run_sessions(std::stop_token stop);
  Status open_file();
  Status wait_for_courier(const std::stop_token& stop);
  registry::Outcome<bool> open_session(std::string mount_from, const std::stop_token& stop);
  std::string mount_source(const std::stop_token& stop);
  registry::Outcome<void> send(const std::stop_token& stop);
  registry::Outcome<void> send_directly(registry::DirectUpload direct, const std::stop_token& stop);
  registry::Outcome<void> send_chunks(std::optional<std::uint64_t> from, const std::stop_token& stop);
  registry::Outcome<void> begin_parts(std::optional<registry::Url> first, const std::stop_token& stop);
  registry::Outcome<void> send_parts(std::optional<registry::Url> first, const std::stop_token& stop);
  registry::Outcome<void> check_file(const std::stop_token& stop);
  registry::Outcome<void> finish(const std::string& etag, const std::stop_token& stop);
  registry::Fault wrong_bytes() const;
  registry::Outcome<void> give_up_wrong_bytes(const std::stop_token& stop);
  void report_start(std::uint64_t saved_bytes);

  UploadContext& context_;
  io::FileSystem& fs_;
  const BlobRef blob_;
  BlobGauge& gauge_;
  UploadJournal journal_;
  UploadRetry retry_;
  std::unique_ptr<registry::HttpConnection> connection_;
  std::optional<CourierConnection> courier_;  // after connection_, which it uses
  std::unique_ptr<io::File> file_;
  std::optional<SentHash> hash_;
  // Of the session under way.
  std::optional<registry::Url> session_;
  std::optional<registry::DirectUpload> direct_;
  std::uint64_t min_part_bytes_ = 0;
  std::optional<UploadState> resumed_;
  UploadOutcome outcome_;
  bool reported_start_ = false;
  io::Clock::SteadyTime began_;
};

}  // namespace pullama::engine
