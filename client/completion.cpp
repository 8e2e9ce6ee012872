#include "client/completion.h"

#include <algorithm>
#include <array>
#include <optional>

#include "client/grammar.h"

namespace pullama::client {
namespace {

const FlagRule* flag_of(std::string_view word) {
  const bool is_long = word.starts_with("--");
  const std::string_view name = word.substr(is_long ? 2 : 1);
  for (const FlagRule& rule : all_flags()) {
    if (is_long ? rule.name == name : name.size() == 1 && rule.letter == name[0]) return &rule;
  }
  return nullptr;
}

// What stands before the word that is being typed.
struct Before {
  std::vector<std::string> operands;
  const FlagRule* open = nullptr;  // waits for its value
  bool only_operands = false;      // after "--"
};

Before look_at(std::span<const std::string> words) {
  Before before;
  for (const std::string& word : words) {
    if (before.open != nullptr) {
      before.open = nullptr;
    } else if (before.only_operands || word.size() < 2 || word[0] != '-') {
      before.operands.push_back(word);
    } else if (word == "--") {
      before.only_operands = true;
    } else if (const FlagRule* rule = flag_of(word); rule != nullptr && !rule->value.empty()) {
      before.open = rule;
    }
  }
  return before;
}

struct Place {
  const CommandRule* rule = nullptr;  // none: the command itself is being typed
  std::string family;                 // "queue", whose member is being typed
  std::size_t operands = 0;           // of the command, so far
};

Place place_of(const std::vector<std::string>& operands) {
  if (operands.empty()) return {};
  std::string name = operands[0] == "ls" ? "list" : operands[0];
  const auto named = [](std::string_view wanted) -> const CommandRule* {
    const auto rules = all_commands();
    const auto at = std::find_if(rules.begin(), rules.end(), [&](const auto& rule) { return rule.name == wanted; });
    return at == rules.end() ? nullptr : &*at;
  };
  if (const CommandRule* rule = named(name)) return {rule, {}, operands.size() - 1};
  const bool is_family = std::any_of(all_commands().begin(), all_commands().end(),
                                     [&](const auto& rule) { return rule.name.starts_with(name + " "); });
  if (!is_family) return {&rule_of(Command::kPull), {}, operands.size()};
  if (operands.size() == 1) return {nullptr, name, 0};
  const CommandRule* rule = named(name + " " + operands[1]);
  return rule == nullptr ? Place{nullptr, "?", 0} : Place{rule, {}, operands.size() - 2};
}

class Collector {
 public:
  explicit Collector(Completion& into) : into_(into) {}

  void add(std::string word, std::string_view about) {
    const auto same = [&](const Candidate& candidate) { return candidate.word == word; };
    if (!word.starts_with(into_.typed)) return;
    if (std::any_of(into_.candidates.begin(), into_.candidates.end(), same)) return;
    into_.candidates.push_back({std::move(word), std::string(about)});
  }

  // The first words of commands, or a family's second ones.
  void commands(const std::string& family) {
    for (const CommandRule& rule : all_commands()) {
      const std::size_t blank = rule.name.find(' ');
      const std::string_view first = rule.name.substr(0, blank);
      if (family.empty()) {
        add(std::string(first), blank == std::string_view::npos ? rule.summary : "commands of their own");
      } else if (blank != std::string_view::npos && first == family) {
        add(std::string(rule.name.substr(blank + 1)), rule.summary);
      }
    }
  }

  void flags(Command command) {
    for (const FlagRule& rule : all_flags()) {
      if (takes(rule, command)) add("--" + std::string(rule.name), rule.help);
    }
  }

  void values(const FlagRule& rule, const std::string& before) {
    if (rule.flag == Flag::kOutput) {
      for (const char* mode : {"table", "compact", "json", "debug"}) add(before + mode, "");
    }
    if (rule.flag == Flag::kMaxRetries) add(before + "unlimited", "");
    into_.folders = rule.value == "DIR";
    into_.files = rule.value == "PATH" || rule.value == "FILE";
  }

  void operand(const Place& place, const std::vector<std::string>& operands) {
    const CommandRule& rule = *place.rule;
    if (place.operands >= rule.most) return;
    switch (rule.operand) {
      case Operand::kModel:
        into_.installed = true;
        into_.unfinished = rule.command == Command::kPull;
        break;
      case Operand::kJob:
        into_.unfinished = true;
        break;
      case Operand::kPosition:
        into_.positions = true;
        break;
      case Operand::kRate:
        add("off", "no limit");
        break;
      case Operand::kShell:
        for (const char* shell : {"bash", "zsh", "fish"}) add(shell, "");
        break;
      case Operand::kKeyVerb:
        add("create", "make one where there is none");
        break;
      case Operand::kCommandName:
        commands(place.operands == 0 ? std::string() : operands.back());
        break;
      case Operand::kNone:
        break;
    }
  }

 private:
  Completion& into_;
};

}  // namespace

Completion complete(std::span<const std::string> words) {
  Completion result;
  if (!words.empty()) result.typed = words.back();
  const Before before = look_at(words.empty() ? words : words.first(words.size() - 1));
  const Place place = place_of(before.operands);
  const Command command = place.rule == nullptr ? Command::kPull : place.rule->command;
  Collector collect(result);
  if (before.open != nullptr) {
    collect.values(*before.open, "");
  } else if (!before.only_operands && result.typed.starts_with('-')) {
    const std::size_t equals = result.typed.find('=');
    if (equals == std::string::npos) {
      collect.flags(command);
    } else if (const FlagRule* rule = flag_of(result.typed.substr(0, equals)); rule && !rule->value.empty()) {
      collect.values(*rule, result.typed.substr(0, equals + 1));
    }
  } else if (place.rule != nullptr) {
    collect.operand(place, before.operands);
  } else {
    collect.commands(place.family);
    // `pullama MODEL` pulls; an empty line offers the commands only.
    result.installed = result.unfinished = place.family.empty() && !result.typed.empty();
  }
  return result;
}

bool is_plain_word(std::string_view word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/-";
  return !word.empty() && word[0] != '-' && word[0] != ':' && word.find_first_not_of(kPlain) == std::string_view::npos;
}

}  // namespace pullama::client
