#include <doctest/doctest.h>

#include "client/cells.h"
#include "client/renderer.h"
#include "tests/client/story.h"
#include "tests/client/terminal_model.h"

using namespace pullama;
using namespace pullama::client;
using namespace pullama::client::test;

namespace {

struct Stage {
  explicit Stage(Look look) : terminal(look.columns), streams{Screen(look, write(out)), Screen(look, write(err))} {}
  Screen::Write write(std::string& into) {
    return [this, &into](std::string_view text) {
      into += text;
      terminal.write(text);
    };
  }
  std::string out, err;
  TerminalModel terminal;
  Streams streams;
};

Look look_at(std::size_t columns, bool pretty, bool terminal) {
  Look look;
  look.columns = columns;
  look.rows = 50;
  look.pretty = pretty;
  look.is_terminal = look.overwrite = terminal;
  return look;
}

void play(Renderer& renderer) {
  View view;
  Instant now{};
  const auto tell = [&](const proto::Event& event) {
    view.apply(event);
    now += std::chrono::milliseconds(100);
    renderer.event(event, *view.find("j1"), now);
    renderer.tick(now);
  };
  renderer.started(subject_of(proto::JobKind::kPull, "llama3.2"));
  tell(about(proto::event::JobStarted{}));
  tell(about(proto::event::ManifestFetching{}));
  tell(fetched(3, 4'400'000'000));
  tell(about(proto::event::BlobCached{blob(1, 125'000)}));
  tell(about(proto::event::BlobStarted{blob(2, 4'200'000'000)}));
  for (std::uint64_t i = 0; i <= 100; ++i) {
    tell(progress(2, 4'200'000'000, i * 42'000'000, 125'000 + i * 42'000'000, 4'400'000'000));
  }
  proto::event::Retry retry;
  retry.reason = "connection reset\x1b[31m by \xe2\x80\xae peer";
  retry.attempt = 1;
  retry.max = 6;
  retry.backoff = std::chrono::seconds(2);
  tell(about(retry));
  tell(about(proto::event::BlobVerified{blob(2, 4'200'000'000), std::chrono::seconds(754)}));
  tell(about(proto::event::BlobFinalized{blob(2, 4'200'000'000)}));
  tell(about(proto::event::ManifestWritten{}));
  tell(completed(4'400'000'000, 3));
  renderer.completed(*view.find("j1"));
}

}  // namespace

TEST_CASE("the frame and the summary box are drawn as documented") {
  Stage stage(look_at(60, true, true));
  auto renderer = make_table_renderer(stage.streams, false);
  play(*renderer);
  std::string screen;
  for (const std::string& row : stage.terminal.rows()) screen += row + "\n";
  CHECK(screen ==
        "╭─ pulling llama3.2:latest ────────────────────────────────╮\n"
        "│ ✓ manifest · 3 blobs · 4.4 GB                            │\n"
        "│ ◆ cached 010101010101 125.0 kB [1/3]                     │\n"
        "│ › downloading 020202020202 4.2 GB [2/3]                  │\n"
        "│ ↻ retry 1/6 · connection reset\\x1b[31m by \\xe2\\x80\\xae … │\n"
        "│ ✓ verified 020202020202 (12m34s)                         │\n"
        "│ ✓ finalized 020202020202                                 │\n"
        "│ ✓ manifest written                                       │\n"
        "│ [████████████████████] 100% 4.4 GB/4.4 GB                │\n"
        "╰──────────────────────────────────────────────────────────╯\n"
        "╔══════════════════════════════════════════════════════════╗\n"
        "║ ✓ pulled llama3.2:latest                                 ║\n"
        "╠══════════════════════════════════════════════════════════╣\n"
        "║ size 4.4 GB                                              ║\n"
        "║ blobs 3                                                  ║\n"
        "║ elapsed 12m34s                                           ║\n"
        "║ avg rate 5.8 MB/s                                        ║\n"
        "╚══════════════════════════════════════════════════════════╝\n");
  CHECK(stage.err.empty());
}

TEST_CASE("nothing wraps and all rows of the frame are of one width, at any width from 20 to 300") {
  for (std::size_t columns = 20; columns <= 300; columns += columns < 100 ? 1 : 8) {
    CAPTURE(columns);
    Stage stage(look_at(columns, true, true));
    auto renderer = make_table_renderer(stage.streams, true);
    play(*renderer);
    renderer->started(subject_of(proto::JobKind::kPull, "localhost:5000/a-long-namespace/a-long-model:a-long-tag"));
    renderer->failed(Error{ErrorCode::kDiskFull, "the disk of /home/somebody/.ollama/models is full", {}, 0});
    REQUIRE(stage.terminal.wraps() == 0);
    const auto rows = stage.terminal.rows();
    for (const std::string& row : rows) {
      CAPTURE(row);
      REQUIRE(cell_width(row) == cell_width(rows.front()));
    }
  }
}

TEST_CASE("on a pipe there are plain ASCII lines, progress at every tenth, warnings apart") {
  Stage stage(look_at(80, false, false));
  auto renderer = make_table_renderer(stage.streams, false);
  play(*renderer);
  CHECK(stage.out ==
        "pulling llama3.2:latest\n"
        "+ manifest . 3 blobs . 4.4 GB\n"
        "* cached 010101010101 125.0 kB [1/3]\n"
        "> downloading 020202020202 4.2 GB [2/3]\n"
        "[..............................] 0% 125.0 kB/4.4 GB . 8.2 MB/s . eta 2m30s\n"
        "[###...........................] 10% 462.1 MB/4.4 GB . 8.2 MB/s . eta 2m30s\n"
        "[######........................] 20% 882.1 MB/4.4 GB . 8.2 MB/s . eta 2m30s\n"
        "[#########.....................] 30% 1.3 GB/4.4 GB . 8.2 MB/s . eta 2m30s\n"
        "[############..................] 40% 1.8 GB/4.4 GB . 8.2 MB/s . eta 2m30s\n"
        "[###############...............] 50% 2.2 GB/4.4 GB . 8.2 MB/s . eta 2m30s\n"
        "[##################............] 60% 2.6 GB/4.4 GB . 8.2 MB/s . eta 2m30s\n"
        "[#####################.........] 70% 3.1 GB/4.4 GB . 8.2 MB/s . eta 2m30s\n"
        "[########################......] 80% 3.5 GB/4.4 GB . 8.2 MB/s . eta 2m30s\n"
        "[###########################...] 90% 4.0 GB/4.4 GB . 8.2 MB/s . eta 2m30s\n"
        "+ verified 020202020202 (12m34s)\n"
        "+ finalized 020202020202\n"
        "+ manifest written\n"
        "[##############################] 100% 4.4 GB/4.4 GB\n"
        "+ pulled llama3.2:latest\n"
        "size 4.4 GB\n"
        "blobs 3\n"
        "elapsed 12m34s\n"
        "avg rate 5.8 MB/s\n");
  CHECK(stage.err == "~ retry 1/6 . connection reset\\x1b[31m by \\xe2\\x80\\xae peer . backoff 2s\n");
}

TEST_CASE("a terminal that is to be plain gets ASCII without escape sequences and nothing wraps") {
  for (std::size_t columns = 24; columns <= 300; ++columns) {
    Stage stage(look_at(columns, false, true));
    auto renderer = make_compact_renderer(stage.streams);
    play(*renderer);
    REQUIRE((stage.out + stage.err).find('\x1b') == std::string::npos);
    for (const char byte : stage.out + stage.err) REQUIRE(static_cast<unsigned char>(byte) < 0x80);
    REQUIRE(stage.terminal.rows() == std::vector<std::string>{"pulling llama3.2:latest", "completed 4.4 GB 12m34s"});
  }
}

TEST_CASE("compact has three kinds of lines") {
  Stage stage(look_at(80, false, false));
  auto renderer = make_compact_renderer(stage.streams);
  play(*renderer);
  CHECK(stage.out.rfind("pulling llama3.2:latest\n0% 0 B/4.4 GB\n10% 462.1 MB/4.4 GB\n", 0) == 0);
  CHECK(stage.out.find("\n50% 2.2/4.4 GB\n") != std::string::npos);
  CHECK(stage.out.find("\ncompleted 4.4 GB 12m34s\n") != std::string::npos);
  CHECK(stage.err.empty());
}

TEST_CASE("quiet is one line, on success on the one stream, on failure on the other") {
  Stage stage(look_at(80, false, false));
  auto renderer = make_quiet_renderer(stage.streams);
  play(*renderer);
  CHECK(stage.out == "pulled llama3.2:latest 4.4 GB 12m34s\n");
  CHECK(stage.err.empty());
  renderer->failed(Error{ErrorCode::kDiskFull, "no room in /m", {}, 0});
  CHECK(stage.err == "error: no room in /m - try `pullama clean`\n");
  renderer->failed(Error{ErrorCode::kAuthFailed, "denied", "check ~/.ollama/id_ed25519", 0});
  CHECK(stage.err.find("error: denied - check ~/.ollama/id_ed25519\n") != std::string::npos);
}

TEST_CASE("debug has a line an event with every member") {
  Stage stage(look_at(80, false, false));
  auto renderer = make_debug_renderer(stage.streams);
  auto event = about(proto::event::BlobResumed{blob(2, 600), 300, 3, 6});
  event.seq = 7;
  View view;
  view.apply(event);
  renderer->event(event, *view.find("j1"), Instant{});
  CHECK(stage.out.find(" blob.resumed seq=7 job=j1 model=llama3.2:latest ") != std::string::npos);
  CHECK(stage.out.find("offset=300 verified_chunks=3 total_chunks=6") != std::string::npos);
  CHECK(stage.out.find('\n') == stage.out.size() - 1);
}
