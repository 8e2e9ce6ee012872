#include "client/bar.h"

#include <doctest/doctest.h>

#include "client/cells.h"

using namespace pullama::client;

TEST_CASE("percentages are rounded down and reach 100 only when all is there") {
  struct Row {
    std::uint64_t done, total;
    unsigned percent;
  };
  for (const Row& row :
       {Row{0, 0, 0}, Row{5, 0, 0}, Row{0, 100, 0}, Row{1, 3, 33}, Row{2, 3, 66}, Row{99, 100, 99}, Row{999, 1000, 99},
        Row{1000, 1000, 100}, Row{1001, 1000, 100}, Row{198, 199, 99}, Row{1, 199, 0}, Row{2, 199, 1}, Row{67, 100, 67},
        Row{UINT64_MAX - 1, UINT64_MAX, 99}, Row{UINT64_MAX / 2, UINT64_MAX, 49},
        Row{UINT64_MAX / 2 + 1, UINT64_MAX, 50}, Row{3145728000, 4831838208, 65}}) {
    CAPTURE(row.done);
    CAPTURE(row.total);
    CHECK(percent_of(row.done, row.total) == row.percent);
  }
}

TEST_CASE("a percentage is the greatest whole number that is not above the share") {
  for (std::uint64_t total = 1; total < 260; ++total) {
    for (std::uint64_t done = 0; done <= total; ++done) {
      REQUIRE(percent_of(done, total) == done * 100 / total);
    }
  }
}

TEST_CASE("a progress line never passes the width it was given") {
  Figures figures{2'900'000'000, 4'400'000'000, 65, 8.2e6, std::chrono::seconds(150)};
  for (const bool ascii : {false, true}) {
    for (std::size_t width = 1; width <= 300; ++width) {
      for (const std::uint64_t done : {std::uint64_t{0}, std::uint64_t{2'900'000'000}, std::uint64_t{4'400'000'000}}) {
        figures.done_bytes = done;
        figures.percent = percent_of(done, figures.total_bytes);
        const auto line = progress_line(figures, width, bar_cells(width), ascii);
        CAPTURE(text_of(line));
        REQUIRE(width_of(line) <= width);
        if (width >= 4) CHECK(text_of(line).find('%') != std::string::npos);
      }
    }
  }
}

TEST_CASE("the progress line of a wide terminal has everything, drawn in eighths") {
  const Figures figures{2'900'000'000, 4'400'000'000, 65, 8.2e6, std::chrono::seconds(150)};
  CHECK(text_of(progress_line(figures, 120, 30, false)) ==
        "[███████████████████▊░░░░░░░░░░] 65% 2.9 GB/4.4 GB · 8.2 MB/s · eta 2m30s");
  CHECK(text_of(progress_line(figures, 120, 30, true)) ==
        "[###################...........] 65% 2.9 GB/4.4 GB . 8.2 MB/s . eta 2m30s");
  CHECK(text_of(progress_line({10, 10, 100, 0, {}}, 120, 10, true)) == "[##########] 100% 10 B/10 B");
}

TEST_CASE("a bar is full only at 100 per cent") {
  const Figures nearly{4'399'999'999, 4'400'000'000, 99, 0, {}};
  CHECK(text_of(progress_line(nearly, 60, 12, false)).find("███████████▉]") != std::string::npos);
}

TEST_CASE("two sizes share a unit where they have the same one") {
  CHECK(size_pair(3'100'000'000, 4'700'000'000, true) == "3.1/4.7 GB");
  CHECK(size_pair(310'000'000, 4'700'000'000, true) == "310.0 MB/4.7 GB");
  CHECK(size_pair(3'100'000'000, 4'700'000'000, false) == "3.1 GB/4.7 GB");
}
