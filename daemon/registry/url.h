#pragma once
// An absolute http or https URL taken apart, strictly: what is odd is refused, so that we and libcurl cannot see two
// different hosts in one text. The text itself is kept byte for byte, because signed URLs break when they are
// rewritten. Pure.

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace pullama::registry {

inline constexpr std::size_t kMaxUrlBytes = 8192;

struct Url {
  std::string text;    // as it is sent, without a fragment
  std::string scheme;  // "http" or "https"
  std::string host;    // lower case; IPv6 in brackets
  std::uint16_t port = 0;
  std::string target;  // path and query, begins with '/' (or is '?…' made '/?…' by the sender)

  // Refuses other schemes, user info, control characters, spaces and bytes above 0x7f, hosts with odd characters, more
  // than kMaxUrlBytes. The message never repeats user info or a query.
  static Result<Url> parse(std::string_view text);

  bool is_https() const { return scheme == "https"; }
  std::string authority() const;  // host, with ":port" unless it is the scheme's own
  std::string origin() const;     // scheme://authority
  std::string path() const;       // target without its query
  bool same_origin(const Url& other) const;
};

}  // namespace pullama::registry
