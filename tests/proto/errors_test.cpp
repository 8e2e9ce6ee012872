#include "proto/errors.h"

#include <doctest/doctest.h>

using pullama::ErrorCode;
using namespace pullama::proto;

TEST_CASE("each code has its kind and exit code, there and back") {
  struct Row {
    ErrorCode code;
    const char* kind;
    int exit;
  };
  for (const Row& row : {Row{ErrorCode::kInvalidArgument, "invalid_argument", 1},
                         {ErrorCode::kNotFound, "not_found", 4},
                         {ErrorCode::kAuthFailed, "auth_failed", 3},
                         {ErrorCode::kDiskFull, "disk_full", 2},
                         {ErrorCode::kNetwork, "network", 1},
                         {ErrorCode::kLocked, "locked", 1},
                         {ErrorCode::kCorrupt, "corrupt", 1},
                         {ErrorCode::kCancelled, "cancelled", 1},
                         {ErrorCode::kPermission, "permission", 1},
                         {ErrorCode::kUnsupported, "unsupported", 1},
                         {ErrorCode::kInternal, "internal", 1}}) {
    CHECK(kind_name(row.code) == row.kind);
    CHECK(code_of_kind(row.kind) == row.code);
    CHECK(exit_code(row.code) == row.exit);
  }
  CHECK(code_of_kind("new_in_some_later_version") == ErrorCode::kInternal);
}

TEST_CASE("faults of the protocol carry JSON-RPC's numbers") {
  CHECK(parse_error("x").number == -32700);
  CHECK(invalid_request("x").number == -32600);
  CHECK(invalid_params({}).number == -32602);
  CHECK(failed({}).number == -32000);
  const RpcError unknown = method_not_found("evil\x1b[31m");
  CHECK(unknown.number == -32601);
  CHECK(unknown.error.code == ErrorCode::kUnsupported);
  CHECK(unknown.error.message == "there is no method 'evil\\x1b[31m'");
}
