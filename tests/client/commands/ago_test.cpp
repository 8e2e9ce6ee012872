#include "client/commands/ago.h"

#include <doctest/doctest.h>

using namespace pullama;

TEST_CASE("ages are told as ollama list tells them") {
  using namespace std::chrono_literals;
  struct Row {
    std::chrono::seconds age;
    const char* text;
  };
  const proto::Time now{std::chrono::milliseconds(1'800'000'000'000)};
  for (const Row& row : {Row{0s, "Less than a second ago"}, Row{1s, "1 second ago"}, Row{59s, "59 seconds ago"},
                         Row{60s, "About a minute ago"}, Row{120s, "2 minutes ago"}, Row{3600s, "About an hour ago"},
                         Row{7200s, "2 hours ago"}, Row{48h, "2 days ago"}, Row{24h * 14, "2 weeks ago"},
                         Row{24h * 90, "3 months ago"}, Row{24h * 800, "2 years ago"}, Row{-5s, "in the future"}}) {
    CHECK(client::ago_text(now - row.age, now) == row.text);
  }
}
