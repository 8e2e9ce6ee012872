#pragma once
// Events as a daemon would send them, for tests of what is shown.

#include <string>

#include "client/view.h"
#include "common/digest.h"
#include "proto/events.h"

namespace pullama::client::test {

inline Digest digest(unsigned char number) {
  Digest::Bytes bytes{};
  bytes.fill(number);
  return Digest::from_bytes(bytes);
}

inline proto::BlobRef blob(unsigned char number, std::uint64_t size, unsigned count = 3) {
  return {digest(number), size, number, count};
}

template <class Body>
proto::Event about(Body body, const std::string& job = "j1") {
  proto::Event event;
  event.job = job;
  event.model = "llama3.2:latest";
  event.body = std::move(body);
  return event;
}

inline proto::Event progress(unsigned char number, std::uint64_t size, std::uint64_t done, std::uint64_t job_done,
                             std::uint64_t job_total) {
  proto::event::BlobProgress body;
  body.blob = blob(number, size);
  body.bytes_done = done;
  body.job_bytes_done = job_done;
  body.job_bytes_total = job_total;
  body.rate = 8.2e6;
  body.eta_s = 150;
  return about(body);
}

inline proto::Event fetched(unsigned blobs, std::uint64_t total) {
  proto::event::ManifestFetched body;
  body.blobs = blobs;
  body.total_bytes = total;
  return about(body);
}

inline proto::Event completed(std::uint64_t total, unsigned blobs) {
  proto::event::JobCompleted body;
  body.total_bytes = body.fetched_bytes = total;
  body.blobs = blobs;
  body.elapsed = std::chrono::milliseconds(754000);
  return about(body);
}

}  // namespace pullama::client::test
