#include <fmt/core.h>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iterator>
#include <string_view>
#include <utility>

#include "daemon/app.h"
#include "daemon/config_file.h"
#include "daemon/courier_main.h"
#include "daemon/options.h"
#include "daemon/process.h"

namespace {

// Everything that a configuration is made of, also when it is read again.
pullama::Result<pullama::Configured> read_configuration(const pullama::Options& options, const std::string& folder) {
  const auto environment = pullama::process_environment();
  std::string home = environment("HOME").value_or("");
  if (home.empty()) home = pullama::home_folder();
  auto files = pullama::read_config_files(pullama::config_paths(environment, home));
  const auto exists = [](const std::string& path) {
    std::error_code ignored;  // an unreadable place is as good as none
    return std::filesystem::exists(path, ignored);
  };
  auto configured = pullama::configure(files.files, environment, options.settings, {folder, home, exists});
  if (configured) std::move(files.warnings.begin(), files.warnings.end(), std::back_inserter(configured->warnings));
  return configured;
}

int run(const pullama::Options& options, const std::string& folder) {
  const auto configured = read_configuration(options, folder);
  if (!configured) {
    fmt::print(stderr, "{}", pullama::wrong_words(configured.error().message));
    return 1;
  }
  return pullama::run_daemon(options, *configured, [&] { return read_configuration(options, folder); });
}

}  // namespace

int main(int argc, char** argv) {
  try {
    // At once: there is nothing to tidy up that the end of a process does not.
    if (argc == 2 && std::string_view(argv[1]) == "--courier") std::_Exit(pullama::run_courier());
    std::error_code no_folder;  // then only absolute paths mean something
    const std::string folder = std::filesystem::current_path(no_folder).string();
    const auto options = pullama::parse_options({argv + 1, argv + argc});
    if (options) return run(*options, no_folder ? "/" : folder);
    fmt::print(options.error().code == 0 ? stdout : stderr, "{}", options.error().text);
    return options.error().code;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "pullamad: %s\n", e.what());
    return 1;
  }
}
