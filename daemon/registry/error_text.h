#pragma once
// A registry's own words, out of the body of an error response: OCI's {"errors":[{"code","message"}]}, {"error":…},
// {"message":…}, plain text, or a web page's title. Printable, on one line, short. Pure.

#include <string>
#include <string_view>

namespace pullama::registry {

inline constexpr std::size_t kMaxErrorBodyBytes = 64ULL * 1024;  // as much of a body as is read for this
inline constexpr std::size_t kMaxErrorTextBytes = 300;

// Empty where the body says nothing.
std::string error_text(std::string_view body);

// The XML error that S3 and its kind answer a refused signature with.
bool is_s3_error(std::string_view body);

}  // namespace pullama::registry
