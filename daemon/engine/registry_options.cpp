#include "daemon/engine/registry_options.h"

#include <algorithm>

namespace pullama::engine {

registry::RegistryOptions registry_options(const PullRequest& request, ProgressSink& sink) {
  registry::RegistryOptions result;
  result.insecure = request.insecure;
  result.ca_file = request.ca_file;
  result.user_agent = request.user_agent;
  result.mirrors = request.mirrors;
  result.request_timeout = request.request_timeout;
  result.on_request = [&sink](const registry::RequestTrace& trace) { sink.report(RequestDone{trace}); };
  result.on_token_refresh = [&sink](int attempt) {
    sink.report(Refresh{std::nullopt, false, static_cast<unsigned>(std::max(attempt, 0)), 3});
  };
  return result;
}

}  // namespace pullama::engine
