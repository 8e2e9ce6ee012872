#include <fmt/core.h>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iterator>
#include <string_view>
#include <utility>

#include "common/printable.h"
#include "daemon/app.h"
#include "daemon/config_file.h"
#include "daemon/courier_main.h"
#include "daemon/options.h"
#include "daemon/process.h"

namespace {

int run(const pullama::Options& options) {
  const auto environment = pullama::process_environment();
  auto files = pullama::read_config_files(pullama::config_paths(environment, pullama::home_folder()));
  auto configured = pullama::configure(files.files, environment, options.settings);
  if (!configured) {
    fmt::print(stderr, "pullamad: {} (pullamad --help shows the right form)\n",
               pullama::printable(configured.error().message));
    return 1;
  }
  std::move(files.warnings.begin(), files.warnings.end(), std::back_inserter(configured->warnings));
  return pullama::run_daemon(options, *configured);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    // At once: there is nothing to tidy up that the end of a process does not.
    if (argc == 2 && std::string_view(argv[1]) == "--courier") std::_Exit(pullama::run_courier());
    std::error_code no_folder;  // then only absolute paths mean something
    const std::string folder = std::filesystem::current_path(no_folder).string();
    const auto options = pullama::parse_options({argv + 1, argv + argc}, pullama::process_environment(),
                                                no_folder ? "/" : folder, pullama::home_folder());
    if (options) return run(*options);
    fmt::print(options.error().code == 0 ? stdout : stderr, "{}", options.error().text);
    return options.error().code;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "pullamad: %s\n", e.what());
    return 1;
  }
}
