#pragma once
// The plain OCI way up: one PATCH after another on one session, each from where the registry stands. Where an answer
// did not arrive, the registry is asked.

#include <chrono>
#include <optional>
#include <stop_token>

#include "daemon/engine/courier.h"
#include "daemon/engine/upload_body.h"
#include "daemon/engine/upload_context.h"
#include "daemon/engine/upload_journal.h"
#include "daemon/engine/upload_retry.h"

namespace pullama::engine {

class ChunkSender {
 public:
  struct Parts {
    UploadContext& context;
    BlobRef blob;
    BlobGauge& gauge;
    io::File& file;
    UploadJournal& journal;
    UploadRetry& retry;
    SentHash& hash;
    registry::HttpConnection& connection;
    CourierConnection* courier = nullptr;  // carries the chunks where there is one
  };
  // The registry wants parts at presigned URLs: where the one goes that was asked for. Nothing was taken yet.
  struct Redirect {
    std::uint64_t length_bytes = 0;
    registry::Url place;
  };

  // `from`: bytes that the registry has; nullopt: ask it (a session of an earlier run).
  ChunkSender(Parts parts, registry::Url session, std::optional<std::uint64_t> from, std::uint64_t min_part_bytes);

  // On success the registry has all bytes, unless it redirected().
  registry::Outcome<void> run(std::stop_token stop);
  const registry::Url& session() const { return session_; }
  const std::optional<Redirect>& redirected() const { return redirect_; }

  // A part of an upload at presigned URLs: Ollama's own sizes for its registry, else --chunk-size.
  static std::uint64_t part_bytes(const UploadContext& context, std::uint64_t size_bytes);

 private:
  registry::Outcome<void> ask_offset(const std::stop_token& stop);
  registry::Outcome<void> stand_at(std::uint64_t offset, const std::stop_token& stop);
  std::uint64_t next_length() const;
  registry::Outcome<void> send_one(const std::stop_token& stop);
  std::optional<registry::Fault> after_fault(const registry::Fault& fault, const std::stop_token& stop);
  void adapt(std::chrono::nanoseconds duration);

  Parts parts_;
  const UploadPace pace_;
  registry::Url session_;
  std::uint64_t offset_ = 0;
  std::uint64_t confirmed_ = 0;  // the farthest that the registry ever was
  std::optional<Redirect> redirect_;
  const std::uint64_t min_part_bytes_, max_part_bytes_;
  std::uint64_t length_;  // of the next PATCH
  bool unsure_, takes_chunks_ = false, said_zero_ = false, tried_one_ = false;
};

}  // namespace pullama::engine
