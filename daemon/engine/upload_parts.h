#pragma once
// Ollama's way up in parts: the registry answers each PATCH with a presigned URL (307) and the part's bytes are PUT
// there, several at once. The etag at the end is the one that S3 gives a multipart object: the MD5 of the parts' MD5s,
// and their count.

#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "daemon/engine/upload_body.h"
#include "daemon/engine/upload_context.h"
#include "daemon/engine/upload_journal.h"
#include "daemon/engine/upload_retry.h"

namespace pullama::engine {

// "<hex>-<count>".
std::string composite_etag(const std::vector<io::Md5Digest>& parts);

class PartSender {
 public:
  // `state`: part size, and the parts that are there already. `first`: where the first part may go at once.
  PartSender(UploadContext& context, BlobRef blob, BlobGauge& gauge, io::File& file, UploadJournal& journal,
             registry::Url session, const UploadState& state, std::optional<registry::Url> first);

  // The etag. On success all parts are at their places, and session() is the one to finish.
  registry::Outcome<std::string> run(std::stop_token stop);
  const registry::Url& session() const { return session_; }

 private:
  struct Range {
    std::uint64_t offset = 0, length = 0;
  };
  Range range_of(std::size_t part) const;
  void work();
  registry::Outcome<bool> send_next(registry::HttpConnection& connection, UploadRetry& retry);
  registry::Outcome<registry::SentPart> announce(registry::HttpConnection& connection, UploadRetry& retry,
                                                 std::size_t part, UploadBody& body);
  registry::Outcome<void> send_bytes(registry::HttpConnection& connection, UploadRetry& retry, std::size_t part,
                                     std::optional<registry::Url> place, UploadBody& body);
  registry::Outcome<void> note_done(std::size_t part, const io::Md5Digest& md5);

  UploadContext& context_;
  const BlobRef blob_;
  BlobGauge& gauge_;
  io::File& file_;
  UploadJournal& journal_;
  const UploadPace pace_;
  const std::uint64_t part_bytes_;
  std::stop_token stop_;     // of the push
  std::stop_source failed_;  // one worker's end is everybody's; also the late stop
  std::mutex turn_;          // one PATCH at a time, in order; guards the three below
  registry::Url session_;
  std::optional<registry::Url> first_;
  std::size_t next_ = 0;
  std::mutex mutex_;  // guards the two below
  std::vector<std::optional<io::Md5Digest>> done_;
  std::optional<registry::Fault> fault_;
};

}  // namespace pullama::engine
