#include "client/grammar.h"

#include <array>

namespace pullama::client {
namespace {

constexpr std::array kCommands{
    CommandRule{Command::kPull, "pull", "MODEL...", "pull models, showing progress until done", Operand::kModel, 1,
                kNoUpperBound, "a model"},
    CommandRule{Command::kPush, "push", "MODEL", "push a model to its registry", Operand::kModel, 1, 1, "a model"},
    CommandRule{Command::kList, "list", "", "installed models", Operand::kNone, 0, 0, ""},
    CommandRule{Command::kShow, "show", "MODEL", "what a model is made of", Operand::kModel, 1, 1, "a model"},
    CommandRule{Command::kRemove, "rm", "MODEL...", "remove models, keeping shared blobs", Operand::kModel, 1,
                kNoUpperBound, "a model"},
    CommandRule{Command::kCopy, "cp", "SRC DST", "a second name for the same blobs", Operand::kModel, 2, 2,
                "two models"},
    CommandRule{Command::kClean, "clean", "", "remove what no transfer needs", Operand::kNone, 0, 0, ""},
    CommandRule{Command::kVerify, "verify", "[MODEL...]", "hash installed blobs again", Operand::kModel, 0,
                kNoUpperBound, ""},
    CommandRule{Command::kOutdated, "outdated", "[MODEL...]", "compare with the registry", Operand::kModel, 0,
                kNoUpperBound, ""},
    CommandRule{Command::kUpdate, "update", "[MODEL...]", "pull what changed (--all for every model)", Operand::kModel,
                0, kNoUpperBound, ""},
    CommandRule{Command::kQueueAdd, "queue add", "MODEL...", "queue models", Operand::kModel, 1, kNoUpperBound,
                "a model"},
    CommandRule{Command::kQueueList, "queue list", "", "the queue", Operand::kNone, 0, 0, ""},
    CommandRule{Command::kQueueRemove, "queue rm", "N", "take entry N out", Operand::kPosition, 1, 1, "a position"},
    CommandRule{Command::kQueueStart, "queue start", "", "work through the queue, showing it", Operand::kNone, 0, 0,
                ""},
    CommandRule{Command::kQueueStop, "queue stop", "", "stop after the current model", Operand::kNone, 0, 0, ""},
    CommandRule{Command::kQueueMove, "queue move", "N M", "move entry N to place M", Operand::kPosition, 2, 2,
                "two positions"},
    CommandRule{Command::kQueueRetry, "queue retry", "[N]", "queue failed entries again", Operand::kPosition, 0, 1, ""},
    CommandRule{Command::kQueueClear, "queue clear", "", "empty the queue", Operand::kNone, 0, 0, ""},
    CommandRule{Command::kWatch, "watch", "[MODEL|JOB]", "attach to what runs", Operand::kJob, 0, 1, ""},
    CommandRule{Command::kJobs, "jobs", "", "transfers under way", Operand::kNone, 0, 0, ""},
    CommandRule{Command::kPause, "pause", "MODEL|JOB", "pause a transfer", Operand::kJob, 1, 1, "a model or a job"},
    CommandRule{Command::kResume, "resume", "MODEL|JOB", "let it go on", Operand::kJob, 1, 1, "a model or a job"},
    CommandRule{Command::kCancel, "cancel", "MODEL|JOB", "stop it, keeping what is verified", Operand::kJob, 1, 1,
                "a model or a job"},
    CommandRule{Command::kLimit, "limit", "[RATE|off]", "show or set the bandwidth limit", Operand::kRate, 0, 1, ""},
    CommandRule{Command::kHistory, "history", "[MODEL]", "finished transfers", Operand::kModel, 0, 1, ""},
    CommandRule{Command::kDoctor, "doctor", "[MODEL...]", "what may be wrong, and the remedy", Operand::kModel, 0,
                kNoUpperBound, ""},
    CommandRule{Command::kKey, "key", "[create]", "the public key that the registry knows", Operand::kKeyVerb, 0, 1,
                ""},
    CommandRule{Command::kDaemonStatus, "daemon status", "", "the daemon, and what is in effect", Operand::kNone, 0, 0,
                ""},
    CommandRule{Command::kDaemonStart, "daemon start", "", "start it", Operand::kNone, 0, 0, ""},
    CommandRule{Command::kDaemonStop, "daemon stop", "", "stop it; transfers keep their place", Operand::kNone, 0, 0,
                ""},
    CommandRule{Command::kCompletion, "completion", "bash|zsh|fish", "completion for a shell", Operand::kShell, 1, 1,
                "a shell: bash, zsh or fish"},
    CommandRule{Command::kVersion, "version", "", "the version", Operand::kNone, 0, 0, ""},
    CommandRule{Command::kHelp, "help", "[COMMAND]", "help, also per command", Operand::kCommandName, 0, 2, ""},
};
static_assert(kCommands.size() == static_cast<std::size_t>(Command::kCount));

constexpr CommandSet kEvery = ~CommandSet{0};
constexpr CommandSet kTransfers = set_of(Command::kPull) | set_of(Command::kPush) | set_of(Command::kQueueAdd) |
                                  set_of(Command::kOutdated) | set_of(Command::kUpdate) | set_of(Command::kVerify);
constexpr CommandSet kShown = set_of(Command::kPull) | set_of(Command::kPush) | set_of(Command::kUpdate) |
                              set_of(Command::kVerify) | set_of(Command::kWatch) | set_of(Command::kQueueStart);
constexpr CommandSet kJobsOfOurs =
    set_of(Command::kPull) | set_of(Command::kPush) | set_of(Command::kUpdate) | set_of(Command::kQueueStart);
// What asks a registry at all.
constexpr CommandSet kAsking = kTransfers | set_of(Command::kDoctor);
constexpr CommandSet kShow = set_of(Command::kShow), kClean = set_of(Command::kClean);

constexpr std::array kFlags{
    FlagRule{Flag::kInsecure, "insecure", 0, "", "http:// instead of https://", kAsking},
    FlagRule{Flag::kModelsDir, "models-dir", 0, "DIR", "storage root ($OLLAMA_MODELS, ~/.ollama/models)", kEvery},
    FlagRule{Flag::kQuiet, "quiet", 0, "", "one summary line", kShown},
    FlagRule{Flag::kVerbose, "verbose", 0, "", "checkpoint saves, HTTP details, chunk boundaries", kShown},
    FlagRule{Flag::kNoColor, "no-color", 0, "", "no colours, no box drawing ($NO_COLOR)", kEvery},
    FlagRule{Flag::kOutput, "output", 0, "MODE", "table, compact, json or debug (table)", kEvery},
    FlagRule{Flag::kMaxRetries, "max-retries", 0, "N", "retries a chunk without a byte gained, or unlimited (6)",
             kTransfers},
    FlagRule{Flag::kChunkSize, "chunk-size", 0, "SIZE", "chunk size without chunksums (64MiB)", kTransfers},
    FlagRule{Flag::kTimeout, "timeout", 0, "DURATION", "one request's time: 90s, 30m, 2h (30m)", kTransfers},
    FlagRule{Flag::kForce, "force", 0, "", "start although the disk looks too small", kTransfers},
    FlagRule{Flag::kConnections, "connections", 0, "N", "connections to one blob, 1 to 16 (auto)", kTransfers},
    FlagRule{Flag::kLimitRate, "limit-rate", 0, "RATE", "this transfer's bandwidth limit: 5M, 800k", kTransfers},
    FlagRule{Flag::kCaFile, "ca-file", 0, "FILE", "CA certificates to trust (the system's)", kAsking},
    FlagRule{Flag::kDryRun, "dry-run", 0, "", "only say what would happen",
             set_of(Command::kPull) | set_of(Command::kPush) | set_of(Command::kRemove) | kClean},
    FlagRule{Flag::kDetach, "detach", 'd', "", "return at once", kJobsOfOurs},
    FlagRule{Flag::kLicense, "license", 0, "", "only the license", kShow},
    FlagRule{Flag::kTemplate, "template", 0, "", "only the template", kShow},
    FlagRule{Flag::kSystem, "system", 0, "", "only the system message", kShow},
    FlagRule{Flag::kParameters, "parameters", 0, "", "only the parameters", kShow},
    FlagRule{Flag::kLayers, "layers", 0, "", "only the layers", kShow},
    FlagRule{Flag::kQueue, "queue", 0, "", "the queue's entries too", kClean},
    FlagRule{Flag::kUnreferenced, "unreferenced", 0, "", "blobs that no model names too", kClean},
    FlagRule{Flag::kYes, "yes", 0, "", "answer questions with yes", kClean},
    FlagRule{Flag::kRepair, "repair", 0, "", "fetch again what is damaged", set_of(Command::kVerify)},
    FlagRule{Flag::kAll, "all", 0, "", "every installed model", set_of(Command::kUpdate)},
    FlagRule{Flag::kLimit, "limit", 0, "N", "at most N transfers", set_of(Command::kHistory)},
    FlagRule{Flag::kSocket, "socket", 0, "PATH", "the daemon's socket ($PULLAMA_SOCKET)", kEvery},
    FlagRule{Flag::kNoAutostart, "no-autostart", 0, "", "do not start a daemon", kEvery},
    FlagRule{Flag::kHelp, "help", 'h', "", "this help", kEvery},
    FlagRule{Flag::kVersion, "version", 'v', "", "the version", kEvery},
};
static_assert(kFlags.size() == static_cast<std::size_t>(Flag::kCount));

}  // namespace

std::span<const CommandRule> all_commands() { return kCommands; }
std::span<const FlagRule> all_flags() { return kFlags; }
const CommandRule& rule_of(Command command) { return kCommands.at(static_cast<std::size_t>(command)); }
bool takes(const FlagRule& flag, Command command) { return (flag.commands & set_of(command)) != 0; }

}  // namespace pullama::client
