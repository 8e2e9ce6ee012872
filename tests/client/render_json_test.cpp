#include <doctest/doctest.h>

#include "client/renderer.h"
#include "tests/client/story.h"

using namespace pullama;
using namespace pullama::client;
using namespace pullama::client::test;

namespace {

struct Stage {
  std::string out, err;
  Streams streams{Screen(Look{}, [this](std::string_view text) { out += text; }),
                  Screen(Look{}, [this](std::string_view text) { err += text; })};
};

}  // namespace

TEST_CASE("a pull in JSON has the documented names, a line an object") {
  Stage stage;
  const auto renderer = make_json_renderer(stage.streams, false, false);
  View view;
  const auto tell = [&](const proto::Event& event) {
    view.apply(event);
    renderer->event(event, *view.find("j1"), Instant{});
  };
  renderer->started(subject_of(proto::JobKind::kPull, "llama3.2"));
  tell(about(proto::event::ManifestFetching{}));
  tell(fetched(5, 4831838208));
  tell(about(proto::event::BlobCached{blob(1, 100)}));
  tell(progress(2, 4831838108, 3145728000, 3145728000, 4831838208));
  tell(about(proto::event::BlobResumed{blob(2, 4831838108), 3145728000, 3, 6}));
  tell(about(proto::event::CheckpointSaved{blob(2, 4831838108), 7}));
  tell(about(proto::event::ManifestWritten{}));
  tell(completed(4831838208, 5));
  renderer->completed(*view.find("j1"));
  const std::string one = digest(1).str(), two = digest(2).str();
  CHECK(stage.out ==
        "{\"event\":\"pull_start\",\"Model\":\"llama3.2\",\"Tag\":\"latest\"}\n"
        "{\"event\":\"manifest_fetch_start\",\"Model\":\"llama3.2\",\"Tag\":\"latest\"}\n"
        "{\"event\":\"manifest_fetched\",\"Model\":\"llama3.2\",\"Tag\":\"latest\",\"BlobCount\":5,\"TotalSize\":"
        "4831838208}\n"
        "{\"event\":\"blob_cached\",\"Blob\":{\"Digest\":\"" +
            one +
            "\",\"Size\":100,\"Index\":1,\"Total\":3}}\n"
            "{\"event\":\"progress\",\"pct\":65,\"OverallDone\":3145728100,\"OverallTotal\":4831838208,"
            "\"BytesPerSecond\":8200000,\"ETASeconds\":150}\n"
            "{\"event\":\"blob_resumed\",\"Blob\":{\"Digest\":\"" +
            two +
            "\",\"Size\":4831838108,\"Index\":2,\"Total\":3},"
            "\"ResumedAtOffset\":3145728000,\"VerifiedChunks\":3,\"TotalChunks\":6}\n"
            "{\"event\":\"manifest_written\",\"Model\":\"llama3.2\",\"Tag\":\"latest\"}\n"
            "{\"event\":\"progress\",\"pct\":100,\"OverallDone\":4831838208,\"OverallTotal\":4831838208,"
            "\"BytesPerSecond\":0,\"ETASeconds\":0}\n"
            "{\"event\":\"pull_completed\",\"Model\":\"llama3.2\",\"Tag\":\"latest\",\"TotalBytes\":4831838208,"
            "\"ElapsedMs\":754000,\"BlobCount\":5,\"FetchedBytes\":4831838208}\n");
  CHECK(stage.err.empty());
}

TEST_CASE("failures and interruptions are events on standard output") {
  Stage stage;
  const auto renderer = make_json_renderer(stage.streams, false, true);
  renderer->started(subject_of(proto::JobKind::kPull, "localhost:5000/ns/m:7b"));
  renderer->failed(Error{ErrorCode::kNotFound, "no \"such\" model", {}, 0});
  renderer->interrupted("interrupted");
  CHECK(stage.out ==
        "{\"event\":\"pull_failed\",\"Model\":\"localhost:5000/ns/m\",\"Tag\":\"7b\",\"Kind\":\"not_found\","
        "\"Message\":\"no \\\"such\\\" model\"}\n"
        "{\"event\":\"interrupted\",\"Model\":\"localhost:5000/ns/m\",\"Tag\":\"7b\",\"Message\":\"interrupted\"}\n");
  CHECK(stage.err.empty());
}
