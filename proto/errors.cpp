#include "proto/errors.h"

#include <fmt/format.h>

#include <array>

#include "common/printable.h"

namespace pullama::proto {
namespace {

struct Row {
  ErrorCode code;
  std::string_view kind;
  int exit_code;
};
constexpr std::array<Row, 11> kTable{{
    {ErrorCode::kInvalidArgument, "invalid_argument", kExitGeneral},
    {ErrorCode::kNotFound, "not_found", kExitNotFound},
    {ErrorCode::kAuthFailed, "auth_failed", kExitAuthFailed},
    {ErrorCode::kDiskFull, "disk_full", kExitDiskFull},
    {ErrorCode::kNetwork, "network", kExitGeneral},
    {ErrorCode::kLocked, "locked", kExitGeneral},
    {ErrorCode::kCorrupt, "corrupt", kExitGeneral},
    {ErrorCode::kCancelled, "cancelled", kExitGeneral},
    {ErrorCode::kPermission, "permission", kExitGeneral},
    {ErrorCode::kUnsupported, "unsupported", kExitGeneral},
    {ErrorCode::kInternal, "internal", kExitGeneral},
}};

constexpr const Row& row_of(ErrorCode code) {
  for (const Row& row : kTable) {
    if (row.code == code) return row;
  }
  return kTable.back();
}

}  // namespace

std::string_view kind_name(ErrorCode code) { return row_of(code).kind; }
int exit_code(ErrorCode code) { return row_of(code).exit_code; }

ErrorCode code_of_kind(std::string_view kind) {
  for (const Row& row : kTable) {
    if (row.kind == kind) return row.code;
  }
  return ErrorCode::kInternal;
}

RpcError parse_error(std::string message) {
  return {kParseError,
          Error{ErrorCode::kInvalidArgument, std::move(message), "send one JSON object a line, in UTF-8", 0}};
}

RpcError invalid_request(std::string message) {
  return {kInvalidRequest, Error{ErrorCode::kInvalidArgument, std::move(message), "", 0}};
}

RpcError method_not_found(std::string_view method) {
  return {kMethodNotFound,
          Error{ErrorCode::kUnsupported, fmt::format("there is no method '{}'", printable(method, 60)), "", 0}};
}

RpcError invalid_params(Error error) { return {kInvalidParams, std::move(error)}; }

}  // namespace pullama::proto
