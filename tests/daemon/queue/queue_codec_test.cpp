#include "daemon/queue/queue_codec.h"

#include <doctest/doctest.h>

#include "daemon/queue/queue.h"

using namespace pullama;
using namespace pullama::queue;

namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

Queue sample() {
  Queue queue;
  const auto name = [](const char* text) { return ModelName::parse(text).value(); };
  queue.add({{JobKind::kPull, name("llama3.2"), "/m", R"({"insecure":true})"},
             {JobKind::kPull, name("host:5000/ns/Model:Q4_K_M"), "/other \"dir\"", "{}"},
             {JobKind::kPush, name("user/m"), "/m", "{}"}},
            false, 1763752813123);
  queue.start();
  (void)queue.mark("j1", JobState::kActive, 1763752813200);
  queue.note_manifest("j1", kDigest);
  queue.note_figures("j1", 400, 1000);
  (void)queue.mark("j2", JobState::kActive, 1763752813300);
  (void)queue.mark("j2", JobState::kFailed, 1763752813400,
                   Error{ErrorCode::kDiskFull, "no room on \xff /m\n", "try `pullama clean`", 0});
  (void)queue.start_direct({JobKind::kPull, name("d"), "/m", "{}"}, 1763752813500);
  (void)queue.set_limits({5'000'000, 8, 2});
  return queue;
}

std::string with_job(const std::string& members) {
  return R"({"version":2,"next_id":9,"paused":true,"limits":{"rate":0,"connections":0,"parallel_models":1},"entries":[{)" +
         members + R"(}],"direct":[]})";
}

const std::string kGoodJob =
    R"("id":"j1","kind":"pull","model":"m","models_dir":"/m","options":{},"state":"queued","added_ms":1)";

}  // namespace

TEST_CASE("what is written is read back the same") {
  const Queue queue = sample();
  Encoder encoder;
  const std::string text = encoder.encode(queue.data());
  const auto decoded = decode(text, "/unused");
  REQUIRE_MESSAGE(decoded.has_value(), (decoded ? "" : decoded.error().message));
  CHECK(decoded->warnings.empty());
  const QueueData& data = decoded->data;
  CHECK(data.next_id == 5);
  CHECK_FALSE(data.paused);
  CHECK(data.limits == Limits{5'000'000, 8, 2});
  REQUIRE(data.entries.size() == 3);
  REQUIRE(data.direct.size() == 1);
  CHECK(data.entries[0]->options == R"({"insecure":true})");
  CHECK(data.entries[0]->manifest == kDigest);
  CHECK(data.entries[0]->bytes_done == 400);
  CHECK(data.entries[0]->bytes_total == 1000);
  CHECK(data.entries[0]->state == JobState::kActive);
  CHECK(data.entries[0]->started_ms == 1763752813200);
  CHECK(data.entries[1]->model.display() == "host:5000/ns/Model:Q4_K_M");
  CHECK(data.entries[1]->models_dir == "/other \"dir\"");
  CHECK(data.entries[1]->error->code == ErrorCode::kDiskFull);
  CHECK(data.entries[1]->error->hint == "try `pullama clean`");
  CHECK(data.entries[2]->kind == JobKind::kPush);
  CHECK_FALSE(data.direct[0]->entry);
  CHECK(Encoder().encode(data) == text);
}

TEST_CASE("lines that the encoder remembers are those that it would make anew") {
  Queue queue = sample();
  Encoder encoder;
  encoder.encode(queue.data());
  (void)queue.mark("j1", JobState::kPaused, 3);
  (void)queue.remove("j3");
  queue.add({{JobKind::kPull, ModelName::parse("new").value(), "/m", "{}"}}, true, 4);
  CHECK(encoder.encode(queue.data()) == Encoder().encode(queue.data()));
}

TEST_CASE("a file cut off at any byte is refused, never half believed") {
  const std::string text = Encoder().encode(sample().data());
  REQUIRE(text.back() == '\n');
  for (std::size_t length = 0; length + 1 < text.size(); ++length) {
    CAPTURE(length);
    CHECK_FALSE(decode(std::string_view(text).substr(0, length), "/m").has_value());
  }
}

TEST_CASE("members that are missing, wrong or out of range make the file corrupt") {
  REQUIRE(decode(with_job(kGoodJob), "/m").has_value());
  struct Row {
    const char* from;
    const char* to;
  };
  const Row rows[] = {
      {R"("id":"j1",)", ""},
      {R"("id":"j1")", R"("id":"1")"},
      {R"("id":"j1")", R"("id":"j01")"},
      {R"("id":"j1")", R"("id":"j9")"},  // would be given again
      {R"("id":"j1")", R"("id":"j")"},
      {R"("id":"j1")", R"("id":"j1x")"},
      {R"("kind":"pull")", R"("kind":"steal")"},
      {R"("model":"m")", R"("model":"../m")"},
      {R"("model":"m")", R"("model":7)"},
      {R"("models_dir":"/m")", R"("models_dir":"m")"},
      {R"("options":{})", R"("options":[])"},
      {R"("options":{},)", ""},
      {R"("state":"queued")", R"("state":"asleep")"},
      {R"("added_ms":1)", R"("added_ms":-1)"},
      {R"("added_ms":1)", R"("added_ms":1.5)"},
      {R"("added_ms":1)", R"("added_ms":18446744073709551615)"},
      {R"("added_ms":1)", R"("added_ms":1,"started_ms":"now")"},
      {R"("added_ms":1)", R"("added_ms":1,"error":"x")"},
      {R"("added_ms":1)", R"("added_ms":1,"error":{"kind":"odd","message":"m","hint":""})"},
      {R"("added_ms":1)", R"("added_ms":1,"manifest":"sha256:ab")"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.to);
    std::string job = kGoodJob;
    job.replace(job.find(row.from), std::string_view(row.from).size(), row.to);
    const auto decoded = decode(with_job(job), "/m");
    REQUIRE_FALSE(decoded.has_value());
    CHECK(decoded.error().code == ErrorCode::kCorrupt);
  }
}

TEST_CASE("a file as a whole must be as said") {
  const std::string good = with_job(kGoodJob);
  struct Row {
    const char* from;
    const char* to;
    ErrorCode code;
  };
  const Row rows[] = {
      {R"("version":2)", R"("version":3)", ErrorCode::kUnsupported},
      {R"("version":2)", R"("version":"2")", ErrorCode::kCorrupt},
      {R"("next_id":9)", R"("next_id":9e300)", ErrorCode::kCorrupt},
      {R"("paused":true)", R"("paused":1)", ErrorCode::kCorrupt},
      {R"("parallel_models":1)", R"("parallel_models":0)", ErrorCode::kCorrupt},
      {R"("parallel_models":1)", R"("parallel_models":17)", ErrorCode::kCorrupt},
      {R"("connections":0)", R"("connections":17)", ErrorCode::kCorrupt},
      {R"("direct":[])", R"("direct":{})", ErrorCode::kCorrupt},
      {R"("direct":[])", R"("direct":[7])", ErrorCode::kCorrupt},
      {R"("direct":[])", R"("other":[])", ErrorCode::kCorrupt},
  };
  for (const Row& row : rows) {
    CAPTURE(row.to);
    std::string text = good;
    text.replace(text.find(row.from), std::string_view(row.from).size(), row.to);
    const auto decoded = decode(text, "/m");
    REQUIRE_FALSE(decoded.has_value());
    CHECK(decoded.error().code == row.code);
  }
  CHECK_FALSE(decode("", "/m").has_value());
  CHECK_FALSE(decode("[]", "/m").has_value());
  CHECK_FALSE(decode("{}", "/m").has_value());
  CHECK_FALSE(decode(good + "x", "/m").has_value());
  CHECK_FALSE(decode("\xff", "/m").has_value());
  std::string twice = good;
  twice.insert(twice.find("],\"direct\""), ",{" + kGoodJob + "}");
  CHECK_FALSE(decode(twice, "/m").has_value());
}

TEST_CASE("nesting without end is refused") {
  std::string deep = R"({"version":2,"x":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  CHECK_FALSE(decode(deep, "/m").has_value());
}

TEST_CASE("members that this version does not know are passed over") {
  CHECK(decode(with_job(kGoodJob + R"(,"colour":"red")"), "/m").has_value());
}

TEST_CASE("the original's queue is read: paused, what was active is queued, bad names are said and left out") {
  const auto decoded = decode(R"({
  "entries": [
    {"model": "llama3.2", "tag": "latest", "status": "active", "added_at": "2025-11-21T20:20:13.5+01:00", "finished_at": "0001-01-01T00:00:00Z"},
    {"model": "mistral", "tag": "7b", "status": "failed", "added_at": "2025-11-21T19:20:13Z", "finished_at": "2025-11-21T19:30:13Z", "error": "manifest: 404"},
    {"model": "phi3", "tag": "mini", "status": "completed", "added_at": "2025-11-21T19:20:13Z", "finished_at": "2025-11-21T19:30:13Z"},
    {"model": "../x", "tag": "latest", "status": "queued", "added_at": "nonsense", "finished_at": ""},
    {"model": "llama3.2", "tag": "latest", "status": "queued", "added_at": "nonsense", "finished_at": ""}
  ]
})",
                              "/models");
  REQUIRE_MESSAGE(decoded.has_value(), (decoded ? "" : decoded.error().message));
  const QueueData& data = decoded->data;
  CHECK(data.paused);
  REQUIRE(data.entries.size() == 3);
  CHECK(data.entries[0]->model.display() == "llama3.2:latest");
  CHECK(data.entries[0]->state == JobState::kQueued);
  CHECK(data.entries[0]->models_dir == "/models");
  CHECK(data.entries[0]->added_ms == 1763752813000);
  CHECK(data.entries[1]->state == JobState::kFailed);
  CHECK(data.entries[1]->error->message == "manifest: 404");
  CHECK(data.entries[1]->finished_ms == 1763753413000);
  CHECK(data.entries[2]->state == JobState::kCompleted);
  CHECK(decoded->warnings.size() == 1);
  CHECK(data.next_id == 4);
  CHECK(decode(R"({"entries":null})", "/m")->data.entries.empty());
  // One of a later version of it is no reason to lose the others.
  const auto later = decode(
      R"({"entries":[{"model":"a","tag":"b","status":"paused"},{"model":"c","tag":"d","status":"queued"}]})", "/m");
  REQUIRE(later.has_value());
  CHECK(later->data.entries.size() == 1);
  CHECK(later->warnings.size() == 1);
}
