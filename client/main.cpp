#include <fmt/format.h>

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "client/commands/commands.h"
#include "client/completion.h"
#include "client/help.h"
#include "client/options.h"
#include "client/terminal.h"

namespace {

using namespace pullama::client;

bool has_word(const std::vector<std::string>& args, const char* word) {
  for (const std::string& arg : args) {
    if (arg == word) return true;
  }
  return false;
}

Streams streams_for(bool no_color) {
  return {Screen(look_of(kStdout, no_color), [](std::string_view text) { write_all(kStdout, text); }),
          Screen(look_of(kStderr, no_color), [](std::string_view text) { write_all(kStderr, text); })};
}

}  // namespace

int main(int argc, char** argv) {
  claim_standard_descriptors();
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.empty()) {
    if (const auto text = help_text({})) write_all(kStderr, *text);
    return 1;
  }
  if (args.front() == kCompleteWord) {
    write_all(kStdout, complete_words(std::span(args).subspan(1)));
    return 0;
  }
  const auto options = parse_options(args, process_surroundings());
  if (!options) {
    Streams streams = streams_for(has_word(args, "--no-color"));
    Options how;
    if (asks_for_json(args)) how.output = OutputMode::kJson;
    const std::string model = model_to_pull(args);
    if (how.is_json() && !model.empty()) {
      make_json_renderer(streams, false, true)
          ->refused(subject_of(pullama::proto::JobKind::kPull, model), options.error());
      return 1;
    }
    return report(how, streams, options.error());
  }
  Streams streams = streams_for(options->has(Flag::kNoColor));
  Link link(*options);
  Context context{*options, streams, link};
  int code = run_command(context);
  tell_afterwards(context);
  show_cursor();
  if (output_error() != 0) {
    write_all(kStderr, fmt::format("error: standard output cannot be written: {}\n", std::strerror(output_error())));
    if (code == 0) code = 1;
  }
  return code;
}
