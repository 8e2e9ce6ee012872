#pragma once
// Which structs belong to which method, for tests that go over all of them.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace pullama::proto::test {

// Reads the text as the message and writes it again.
using RoundTrip = Result<std::string> (*)(std::string_view json);

struct MethodRow {
  std::string_view name;
  RoundTrip params;
  RoundTrip result;
};

const std::vector<MethodRow>& method_rows();
const MethodRow* find_method(std::string_view name);
Result<std::string> event_round_trip(std::string_view json);

}  // namespace pullama::proto::test
