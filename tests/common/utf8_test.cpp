#include "common/utf8.h"

#include <doctest/doctest.h>

#include <string>

using pullama::decode_utf8;
using pullama::is_utf8;
using pullama::plain_ascii_length;

TEST_CASE("each length of character is decoded at its limits") {
  CHECK(decode_utf8("\x7f").code_point == 0x7F);
  CHECK(decode_utf8("\xc2\x80").code_point == 0x80);
  CHECK(decode_utf8("\xdf\xbf").code_point == 0x7FF);
  CHECK(decode_utf8("\xe0\xa0\x80").code_point == 0x800);
  CHECK(decode_utf8("\xef\xbf\xbf").code_point == 0xFFFF);
  CHECK(decode_utf8("\xf0\x90\x80\x80").code_point == 0x10000);
  CHECK(decode_utf8("\xf4\x8f\xbf\xbfx").bytes == 4);
  CHECK(decode_utf8("").bytes == 0);
}

TEST_CASE("overlong forms, surrogates, strays and cut characters are not UTF-8") {
  CHECK(is_utf8(""));
  CHECK(is_utf8("a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80"));
  for (const char* text : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xed\xa0\x80",
                           "\xed\xbf\xbf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xff", "\xc3", "\xe4\xb8",
                           "\xc3"
                           "a"}) {
    CHECK_FALSE(is_utf8(std::string("ok") + text));
  }
}

TEST_CASE("plain ASCII ends at the first character that needs a closer look") {
  for (const auto& [text, length] :
       {std::pair{"", 0U}, {"abc ~", 5U}, {"ab\tc", 2U}, {"a\x7f", 1U}, {"\xc3\xa4", 0U}}) {
    CAPTURE(text);
    CHECK(plain_ascii_length(text) == length);
  }
}
