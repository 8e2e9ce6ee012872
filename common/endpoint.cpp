#include "common/endpoint.h"

#include <fmt/format.h>

#include "common/printable.h"

namespace pullama {
namespace {

std::string_view origin(EndpointSource source) {
  switch (source) {
    case EndpointSource::kOption:
      return "--socket";
    case EndpointSource::kVariable:
      return "PULLAMA_SOCKET";
    case EndpointSource::kRuntimeDir:
      return "XDG_RUNTIME_DIR";
    case EndpointSource::kRunUser:
    case EndpointSource::kTmp:
    case EndpointSource::kSystem:
      break;
  }
  return "the socket";
}

Endpoint first_set(const EndpointEnvironment& environment) {
  if (!environment.socket_option.empty()) return {environment.socket_option, EndpointSource::kOption};
  if (!environment.socket_variable.empty()) return {environment.socket_variable, EndpointSource::kVariable};
  // The XDG base directory specification: a path that is not absolute is to be ignored.
  if (environment.runtime_dir.starts_with('/')) {
    return {environment.runtime_dir + "/pullama/pullamad.sock", EndpointSource::kRuntimeDir};
  }
  if (environment.run_user_exists) {
    return {fmt::format("/run/user/{}/pullama/pullamad.sock", environment.uid), EndpointSource::kRunUser};
  }
  return {fmt::format("/tmp/pullama-{}/pullamad.sock", environment.uid), EndpointSource::kTmp};
}

}  // namespace

Result<Endpoint> listen_endpoint(const EndpointEnvironment& environment) {
  Endpoint endpoint = first_set(environment);
  if (endpoint.path.find('\0') != std::string::npos) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("{}: the path '{}' holds a NUL byte", origin(endpoint.source),
                                                         printable(endpoint.path, 120)));
  }
  if (endpoint.path.size() > kMaxSocketPathBytes) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: the path '{}' is {} bytes long, a socket's path at most {}", origin(endpoint.source),
                            printable(endpoint.path, 120), endpoint.path.size(), kMaxSocketPathBytes),
                "name a shorter one with --socket PATH");
  }
  return endpoint;
}

Result<std::vector<Endpoint>> connect_endpoints(const EndpointEnvironment& environment) {
  Result<Endpoint> first = listen_endpoint(environment);
  if (!first) return fail(first.error());
  std::vector<Endpoint> endpoints{*first};
  if (!first->chosen_by_user()) endpoints.push_back({kSystemSocket, EndpointSource::kSystem});
  return endpoints;
}

}  // namespace pullama
