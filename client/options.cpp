#include "client/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "common/duration_text.h"
#include "common/model_name.h"
#include "common/printable.h"
#include "common/size_text.h"

namespace pullama::client {
namespace {

auto wrong(std::string message, std::string hint = {}) {
  return fail(ErrorCode::kInvalidArgument, std::move(message), std::move(hint));
}

std::string shown(std::string_view word) { return "\"" + printable(word, 200) + "\""; }

std::string form_of(const CommandRule& rule) {
  std::string form = fmt::format("pullama {}", rule.name);
  if (!rule.form.empty()) form += fmt::format(" {}", rule.form);
  return form;
}

std::string usage(const CommandRule& rule) {
  return fmt::format("the right form is: {} [flags], see pullama {} --help", form_of(rule), rule.name);
}

Result<std::uint64_t> whole_number(std::string_view text, std::string_view what, std::uint64_t most) {
  std::uint64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc{} || end != text.data() + text.size() || value == 0 || value > most) {
    return wrong(fmt::format("{} is {}, not a whole number from 1 to {}", what, shown(text), most));
  }
  return value;
}

std::string absolute(std::string_view path, const Surroundings& surroundings) {
  namespace fs = std::filesystem;
  fs::path whole = (fs::path(surroundings.working_dir) / fs::path(path)).lexically_normal();
  if (!whole.has_filename() && whole.has_relative_path()) whole = whole.parent_path();  // a slash at the end
  return whole.string();
}

// As Ollama reads it: blanks around it and quotes do not count.
std::string trimmed(std::string text) {
  const auto strip = [&](std::string_view set) {
    text.erase(0, std::min(text.find_first_not_of(set), text.size()));
    text.erase(text.find_last_not_of(set) + 1);
  };
  strip(" \t\r\n");
  strip("\"'");
  return text;
}

Status set_models_dir(Options& options, const Surroundings& surroundings) {
  if (options.models_dir_by_flag) return {};
  if (const std::string variable = trimmed(surroundings.ollama_models); !variable.empty()) {
    options.models_dir = absolute(variable, surroundings);
    return {};
  }
  options.models_dir_by_default = true;
  if (surroundings.home.empty()) {
    return wrong("there is no home folder to keep models in", "give --models-dir DIR or set OLLAMA_MODELS");
  }
  options.models_dir = absolute(surroundings.home + "/.ollama/models", surroundings);
  return {};
}

Status set_value(Options& options, const FlagRule& rule, const std::string& value, const Surroundings& surroundings) {
  const std::string name = fmt::format("--{}", rule.name);
  if (value.empty() || value.find('\0') != std::string::npos) {
    return wrong(fmt::format("{} needs a value", name), fmt::format("write {} {}", name, rule.value));
  }
  proto::PullOptions& transfer = options.transfer;
  switch (rule.flag) {
    case Flag::kModelsDir:
      options.models_dir = absolute(value, surroundings);
      options.models_dir_by_flag = true;
      return {};
    case Flag::kSocket:
      options.socket = absolute(value, surroundings);
      return {};
    case Flag::kCaFile:
      transfer.ca_file = absolute(value, surroundings);
      return {};
    case Flag::kOutput:
      if (value == "table")
        options.output = OutputMode::kTable;
      else if (value == "compact")
        options.output = OutputMode::kCompact;
      else if (value == "json")
        options.output = OutputMode::kJson;
      else if (value == "debug")
        options.output = OutputMode::kDebug;
      else
        return wrong(fmt::format("--output is {}, not table, compact, json or debug", shown(value)));
      return {};
    case Flag::kMaxRetries: {
      if (value == "unlimited") {
        transfer.max_retries = proto::RetryLimit{};
        return {};
      }
      const auto count = whole_number(value, name, proto::kMaxRetriesAccepted);
      if (!count) return wrong(count.error().message + ", nor \"unlimited\"");
      transfer.max_retries = proto::RetryLimit{static_cast<unsigned>(*count)};
      return {};
    }
    case Flag::kConnections: {
      const auto count = whole_number(value, name, proto::kMaxConnections);
      if (!count) return fail(count.error());
      transfer.connections = static_cast<unsigned>(*count);
      return {};
    }
    case Flag::kLimit: {
      const auto count = whole_number(value, name, proto::kMaxHistoryEntries);
      if (!count) return fail(count.error());
      options.limit = *count;
      return {};
    }
    case Flag::kChunkSize: {
      const auto size = parse_size(value, name);
      if (!size) return fail(size.error());
      transfer.chunk_size = *size;
      return {};
    }
    case Flag::kTimeout: {
      const auto duration = parse_duration(value, name);
      if (!duration) return fail(duration.error());
      transfer.timeout = *duration;
      return {};
    }
    case Flag::kLimitRate: {
      const auto rate = parse_rate(value, name);
      if (!rate) return fail(rate.error());
      if (*rate == 0)
        return wrong(fmt::format("{} is {}, not a rate above zero", name, shown(value)), "for instance 5M");
      transfer.limit_rate = *rate;
      return {};
    }
    default:
      return {};
  }
}

const FlagRule* find_flag(std::string_view name) {
  for (const FlagRule& rule : all_flags()) {
    if (rule.name == name) return &rule;
  }
  return nullptr;
}

const FlagRule* find_letter(std::string_view word) {
  for (const FlagRule& rule : all_flags()) {
    if (word.size() == 2 && rule.letter != 0 && rule.letter == word[1]) return &rule;
  }
  return nullptr;
}

struct Given {
  const FlagRule* rule = nullptr;
  std::string value;
};

struct Words {
  std::vector<Given> flags;
  std::vector<std::string> operands;
  std::optional<Error> fault;  // the first; help asked for wins over it
  bool unknown_flag = false;
};

// Flags and operands apart. Which command it is, is not known yet: a flag has the same meaning in all.
Words split(std::span<const std::string> args) {
  Words words;
  const auto fault = [&](std::string message, std::string hint = {}) {
    if (!words.fault) words.fault = Error{ErrorCode::kInvalidArgument, std::move(message), std::move(hint)};
  };
  bool only_operands = false;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string& word = args[i];
    if (only_operands || word.empty() || word[0] != '-') {
      words.operands.push_back(word);
      continue;
    }
    if (word == "--") {
      only_operands = true;
      continue;
    }
    const bool is_long = word.rfind("--", 0) == 0;
    const std::size_t equals = is_long ? word.find('=') : std::string::npos;
    const std::string name = is_long ? word.substr(2, equals == std::string::npos ? equals : equals - 2) : word;
    const FlagRule* rule = is_long ? find_flag(name) : find_letter(word);
    if (rule == nullptr) {
      fault(fmt::format("unknown flag {}", shown(word.substr(0, equals))));
      words.unknown_flag = true;
      continue;
    }
    Given given{rule, {}};
    if (rule->value.empty()) {
      if (equals != std::string::npos) {
        fault(fmt::format("--{} takes no value", rule->name), fmt::format("write --{} alone", rule->name));
      }
    } else if (equals != std::string::npos) {
      given.value = word.substr(equals + 1);
    } else if (i + 1 < args.size() &&
               !(args[i + 1].rfind("--", 0) == 0 && find_flag(std::string_view(args[i + 1]).substr(2)) != nullptr)) {
      given.value = args[++i];
    } else {
      fault(fmt::format("--{} needs a value", rule->name), fmt::format("write --{} {}", rule->name, rule->value));
    }
    words.flags.push_back(std::move(given));
  }
  return words;
}

bool is_family(std::string_view word) { return word == "queue" || word == "daemon"; }

std::string members_of(std::string_view family) {
  std::string out;
  for (const CommandRule& rule : all_commands()) {
    if (rule.name.rfind(std::string(family) + " ", 0) != 0) continue;
    if (!out.empty()) out += ", ";
    out += rule.name.substr(family.size() + 1);
  }
  return out;
}

const CommandRule* find_command(std::string_view name) {
  if (name == "ls") name = "list";
  if (name == "queue ls") name = "queue list";
  for (const CommandRule& rule : all_commands()) {
    if (rule.name == name) return &rule;
  }
  return nullptr;
}

// Takes the command's words off the operands; what is no command is a model to pull.
Result<Command> take_command(std::vector<std::string>& operands) {
  if (operands.empty()) return wrong("there is no command and no model", "for instance: pullama pull llama3.2");
  const std::string first = operands.front();
  if (is_family(first)) {
    if (operands.size() < 2) {
      return wrong(fmt::format("{} needs one of: {}", first, members_of(first)),
                   fmt::format("see pullama {} --help", first));
    }
    const CommandRule* rule = find_command(first + " " + operands[1]);
    if (rule == nullptr) {
      return wrong(fmt::format("{} is no command of \"{}\"", shown(operands[1]), first),
                   fmt::format("it has: {}", members_of(first)));
    }
    operands.erase(operands.begin(), operands.begin() + 2);
    return rule->command;
  }
  const CommandRule* rule = find_command(first);
  if (rule == nullptr) return Command::kPull;
  operands.erase(operands.begin());
  return rule->command;
}

// The right form of what was probably meant, where a flag is unknown.
std::string form_meant(std::vector<std::string> operands) {
  const auto command = take_command(operands);
  return command ? usage(rule_of(*command)) : "the flags are listed by pullama --help";
}

Status check_operand(const CommandRule& rule, const std::string& word) {
  switch (rule.operand) {
    case Operand::kModel:
    case Operand::kJob:  // a job's id is made of letters that a model's name may have
      if (const auto name = ModelName::parse(word); !name) return fail(name.error());
      return {};
    case Operand::kPosition:
      if (const auto number = whole_number(word, "the position", proto::kMaxInteger); !number) {
        return wrong(fmt::format("{} is no position in the queue", shown(word)), usage(rule));
      }
      return {};
    case Operand::kRate:
      if (const auto rate = parse_rate(word, "the limit"); !rate) return fail(rate.error());
      return {};
    case Operand::kShell:
      if (word == "bash" || word == "zsh" || word == "fish") return {};
      return wrong(fmt::format("{} is no shell that is known", shown(word)), usage(rule));
    case Operand::kKeyVerb:
      if (word == "create") return {};
      return wrong(fmt::format("{} is not \"create\"", shown(word)), usage(rule));
    case Operand::kCommandName:
    case Operand::kNone:
      return {};
  }
  return {};
}

Status check_operands(const CommandRule& rule, const Options& options) {
  const std::vector<std::string>& words = options.operands;
  if (words.size() < rule.least) {
    return wrong(fmt::format("{} needs {}", rule.name, rule.missing), usage(rule));
  }
  if (words.size() > rule.most) {
    return wrong(fmt::format("{} is one word too many for \"{}\"", shown(words[rule.most]), rule.name), usage(rule));
  }
  for (const std::string& word : words) {
    if (auto status = check_operand(rule, word); !status) return status;
  }
  if (rule.command == Command::kUpdate && words.empty() != options.has(Flag::kAll)) {
    return wrong(words.empty() ? "update needs a model or --all" : "update takes models or --all, not both",
                 usage(rule));
  }
  return {};
}

}  // namespace

Result<Options> parse_options(std::span<const std::string> args, const Surroundings& surroundings) {
  Words words = split(args);
  Options options;
  for (const Given& given : words.flags) options.flags.set(static_cast<std::size_t>(given.rule->flag));

  if (options.has(Flag::kHelp)) {
    if (words.operands.empty() || (!is_family(words.operands.front()) && !find_command(words.operands.front()))) {
      words.operands.clear();
    }
    options.operands = words.operands;
    options.command = Command::kHelp;
    return options;
  }
  if (words.fault) {
    if (words.fault->hint.empty() && words.unknown_flag) words.fault->hint = form_meant(words.operands);
    return fail(*words.fault);
  }
  if (options.has(Flag::kVersion)) words.operands = {"version"};  // whatever else is there
  const auto command = take_command(words.operands);
  if (!command) return fail(command.error());
  options.command = *command;
  options.operands = std::move(words.operands);

  const CommandRule& rule = rule_of(*command);
  for (const Given& given : words.flags) {
    if (!takes(*given.rule, *command)) {
      if (options.has(Flag::kVersion)) continue;
      return wrong(fmt::format("--{} is no flag of \"{}\"", given.rule->name, rule.name), usage(rule));
    }
    if (given.rule->value.empty()) continue;
    if (auto status = set_value(options, *given.rule, given.value, surroundings); !status) {
      Error error = status.error();
      if (error.hint.empty()) error.hint = fmt::format("see pullama {} --help", rule.name);
      return fail(std::move(error));
    }
  }
  options.transfer.insecure = options.has(Flag::kInsecure);
  options.transfer.force = options.has(Flag::kForce);
  options.transfer.dry_run = (*command == Command::kPull || *command == Command::kPush) && options.has(Flag::kDryRun);
  options.transfer.detached = options.has(Flag::kDetach);
  if (auto status = check_operands(rule, options); !status) return fail(status.error());
  if (*command == Command::kHelp || *command == Command::kVersion) return options;
  if (auto status = set_models_dir(options, surroundings); !status) return fail(status.error());
  return options;
}

std::string model_to_pull(std::span<const std::string> args) {
  Words words = split(args);
  const auto command = take_command(words.operands);
  if (!command || *command != Command::kPull || words.operands.empty()) return {};
  const auto wrong_one = std::find_if(words.operands.begin(), words.operands.end(),
                                      [](const std::string& word) { return !ModelName::parse(word); });
  return wrong_one == words.operands.end() ? words.operands.front() : *wrong_one;
}

bool asks_for_json(std::span<const std::string> args) {
  bool is_json = false;
  for (std::size_t i = 0; i < args.size() && args[i] != "--"; ++i) {
    std::string value;
    if (args[i].rfind("--output=", 0) == 0)
      value = args[i].substr(9);
    else if (args[i] == "--output" && i + 1 < args.size())
      value = args[i + 1];
    else
      continue;
    is_json = value == "json";
  }
  return is_json;
}

}  // namespace pullama::client
