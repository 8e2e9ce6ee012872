#include "common/printable.h"

#include <doctest/doctest.h>

using pullama::printable;

TEST_CASE("what a terminal would obey is escaped, the rest stays") {
  struct Row {
    std::string text, shown;
  };
  for (const Row& row : {Row{"plain text, 100 %", "plain text, 100 %"},
                         {"\xe4\xb8\xad\xc3\xa9 \xf0\x9f\x98\x80", "\xe4\xb8\xad\xc3\xa9 \xf0\x9f\x98\x80"},
                         {"a\x1b[31mred", "a\\x1b[31mred"},
                         {"a\nb\tc\r", "a\\x0ab\\x09c\\x0d"},
                         {std::string("\0", 1), "\\x00"},
                         {"\x7f", "\\x7f"},
                         {"\xc2\x9b"
                          "31m",
                          "\\xc2\\x9b31m"},
                         {"\x9b"
                          "31m",
                          "\\x9b31m"},
                         {"\xe2\x80\xae"
                          "evil",
                          "\\xe2\\x80\\xaeevil"},
                         {"\xe2\x81\xa6", "\\xe2\\x81\\xa6"},
                         {"\xe2\x80\xa8", "\\xe2\\x80\\xa8"},
                         {"\xef\xbb\xbf", "\\xef\\xbb\\xbf"},
                         {"\xff\xfe", "\\xff\\xfe"},
                         {"\xc0\xaf", "\\xc0\\xaf"},
                         {"\xe4\xb8", "\\xe4\\xb8"},
                         {"\\x1b", "\\x1b"}}) {
    CAPTURE(row.shown);
    CHECK(printable(row.text) == row.shown);
    CHECK(printable(printable(row.text)) == row.shown);
  }
}

TEST_CASE("text is cut between characters and never inside an escape") {
  CHECK(printable("abcdef", 3) == "abc");
  CHECK(printable("abc", 3) == "abc");
  CHECK(printable("ab\xe4\xb8\xad", 4) == "ab");
  CHECK(printable("ab\xe4\xb8\xad", 5) == "ab\xe4\xb8\xad");
  CHECK(printable("a\x1b"
                  "b",
                  4) == "a");
  CHECK(printable("a\x1b"
                  "b",
                  5) == "a\\x1b");
  CHECK(printable("abc", 0).empty());
}
