#pragma once
// Response heads, line by line as they came: 1xx blocks are dropped, values kept byte for byte without the blanks
// around them. Refused: more than 64 KiB in all (1xx floods and trailers included), control characters, folded lines,
// lines without a name, contradicting lengths, transfer codings other than chunked. Pure.

#include <cstddef>
#include <string>
#include <string_view>

#include "daemon/registry/http.h"

namespace pullama::registry {

inline constexpr std::size_t kMaxHeadBytes = 64ULL * 1024;

class HeadParser {
 public:
  enum class Event {
    kMore,     // go on
    kHead,     // the final head is complete: head()
    kRefused,  // problem() says why
  };

  Event feed(std::string_view line);  // with its line break

  bool complete() const { return complete_; }
  const HttpHead& head() const { return head_; }
  HttpHead& head() { return head_; }
  const std::string& problem() const { return problem_; }

 private:
  Event refuse(std::string why);
  Event begin(std::string_view line);
  Event add(std::string_view line);

  HttpHead head_;
  std::size_t bytes_ = 0;
  bool in_block_ = false, complete_ = false;
  std::string problem_;
};

}  // namespace pullama::registry
