#include "client/screen.h"

#include <doctest/doctest.h>

#include "tests/client/terminal_model.h"

using namespace pullama::client;
using pullama::client::test::TerminalModel;

namespace {

Look pretty(std::size_t columns, std::size_t rows = 24) {
  Look look;
  look.is_terminal = look.pretty = look.overwrite = true;
  look.columns = columns;
  look.rows = rows;
  return look;
}

Line line(std::string text) { return {{std::move(text), Tone::kInfo}}; }

}  // namespace

TEST_CASE("live lines are drawn in place below what is printed for good") {
  TerminalModel terminal(20);
  Screen screen(pretty(20), [&](std::string_view text) { terminal.write(text); });
  screen.print(line("one"));
  screen.live({line("10%"), line("total")});
  CHECK(terminal.rows() == std::vector<std::string>{"one", "10%", "total"});
  screen.live({line("20%"), line("total")});
  screen.print(line("two"));
  CHECK(terminal.rows() == std::vector<std::string>{"one", "two", "20%", "total"});
  screen.live({line("30%")});
  CHECK(terminal.rows() == std::vector<std::string>{"one", "two", "30%"});
  screen.clear();
  CHECK(terminal.rows() == std::vector<std::string>{"one", "two"});
  screen.print(line("three"));
  CHECK(terminal.rows() == std::vector<std::string>{"one", "two", "three"});
}

TEST_CASE("live lines are cut to the terminal and fill it to its last cell without wrapping") {
  TerminalModel terminal(10);
  Screen screen(pretty(10), [&](std::string_view text) { terminal.write(text); });
  screen.live({line("0123456789"), line("0123456789abc")});
  screen.live({line("9876543210"), line("0123456789abc")});
  CHECK(terminal.wraps() == 0);
  CHECK(terminal.rows() == std::vector<std::string>{"9876543210", "012345678…"});
}

TEST_CASE("more live lines than rows are cut off") {
  TerminalModel terminal(10);
  Screen screen(pretty(10, 4), [&](std::string_view text) { terminal.write(text); });
  screen.live({line("1"), line("2"), line("3"), line("4"), line("5")});
  CHECK(terminal.rows() == std::vector<std::string>{"1", "2", "3"});
}

TEST_CASE("a plain terminal redraws by carriage return alone, in ASCII, short of the last column") {
  Look look = pretty(12);
  look.pretty = false;
  std::string bytes;
  TerminalModel terminal(12);
  Screen screen(look, [&](std::string_view text) {
    bytes += text;
    terminal.write(text);
  });
  screen.print(line("✓ manifest"));
  screen.live({line("0123456789abcdef")});
  screen.live({line("short")});
  CHECK(terminal.rows() == std::vector<std::string>{"+ manifest", "short"});
  screen.clear();
  screen.print(line("end"));
  CHECK(terminal.rows() == std::vector<std::string>{"+ manifest", "end"});
  CHECK(terminal.wraps() == 0);
  CHECK(bytes.find('\x1b') == std::string::npos);
  for (const char byte : bytes) CHECK(static_cast<unsigned char>(byte) < 0x80);
}

TEST_CASE("what cannot redraw gets no live lines at all") {
  std::string bytes;
  Screen screen(Look{}, [&](std::string_view text) { bytes += text; });
  screen.live({line("10%")});
  screen.print(line("done"));
  screen.clear();
  CHECK(bytes == "done\n");
}

TEST_CASE("a live area that did not change is not written again") {
  std::size_t writes = 0;
  Screen screen(pretty(20), [&](std::string_view) { ++writes; });
  screen.live({line("10%")});
  screen.live({line("10%")});
  CHECK(writes == 1);
}

TEST_CASE("a resize draws the live area anew at the new width") {
  std::string bytes;
  Screen screen(pretty(20), [&](std::string_view text) { bytes += text; });
  screen.live({line("0123456789")});
  bytes.clear();
  screen.resize(6, 24);
  CHECK(bytes.find("01234") != std::string::npos);
  CHECK(bytes.find("012345") == std::string::npos);
  CHECK(bytes.rfind("\r\x1b[J", 0) == 0);
}

TEST_CASE("many lines go out in one write, above the live ones") {
  TerminalModel terminal(20);
  std::size_t writes = 0;
  Screen screen(pretty(20), [&](std::string_view text) {
    terminal.write(text);
    ++writes;
  });
  screen.live({line("10%")});
  screen.print_all(std::vector<Line>{line("one"), line("two")});
  CHECK(writes == 2);
  CHECK(terminal.rows() == std::vector<std::string>{"one", "two", "10%"});
  screen.print_all(std::vector<Line>{});
  CHECK(writes == 2);
}
