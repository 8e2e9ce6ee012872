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
#include "daemon/settings_reload.h"

namespace {

// Everything that a configuration is made of, also when it is read again: what cannot be used then is as it was.
struct Read {
  std::vector<pullama::ConfigFile> files;
  pullama::Configured configured;
};
pullama::Result<Read> read_configuration(const pullama::Options& options, const std::string& folder,
                                         const Read* before) {
  const auto environment = pullama::process_environment();
  std::string home = environment("HOME").value_or("");
  if (home.empty()) home = pullama::home_folder();
  const std::vector<pullama::ConfigFile> none;
  auto files = pullama::read_config_files(pullama::config_paths(environment, home), before ? before->files : none);
  const auto exists = [](const std::string& path) {
    std::error_code ignored;  // an unreadable place is as good as none
    return std::filesystem::exists(path, ignored);
  };
  auto configured = pullama::configure(files.files, environment, options.settings, {folder, home, exists},
                                       before ? &before->configured : nullptr);
  if (!configured) return pullama::fail(configured.error());
  pullama::pass_over_unknown_group(*configured, [](const std::string& name) -> pullama::Status {
    if (const auto group = pullama::group_id(name); !group) return pullama::fail(group.error());
    return {};
  });
  std::move(files.warnings.begin(), files.warnings.end(), std::back_inserter(configured->warnings));
  return Read{std::move(files.files), std::move(*configured)};
}

int run(const pullama::Options& options, const std::string& folder) {
  auto last = read_configuration(options, folder, nullptr);
  if (!last) {
    fmt::print(stderr, "{}", pullama::wrong_words(last.error().message));
    return 1;
  }
  const pullama::Configured first = last->configured;
  return pullama::run_daemon(options, first, [&]() -> pullama::Result<pullama::Configured> {
    auto fresh = read_configuration(options, folder, &*last);
    if (!fresh) return pullama::fail(fresh.error());
    *last = std::move(*fresh);
    return last->configured;
  });
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
    static_cast<void>(std::fprintf(stderr, "pullamad: %s\n", e.what()));
    return 1;
  }
}
