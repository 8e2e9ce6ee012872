#include "daemon/registry/challenge.h"

#include <optional>

#include "daemon/registry/ascii.h"

namespace pullama::registry {
namespace {

bool is_token_char(char c) {
  return is_letter(c) || is_digit(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token68_char(char c) {
  return is_letter(c) || is_digit(c) || std::string_view("-._~+/").find(c) != std::string_view::npos;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  void parse(std::vector<Challenge>& challenges) {
    while (true) {
      skip(" \t,");
      if (at_end()) break;
      const auto word = token();
      if (word.empty()) break;
      const auto after_word = position_;
      skip(" \t");
      if (challenge_ && !at_end() && text_[position_] == '=') {
        ++position_;
        skip(" \t");
        auto value = parameter_value();
        if (!value) {
          challenge_.reset();
          break;
        }
        set(lower(word), std::move(*value));
      } else {
        finish(challenges);
        challenge_ = Challenge{lower(word), {}, {}, {}, {}};
        position_ = after_word;
        skip_token68();
      }
    }
    finish(challenges);
  }

 private:
  bool at_end() const { return position_ >= text_.size(); }

  void skip(std::string_view characters) {
    while (!at_end() && characters.find(text_[position_]) != std::string_view::npos) ++position_;
  }

  std::string_view token() {
    const auto begin = position_;
    while (!at_end() && is_token_char(text_[position_])) ++position_;
    return text_.substr(begin, position_ - begin);
  }

  // "Negotiate YII=": one opaque word instead of parameters.
  void skip_token68() {
    auto p = position_;
    while (p < text_.size() && (text_[p] == ' ' || text_[p] == '\t')) ++p;
    const auto begin = p;
    while (p < text_.size() && is_token68_char(text_[p])) ++p;
    if (p == begin) return;
    while (p < text_.size() && text_[p] == '=') ++p;
    while (p < text_.size() && (text_[p] == ' ' || text_[p] == '\t')) ++p;
    if (p == text_.size() || text_[p] == ',') position_ = p;
  }

  std::optional<std::string> parameter_value() {
    if (at_end() || text_[position_] != '"') return std::string(token());
    ++position_;
    std::string value;
    while (!at_end()) {
      char c = text_[position_++];
      if (c == '"') return value;
      if (c == '\\') {
        if (at_end()) break;
        c = text_[position_++];
      }
      value += c;
    }
    return std::nullopt;
  }

  void set(const std::string& name, std::string value) {
    for (const auto& seen : seen_) {
      if (seen == name) worthless_ = true;
    }
    seen_.push_back(name);
    if (name == "realm") {
      challenge_->realm = std::move(value);
    } else if (name == "service") {
      challenge_->service = std::move(value);
    } else if (name == "error") {
      challenge_->error = std::move(value);
    } else if (name == "scope") {
      split_scopes(value);
    }
  }

  void split_scopes(std::string_view value) {
    while (!value.empty()) {
      const auto end = std::min(value.find(' '), value.size());
      const auto scope = value.substr(0, end);
      if (!scope.empty() && scope != "-") challenge_->scopes.emplace_back(scope);
      value.remove_prefix(std::min(end + 1, value.size()));
    }
  }

  void finish(std::vector<Challenge>& challenges) {
    if (challenge_ && !worthless_) challenges.push_back(std::move(*challenge_));
    challenge_.reset();
    seen_.clear();
    worthless_ = false;
  }

  std::string_view text_;
  std::size_t position_ = 0;
  std::optional<Challenge> challenge_;
  std::vector<std::string> seen_;
  bool worthless_ = false;
};

}  // namespace

std::vector<Challenge> parse_challenges(const std::vector<std::string_view>& headers) {
  std::vector<Challenge> challenges;
  for (const auto header : headers) Parser(header).parse(challenges);
  return challenges;
}

}  // namespace pullama::registry
