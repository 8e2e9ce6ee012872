#pragma once
// A request's headers as libcurl takes them. Pure.

#include <string>
#include <vector>

#include "daemon/registry/http.h"

namespace pullama::registry {

// "Name: value" lines, and "Name:" for what libcurl would add by itself although nobody asked for it. Empty where a
// name or value holds a control character: it could be read as two headers.
std::vector<std::string> header_lines(const HttpRequest& request);

}  // namespace pullama::registry
