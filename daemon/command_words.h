#pragma once
// A command from the configuration, split into its words without a shell. Blanks part words; inside '…' everything is
// meant as it stands; inside "…" and outside quotes a backslash takes the meaning of the character after it. There are
// no variables, no patterns, no ~, no pipes and no redirections: who wants a shell names one.

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace pullama {

// No words for blanks alone. kInvalidArgument: a quote that does not end, a backslash at the end, a NUL, more than
// 256 words.
Result<std::vector<std::string>> split_command(std::string_view text);

}  // namespace pullama
