// What a user types to have the same again, and what is sent for the transfer flags.

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "client/commands/commands.h"
#include "common/printable.h"

namespace pullama::client {
namespace {

std::string quoted(const std::string& word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+=,-";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string out = "'";
  for (const char letter : word) out += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  return out + "'";
}

}  // namespace

std::string again_command(const Options& options, const std::string& models) {
  std::string line = "pullama " + models;
  if (options.transfer.insecure) line += " --insecure";
  if (options.models_dir_by_flag) line += " --models-dir " + quoted(options.models_dir);
  if (options.transfer.ca_file) line += " --ca-file " + quoted(*options.transfer.ca_file);
  if (!options.socket.empty()) line += " --socket " + quoted(options.socket);
  return line;
}

std::string again_command(const Options& options, const proto::JobSnapshot& job) {
  Options same = options;
  same.transfer.insecure = job.insecure;
  same.models_dir_by_flag = options.models_dir_by_flag || job.models_dir != options.models_dir;
  if (!job.models_dir.empty()) same.models_dir = job.models_dir;
  return again_command(same, (job.kind == proto::JobKind::kPush ? "push " : "") + job.model);
}

Result<proto::PullOptions> transfer_options(const Options& options) {
  if (options.transfer.ca_file) {
    const std::string& path = *options.transfer.ca_file;
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    if (!file || file.peek() == std::ifstream::traits_type::eof()) {
      const int fault = errno;
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("--ca-file {} cannot be read: {}", printable(path, 512),
                              fault != 0 ? std::strerror(fault) : "it is empty"),
                  "name a file of CA certificates in PEM form");
    }
  }
  return options.transfer;
}

}  // namespace pullama::client
