#include "daemon/command_words.h"

#include <optional>

namespace pullama {
namespace {

constexpr std::size_t kMostWords = 256;

bool is_blank(char letter) { return letter == ' ' || letter == '\t' || letter == '\r' || letter == '\n'; }

}  // namespace

Result<std::vector<std::string>> split_command(std::string_view text) {
  const auto wrong = [](const char* what) { return fail(ErrorCode::kInvalidArgument, what); };
  if (text.find('\0') != std::string_view::npos) return wrong("a command cannot hold a NUL");
  std::vector<std::string> words;
  std::optional<std::string> word;  // the one that is being read
  char quote = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    char letter = text[at];
    if (quote == 0 && is_blank(letter)) {
      if (word) words.push_back(std::move(*word));
      word.reset();
      continue;
    }
    if (!word) word.emplace();
    if (letter == quote) {
      quote = 0;
    } else if (quote == 0 && (letter == '\'' || letter == '"')) {
      quote = letter;
    } else {
      if (letter == '\\' && quote != '\'') {
        if (++at == text.size()) return wrong("a backslash at the end of the command takes nothing");
        letter = text[at];
      }
      word->push_back(letter);
    }
    if (words.size() == kMostWords) return wrong("a command of more than 256 words");
  }
  if (quote != 0) return wrong("a quote in the command does not end");
  if (word) words.push_back(std::move(*word));
  return words;
}

}  // namespace pullama
