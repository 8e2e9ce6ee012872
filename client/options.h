#pragma once
// The command line, parsed and checked: nothing is sent before all of it is right. Pure: what it needs to know of the
// world comes in `Surroundings`. An error is one sentence that names the word that is wrong, its hint the right form.

#include <bitset>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client/grammar.h"
#include "common/result.h"
#include "proto/params.h"

namespace pullama::client {

enum class OutputMode { kTable, kCompact, kJson, kDebug };

struct Surroundings {
  std::string working_dir;    // absolute
  std::string home;           // may be empty
  std::string ollama_models;  // $OLLAMA_MODELS
};

struct Options {
  Command command = Command::kHelp;
  std::vector<std::string> operands;  // as typed
  std::bitset<static_cast<std::size_t>(Flag::kCount)> flags;
  OutputMode output = OutputMode::kTable;
  std::string models_dir;              // always absolute
  bool models_dir_by_flag = false;     // a command line that is to do the same needs it too
  bool models_dir_by_default = false;  // neither flag nor variable
  std::string socket;
  proto::PullOptions transfer;
  std::optional<std::uint64_t> limit;  // of history

  bool has(Flag flag) const { return flags.test(static_cast<std::size_t>(flag)); }
  bool is_json() const { return output == OutputMode::kJson; }
};

// `args` without the program's name.
Result<Options> parse_options(std::span<const std::string> args, const Surroundings& surroundings);

// Whether errors of this command line are to be told in JSON: known even where parsing fails.
bool asks_for_json(std::span<const std::string> args);

// The model that a command line wants to pull, as typed, even where the rest of it is wrong: the first, or the first
// whose name is wrong; empty: none.
std::string model_to_pull(std::span<const std::string> args);

Surroundings process_surroundings();

}  // namespace pullama::client
