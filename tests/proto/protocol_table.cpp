// For schema_test.py. Without an argument: the tables, an entry a line. With one: for each line of the input, "params
// <method> <json>", "result <method> <json>" or "event - <json>", either "ok" or "refused: <why>".

#include <iostream>
#include <string>

#include "proto/errors.h"
#include "proto/events.h"
#include "proto/job.h"
#include "proto/methods.h"
#include "tests/proto/message_table.h"

using namespace pullama::proto;

namespace {

void print_tables() {
  for (const std::string_view name : all_methods()) std::cout << "method " << name << '\n';
  for (const std::string_view name : all_event_types()) std::cout << "event " << name << '\n';
  for (int i = 0; i < 8; ++i) std::cout << "job_state " << name_of(static_cast<JobState>(i)) << '\n';
  for (int i = 0; i < 6; ++i) std::cout << "blob_state " << name_of(static_cast<BlobState>(i)) << '\n';
  for (int i = 0; i < 5; ++i) std::cout << "job_kind " << name_of(static_cast<JobKind>(i)) << '\n';
  for (int i = 0; i <= static_cast<int>(pullama::ErrorCode::kInternal); ++i) {
    const auto code = static_cast<pullama::ErrorCode>(i);
    std::cout << "error " << kind_name(code) << ' ' << exit_code(code) << '\n';
  }
}

std::string judge(const std::string& line) {
  const std::size_t first = line.find(' '), second = line.find(' ', first + 1);
  if (first == std::string::npos || second == std::string::npos) return "refused: bad line";
  const std::string what = line.substr(0, first), method = line.substr(first + 1, second - first - 1);
  const std::string json = line.substr(second + 1);
  const test::MethodRow* row = test::find_method(method);
  if (what != "event" && row == nullptr) return "refused: no such method";
  const auto result =
      what == "event" ? test::event_round_trip(json) : (what == "params" ? row->params : row->result)(json);
  return result ? "ok" : "refused: " + result.error().message;
}

}  // namespace

int main(int argc, char**) {
  if (argc == 1) {
    print_tables();
    return 0;
  }
  for (std::string line; std::getline(std::cin, line);) std::cout << judge(line) << '\n';
  return 0;
}
