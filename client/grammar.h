#pragma once
// The command line as tables: every command with its form, every flag with the commands that take it. Parsing
// (options.h), help (help.h) and completion read the same tables.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace pullama::client {

enum class Command : std::uint8_t {
  kPull,
  kPush,
  kList,
  kShow,
  kRemove,
  kCopy,
  kClean,
  kVerify,
  kOutdated,
  kUpdate,
  kQueueAdd,
  kQueueList,
  kQueueRemove,
  kQueueStart,
  kQueueStop,
  kQueueMove,
  kQueueRetry,
  kQueueClear,
  kWatch,
  kJobs,
  kPause,
  kResume,
  kCancel,
  kLimit,
  kHistory,
  kDoctor,
  kKey,
  kDaemonStatus,
  kDaemonStart,
  kDaemonStop,
  kCompletion,
  kVersion,
  kHelp,
  kCount
};

// What the words after the command are; each is checked before anything is sent.
enum class Operand : std::uint8_t { kNone, kModel, kJob, kPosition, kRate, kShell, kKeyVerb, kCommandName };

struct CommandRule {
  Command command;
  std::string_view name;     // "queue add": one word or two
  std::string_view form;     // what follows the name: "MODEL..."
  std::string_view summary;  // for help, one line
  Operand operand;
  std::size_t least, most;   // operands
  std::string_view missing;  // what to say when there are fewer: "a model"
};

enum class Flag : std::uint8_t {
  kInsecure,
  kModelsDir,
  kQuiet,
  kVerbose,
  kNoColor,
  kOutput,
  kMaxRetries,
  kChunkSize,
  kTimeout,
  kForce,
  kConnections,
  kLimitRate,
  kCaFile,
  kDryRun,
  kDetach,
  kSocket,
  kNoAutostart,
  kHelp,
  kVersion,
  kLicense,
  kTemplate,
  kSystem,
  kParameters,
  kLayers,
  kQueue,
  kUnreferenced,
  kYes,
  kRepair,
  kAll,
  kLimit,
  kCount
};

using CommandSet = std::uint64_t;
constexpr CommandSet set_of(Command command) { return CommandSet{1} << static_cast<unsigned>(command); }

struct FlagRule {
  Flag flag;
  std::string_view name;   // without dashes
  char letter;             // 0: none
  std::string_view value;  // what follows it: "DIR"; empty: nothing
  std::string_view help;
  CommandSet commands;
};

inline constexpr std::size_t kNoUpperBound = static_cast<std::size_t>(-1);

std::span<const CommandRule> all_commands();
std::span<const FlagRule> all_flags();
const CommandRule& rule_of(Command command);
bool takes(const FlagRule& flag, Command command);

}  // namespace pullama::client
