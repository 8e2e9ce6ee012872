#include "daemon/rpc/outbox.h"

#include <doctest/doctest.h>

#include <string>

using pullama::rpc::Line;
using pullama::rpc::Outbox;

namespace {

Line line(const std::string& text) { return std::make_shared<const std::string>(text); }
Line line_of_size(std::size_t size) { return std::make_shared<const std::string>(size, 'x'); }

std::string drain(Outbox& outbox, std::size_t step = 1U << 20) {
  std::string all;
  while (!outbox.empty()) {
    std::string now;
    for (const auto piece : outbox.gather(64)) now += piece;
    now.resize(std::min(now.size(), step));
    outbox.sent(now.size());
    all += now;
  }
  return all;
}

}  // namespace

TEST_CASE("lines leave in order, however the writes cut them up") {
  for (std::size_t step = 1; step <= 12; ++step) {
    CAPTURE(step);
    Outbox outbox;
    REQUIRE(outbox.push(line("one\n")));
    outbox.sample("k", line("two\n"));
    REQUIRE(outbox.push(line("three\n")));
    CHECK(drain(outbox, step) == "one\ntwo\nthree\n");
    CHECK(outbox.bytes() == 0);
  }
}

TEST_CASE("a newer sample replaces the unsent one and goes behind the state changes before it") {
  Outbox outbox;
  outbox.sample("job blob", line("10%\n"));
  outbox.sample("job other", line("50%\n"));
  REQUIRE(outbox.push(line("state\n")));
  outbox.sample("job blob", line("20%\n"));
  CHECK(drain(outbox) == "50%\nstate\n20%\n");
}

TEST_CASE("samples without a key replace nothing") {
  Outbox outbox;
  outbox.sample("", line("a\n"));
  outbox.sample("", line("b\n"));
  CHECK(drain(outbox) == "a\nb\n");
}

TEST_CASE("a sample whose first byte was written is sent to its end") {
  Outbox outbox;
  outbox.sample("k", line("old\n"));
  outbox.sent(1);
  outbox.sample("k", line("new\n"));
  outbox.sample("k", line("newer\n"));
  CHECK(drain(outbox) == "ld\nnewer\n");
}

TEST_CASE("a message that does not fit is refused and the limit holds") {
  Outbox outbox;
  std::size_t accepted = 0;
  while (accepted <= Outbox::kMaxBytes / 1000 && outbox.push(line_of_size(1000))) ++accepted;
  CHECK(accepted == Outbox::kMaxBytes / (1000 + Outbox::kEntryOverhead));
  CHECK(outbox.bytes() <= Outbox::kMaxBytes);
  CHECK_FALSE(outbox.push(line_of_size(1000)));
  outbox.sent(1000);
  CHECK(outbox.push(line_of_size(1000)));
}

TEST_CASE("samples give way to messages, except one that was begun") {
  Outbox outbox;
  for (int i = 0; i < 3000; ++i) outbox.sample(std::to_string(i), line_of_size(1000));
  CHECK(outbox.bytes() <= Outbox::kMaxBytes);
  outbox.sent(10);
  REQUIRE(outbox.push(line_of_size(400'000)));
  const std::string text = drain(outbox);
  CHECK(text.size() == 990 + 400'000);
}

TEST_CASE("state changes leave room for replies, and samples make way for them") {
  Outbox outbox;
  CHECK(outbox.has_room(Outbox::kMaxBytes));  // alone, however long
  for (int i = 0; i < 3000; ++i) outbox.sample(std::to_string(i), line_of_size(1000));
  std::size_t accepted = 0;
  while (accepted <= Outbox::kEventBytes / 1000 && outbox.has_room(1000)) {
    REQUIRE(outbox.push(line_of_size(1000)));
    ++accepted;
  }
  CHECK(accepted == Outbox::kEventBytes / (1000 + Outbox::kEntryOverhead));
  CHECK(outbox.bytes() <= Outbox::kEventBytes);
}

TEST_CASE("many small lines cannot take more memory than the limit says") {
  Outbox outbox;
  std::size_t accepted = 0;
  while (accepted <= Outbox::kMaxBytes && outbox.push(line("x"))) ++accepted;
  CHECK(accepted <= Outbox::kMaxBytes / Outbox::kEntryOverhead);
}

TEST_CASE("a large reply is taken beside the limit, a pile of them is not") {
  Outbox outbox;
  REQUIRE(outbox.push(line_of_size(20U << 20)));
  CHECK(outbox.has_large_line());
  CHECK_FALSE(outbox.push(line_of_size(1U << 20)));
  REQUIRE(outbox.push(line_of_size(1000)));
  CHECK(outbox.bytes() == 1000 + Outbox::kEntryOverhead);
  outbox.sent(20U << 20);
  CHECK_FALSE(outbox.has_large_line());

  outbox.clear();
  std::size_t accepted = 0;
  while (accepted <= Outbox::kMaxLargeBytes >> 20 && outbox.push(line_of_size(1U << 20))) ++accepted;
  CHECK(accepted == Outbox::kMaxLargeBytes >> 20);
}

TEST_CASE("a cleared outbox is as new") {
  Outbox outbox;
  outbox.sample("k", line("abc\n"));
  outbox.sent(1);
  outbox.clear();
  CHECK(outbox.empty());
  outbox.sample("k", line("new\n"));
  CHECK(drain(outbox) == "new\n");
}
