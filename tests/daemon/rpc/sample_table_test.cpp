#include "daemon/rpc/sample_table.h"

#include <doctest/doctest.h>

using namespace pullama;
using rpc::SampleTable;

namespace {

Digest digest(std::uint8_t byte) {
  Digest::Bytes bytes{};
  bytes[0] = byte;
  return Digest::from_bytes(bytes);
}

proto::Event sample(const std::string& job, std::uint8_t blob, std::uint64_t done) {
  proto::event::BlobProgress progress;
  progress.blob.digest = digest(blob);
  progress.bytes_done = done;
  proto::Event event;
  event.job = job;
  event.body = progress;
  return event;
}

std::string pass(SampleTable& table) {
  std::string text;
  for (const auto& event : table.take_pass()) {
    const auto& progress = std::get<proto::event::BlobProgress>(event.body);
    text +=
        event.job + std::to_string(progress.blob.digest.bytes()[0]) + "=" + std::to_string(progress.bytes_done) + " ";
  }
  return text;
}

}  // namespace

TEST_CASE("the newest sample of a blob is the one that is sent") {
  SampleTable table;
  table.put(sample("a", 1, 10));
  table.put(sample("a", 1, 20));
  table.put(sample("b", 1, 5));
  CHECK(pass(table) == "a1=20 b1=5 ");
  CHECK(table.empty());
}

TEST_CASE("a pass takes one sample a job, in turn") {
  SampleTable table;
  table.put(sample("a", 1, 10));
  table.put(sample("a", 2, 20));
  table.put(sample("a", 1, 11));
  CHECK(pass(table) == "a1=11 ");
  table.put(sample("a", 1, 12));
  CHECK(pass(table) == "a2=20 ");
  CHECK(pass(table) == "a1=12 ");
  CHECK(pass(table).empty());
}

TEST_CASE("what is forgotten is not sent") {
  SampleTable table;
  table.put(sample("a", 1, 10));
  table.put(sample("a", 2, 20));
  table.put(sample("b", 1, 30));
  table.forget_blob("a", digest(1));
  table.forget_blob("c", digest(1));
  table.forget_job("b");
  CHECK(pass(table) == "a2=20 ");
  CHECK(table.empty());
}
