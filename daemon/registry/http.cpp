#include "daemon/registry/http.h"

#include <algorithm>

#include "daemon/registry/ascii.h"

namespace pullama::registry {

std::string_view stage_name(Stage stage) {
  switch (stage) {
    case Stage::kResolve:
      return "resolve";
    case Stage::kConnect:
      return "connect to";
    case Stage::kTls:
      return "TLS handshake with";
    case Stage::kHeaders:
      return "headers from";
    case Stage::kBody:
      return "body from";
  }
  return "request to";
}

const std::string* HttpHead::find(std::string_view name) const {
  const auto header = std::find_if(headers.begin(), headers.end(),
                                   [name](const Header& h) { return equals_ignoring_case(h.name, name); });
  return header == headers.end() ? nullptr : &header->value;
}

}  // namespace pullama::registry
