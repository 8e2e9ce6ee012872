#include "daemon/registry/content_range.h"

#include <doctest/doctest.h>

#include <vector>

using namespace pullama::registry;

TEST_CASE("Content-Range is read exactly") {
  const auto range = parse_content_range("bytes 5-9/100");
  REQUIRE(range);
  CHECK(range->satisfied);
  CHECK(range->first == 5);
  CHECK(range->last == 9);
  CHECK(range->total == 100);
  const auto open = parse_content_range(" Bytes 0-0/* ");
  REQUIRE(open);
  CHECK_FALSE(open->total);
  const auto unsatisfied = parse_content_range("bytes */77");
  REQUIRE(unsatisfied);
  CHECK_FALSE(unsatisfied->satisfied);
  CHECK(unsatisfied->total == 77);
}

TEST_CASE("a malformed Content-Range is refused") {
  for (const char* value : {"",
                            "bytes",
                            "bytes ",
                            "bytes 1-2",
                            "5-9/100",
                            "items 5-9/100",
                            "bytes 9-5/100",
                            "bytes 5-9/9",
                            "bytes -5-9/100",
                            "bytes 5-/100",
                            "bytes -9/100",
                            "bytes 5-9/",
                            "bytes 5-9/x",
                            "bytes 5 - 9/100",
                            "bytes 0x5-9/100",
                            "bytes +5-9/100",
                            "bytes 5-9/100/1",
                            "bytes 99999999999999999999-9/*",
                            "bytes 5-9/18446744073709551616",
                            "bytes=5-9/100"}) {
    CAPTURE(value);
    CHECK_FALSE(parse_content_range(value));
  }
}

TEST_CASE("a 206 must begin where it was asked to and tell the blob's size") {
  struct Row {
    std::string value;
    bool good;
  };
  for (const auto& row : std::vector<Row>{{"bytes 10-19/100", true},
                                          {"bytes 10-15/100", true},
                                          {"bytes 10-19/*", true},
                                          {"bytes 10-20/100", false},
                                          {"bytes 9-19/100", false},
                                          {"bytes 11-19/100", false},
                                          {"bytes 0-99/100", false},
                                          {"bytes 10-19/101", false},
                                          {"bytes */100", false},
                                          {"nonsense", false}}) {
    CAPTURE(row.value);
    CHECK(content_range_problem(&row.value, 10, 19, 100).empty() == row.good);
  }
  CHECK_FALSE(content_range_problem(nullptr, 10, 19, 100).empty());
}
