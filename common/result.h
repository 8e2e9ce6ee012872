#pragma once
// What can fail returns Result<T>: a value, or an Error with a code from a closed list and one sentence for a person.
// A code exists only where a caller acts on it; the codes are the `kind` of the socket protocol (proto/errors.h).

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace pullama {

enum class ErrorCode {
  kInvalidArgument,
  kNotFound,
  kAuthFailed,
  kDiskFull,
  kNetwork,
  kLocked,
  kCorrupt,
  kCancelled,
  kPermission,
  kUnsupported,
  kInternal,
};

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;  // one sentence, names the path, URL or argument, no trailing full stop
  std::string hint;     // what to do next; empty where there is nothing to say
  int os_error = 0;     // errno of the failed call, 0 where there was none
};

template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

using Status = Result<void>;

// For `return fail(...)` in a function that returns a Result of anything.
inline tl::unexpected<Error> fail(ErrorCode code, std::string message, std::string hint = {}, int os_error = 0) {
  return tl::unexpected<Error>(Error{code, std::move(message), std::move(hint), os_error});
}

// For passing an error on: `if (!r) return fail(r.error());`
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

}  // namespace pullama
