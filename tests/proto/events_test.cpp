#include "proto/events.h"

#include <doctest/doctest.h>

#include <set>

using namespace pullama::proto;

namespace {

constexpr const char* kDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

Event sample(EventBody body) {
  Event event;
  event.time = *parse_time("2026-11-21T19:20:13.123Z");
  event.job = "j-1";
  event.model = "m:latest";
  event.body = std::move(body);
  return event;
}

}  // namespace

TEST_CASE("types are the document's, each once, with the right class") {
  const auto types = all_event_types();
  CHECK(std::set<std::string_view>(types.begin(), types.end()).size() == types.size());
  CHECK(sample(event::JobQueued{}).type() == "job.queued");
  CHECK(sample(event::BlobWaiting{}).type() == "blob.waiting");
  CHECK(sample(event::BlobProgress{}).classification() == EventClass::kProgress);
  CHECK(sample(event::Retry{}).classification() == EventClass::kState);
  CHECK(sample(event::StoreChanged{}).classification() == EventClass::kState);
  for (const EventBody& trace :
       {EventBody(event::HttpRequest{}), EventBody(event::ConnectionOpened{}), EventBody(event::ConnectionClosed{}),
        EventBody(event::ChunkStarted{}), EventBody(event::ChunkVerified{}), EventBody(event::CheckpointSaved{})}) {
    CHECK(classify(trace) == EventClass::kTrace);
  }
}

TEST_CASE("an event without a number, job or model leaves them out") {
  Event event = sample(event::LimitsChanged{{5, 6, 7}});
  event.job.clear();
  event.model.clear();
  CHECK(write(event) ==
        R"({"time":"2026-11-21T19:20:13.123Z","type":"limits.changed","rate":5,"connections":6,"parallel_models":7})");
  event.seq = 42;
  CHECK(write(event).starts_with(R"({"seq":42,"time")"));
}

TEST_CASE("a retry of the manifest is about no blob, one of a blob is about all of it") {
  Event event = sample(event::Retry{{}, "reset", 1, {}, std::chrono::milliseconds(500), {}});
  const std::string manifest = write(event);
  CHECK(manifest.find("digest") == std::string::npos);
  CHECK(manifest.ends_with(R"("reason":"reset","attempt":1,"max":null,"backoff_ms":500,"http_status":null})"));
  CHECK_FALSE(std::get<event::Retry>(read<Event>(manifest)->body).blob);
  std::get<event::Retry>(event.body).blob = BlobRef{*pullama::Digest::parse(kDigest), 10, 1, 2};
  const auto back = read<Event>(write(event));
  REQUIRE(back);
  CHECK(std::get<event::Retry>(back->body).blob->bytes_total == 10);
  CHECK_FALSE(read<Event>(
      std::string(
          R"({"time":"2026-11-21T19:20:13.123Z","type":"refresh","what":"url","attempt":1,"max":5,"digest":")") +
      kDigest + "\"}"));
}

TEST_CASE("a type of a later version is told apart from a damaged event") {
  const auto unknown = read<Event>(R"({"seq":1,"time":"2026-11-21T19:20:13.123Z","type":"job.teleported"})");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code == pullama::ErrorCode::kUnsupported);
  for (const char* text :
       {"", "[]", "{}", R"({"time":"now","type":"job.paused"})", R"({"time":"2026-11-21T19:20:13.123Z"})",
        R"({"time":"2026-11-21T19:20:13.123Z","type":"job.failed"})",
        R"({"seq":-1,"time":"2026-11-21T19:20:13.123Z","type":"job.paused"})"}) {
    const auto event = read<Event>(text);
    REQUIRE_FALSE(event);
    CHECK(event.error().code == pullama::ErrorCode::kInvalidArgument);
  }
}

TEST_CASE("members are listed flat and in order for people who debug") {
  const auto members =
      event_members(sample(event::JobFailed{pullama::Error{pullama::ErrorCode::kNotFound, "no", "", 0}}));
  REQUIRE(members.size() == 4);
  CHECK(members[0] == std::pair<std::string, std::string>("error.kind", "\"not_found\""));
  CHECK(members[3] == std::pair<std::string, std::string>("error.exit_code", "4"));
  CHECK(event_members(sample(event::JobPaused{})).empty());
}
