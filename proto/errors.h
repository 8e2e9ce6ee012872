#pragma once
// The only table from ErrorCode to what other programs see: the kind on the wire, the JSON-RPC number, the exit code.

#include <string>
#include <string_view>

#include "common/result.h"

namespace pullama::proto {

// JSON-RPC's own numbers for faults of the protocol, one number for everything else.
inline constexpr int kParseError = -32700;
inline constexpr int kInvalidRequest = -32600;
inline constexpr int kMethodNotFound = -32601;
inline constexpr int kInvalidParams = -32602;
inline constexpr int kOperationFailed = -32000;

inline constexpr int kExitSuccess = 0;
inline constexpr int kExitGeneral = 1;
inline constexpr int kExitDiskFull = 2;
inline constexpr int kExitAuthFailed = 3;
inline constexpr int kExitNotFound = 4;

std::string_view kind_name(ErrorCode code);     // "not_found"
ErrorCode code_of_kind(std::string_view kind);  // kInternal for a kind that this version does not know
int exit_code(ErrorCode code);                  // 0 is never returned

// What an error reply says: {"code": number, "message": …, "data": {"kind", "exit_code", "hint"}}.
struct RpcError {
  int number = kOperationFailed;
  Error error;
};

inline RpcError failed(Error error) { return RpcError{kOperationFailed, std::move(error)}; }
RpcError parse_error(std::string message);
RpcError invalid_request(std::string message);
RpcError method_not_found(std::string_view method);
// What read<…Params>() answered.
RpcError invalid_params(Error error);

}  // namespace pullama::proto
