#pragma once
// "2 days ago", in the words of `ollama list`.

#include <string>

#include "proto/timestamp.h"

namespace pullama::client {

std::string ago_text(proto::Time then, proto::Time now);

}  // namespace pullama::client
