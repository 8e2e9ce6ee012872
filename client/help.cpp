#include "client/help.h"

#include <fmt/format.h>

#include "client/cells.h"
#include "client/grammar.h"
#include "common/printable.h"

namespace pullama::client {
namespace {

constexpr std::size_t kWidth = 80;

void row(std::string& out, const std::string& left, std::string_view right, std::size_t column) {
  std::string line = "  " + left;
  if (line.size() + 2 > column) {
    out += line + "\n";
    line.clear();
  }
  line += std::string(column - line.size(), ' ');
  bool is_first = true;
  for (const std::string& part : wrap_cells(right, kWidth - column)) {
    out += (is_first ? line : std::string(column, ' ')) + part + "\n";
    is_first = false;
  }
}

std::string flag_form(const FlagRule& rule) {
  std::string form =
      rule.letter != 0 ? fmt::format("-{}, --{}", rule.letter, rule.name) : fmt::format("--{}", rule.name);
  if (!rule.value.empty()) form += fmt::format(" {}", rule.value);
  return form;
}

std::string form_of(const CommandRule& rule) {
  return rule.form.empty() ? std::string(rule.name) : fmt::format("{} {}", rule.name, rule.form);
}

constexpr CommandSet kEverywhere = ~CommandSet{0};

void flags(std::string& out, Command command) {
  for (const bool common : {false, true}) {
    bool any = false;
    for (const FlagRule& rule : all_flags()) {
      if ((rule.commands == kEverywhere) != common || !takes(rule, command)) continue;
      if (rule.flag == Flag::kVersion) continue;
      if (!any) out += common ? "\nFor every command:\n" : "\nFlags:\n";
      any = true;
      row(out, flag_form(rule), rule.help, 26);
    }
  }
}

std::string general() {
  std::string out =
      "pullama pulls models and survives whatever comes between.\n\n"
      "  pullama MODEL [flags]      the same as pullama pull MODEL\n"
      "  pullama COMMAND [flags]\n\nCommands:\n";
  for (const CommandRule& rule : all_commands()) row(out, form_of(rule), rule.summary, 28);
  flags(out, Command::kPull);
  out += "\nExit codes: 0 success, 1 error, 2 disk full, 3 authentication failed,\n4 model not found.\n";
  return out;
}

}  // namespace

Result<std::string> help_text(std::span<const std::string> words) {
  if (words.empty()) return general();
  std::string name = words[0] == "ls" ? "list" : words[0];
  const bool is_family = name == "queue" || name == "daemon";
  if (is_family && words.size() > 1) name += " " + words[1];
  std::string out;
  for (const CommandRule& rule : all_commands()) {
    if (rule.name == name) {
      out = fmt::format("pullama {} [flags]\n\n{}\n", form_of(rule), rule.summary);
      flags(out, rule.command);
      return out;
    }
    if (is_family && rule.name.rfind(name + " ", 0) == 0) row(out, form_of(rule), rule.summary, 28);
  }
  if (!out.empty()) return fmt::format("pullama {} COMMAND [flags]\n\nCommands:\n{}", name, out);
  return fail(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is no command", printable(name, 200)),
              "pullama --help lists them");
}

}  // namespace pullama::client
