#include <fmt/core.h>
#include <cstdio>
#include <exception>
#include <filesystem>

#include "daemon/app.h"
#include "daemon/options.h"
#include "daemon/process.h"

int main(int argc, char** argv) {
  try {
    std::error_code no_folder;  // then only absolute paths mean something
    const std::string folder = std::filesystem::current_path(no_folder).string();
    const auto options = pullama::parse_options({argv + 1, argv + argc}, pullama::process_environment(),
                                                no_folder ? "/" : folder, pullama::home_folder());
    if (options) return pullama::run_daemon(*options);
    fmt::print(options.error().code == 0 ? stdout : stderr, "{}", options.error().text);
    return options.error().code;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "pullamad: %s\n", e.what());
    return 1;
  }
}
