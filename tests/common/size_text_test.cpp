#include "common/size_text.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using pullama::format_rate;
using pullama::format_size;
using pullama::parse_rate;
using pullama::parse_size;

TEST_CASE("sizes are shown decimal with one decimal") {
  struct Row {
    std::uint64_t bytes;
    const char* text;
  };
  for (const Row& row : {Row{0, "0 B"},
                         {999, "999 B"},
                         {1000, "1.0 kB"},
                         {1049, "1.0 kB"},
                         {1050, "1.1 kB"},
                         {125'000, "125.0 kB"},
                         {999'949, "999.9 kB"},
                         {999'950, "1.0 MB"},
                         {4'400'000'000, "4.4 GB"},
                         {4'831'838'208, "4.8 GB"},
                         {64ULL << 20U, "67.1 MB"},
                         {1'500'000'000'000, "1.5 TB"},
                         {std::numeric_limits<std::uint64_t>::max(), "18.4 EB"}}) {
    CHECK(format_size(row.bytes) == row.text);
  }
}

TEST_CASE("rates are sizes a second, and nonsense is none") {
  CHECK(format_rate(8.2e6) == "8.2 MB/s");
  CHECK(format_rate(0.4) == "0 B/s");
  CHECK(format_rate(-1) == "0 B/s");
  CHECK(format_rate(std::nan("")) == "0 B/s");
  CHECK(format_rate(std::numeric_limits<double>::infinity()) == "0 B/s");
  CHECK(format_rate(1e300) == "1.0 EB/s");
}

TEST_CASE("IEC suffixes are binary, the others decimal") {
  struct Row {
    const char* text;
    std::uint64_t bytes;
  };
  for (const Row& row : {Row{"64MiB", 64ULL << 20U},
                         {"64MB", 64'000'000},
                         {"64M", 64'000'000},
                         {"8k", 8000},
                         {"8K", 8000},
                         {"8KiB", 8192},
                         {"8kib", 8192},
                         {"1048576", 1'048'576},
                         {"1B", 1},
                         {"1.5G", 1'500'000'000},
                         {"0.5KiB", 512},
                         {"2T", 2'000'000'000'000},
                         {"1TiB", 1ULL << 40U},
                         {"1.0", 1},
                         {"9007199254740991", 9'007'199'254'740'991},
                         {"0064M", 64'000'000}}) {
    CAPTURE(row.text);
    const auto bytes = parse_size(row.text);
    REQUIRE(bytes);
    CHECK(*bytes == row.bytes);
  }
}

TEST_CASE("a size that is nothing, too much or not understood is refused with the right form") {
  struct Row {
    const char *text, *why;
  };
  for (const Row& row : {Row{"", "is not understood"},
                         {"0", "more than zero"},
                         {"0M", "more than zero"},
                         {"0.0001k", "more than zero"},
                         {"-1", "is not understood"},
                         {"+1", "is not understood"},
                         {"1.5", "is not understood"},
                         {"1.", "is not understood"},
                         {".5M", "is not understood"},
                         {"1.1234567M", "is not understood"},
                         {"M", "is not understood"},
                         {"64 MiB", "is not understood"},
                         {"64Mi", "is not understood"},
                         {"64MBs", "is not understood"},
                         {"64X", "is not understood"},
                         {"0x10", "is not understood"},
                         {"1e6", "is not understood"},
                         {"9007199254740992", "is too large"},
                         {"9007T", nullptr},
                         {"9008T", "is too large"},
                         {"99999999999999999999999999", "is too large"},
                         {"off", "is not understood"}}) {
    CAPTURE(row.text);
    const auto bytes = parse_size(row.text, "--chunk-size");
    if (row.why == nullptr) {
      CHECK(bytes);
      continue;
    }
    REQUIRE_FALSE(bytes);
    CHECK(bytes.error().code == pullama::ErrorCode::kInvalidArgument);
    CHECK(bytes.error().message.starts_with("--chunk-size '"));
    CHECK(bytes.error().message.find(row.why) != std::string::npos);
    CHECK(bytes.error().message.find("like 64MiB") != std::string::npos);
  }
}

TEST_CASE("a rate is bytes a second, or off") {
  CHECK(*parse_rate("5M") == 5'000'000);
  CHECK(*parse_rate("800k") == 800'000);
  CHECK(*parse_rate("2MiB/s") == 2U << 20U);
  CHECK(*parse_rate("off") == 0);
  for (const char* text : {"", "0", "-5M", "/s", "fast", "OFFF"}) {
    CAPTURE(text);
    const auto rate = parse_rate(text, "--limit-rate");
    REQUIRE_FALSE(rate);
    CHECK(rate.error().message.find("5M, 800k") != std::string::npos);
  }
}
