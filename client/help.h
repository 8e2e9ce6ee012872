#pragma once
// Help from the grammar's tables, at most 80 columns wide.

#include <span>
#include <string>

#include "common/result.h"

namespace pullama::client {

// Of everything, of a command ("pull", "queue add") or of a family ("queue").
Result<std::string> help_text(std::span<const std::string> words);

}  // namespace pullama::client
