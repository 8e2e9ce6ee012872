#pragma once
// The parsers of bytes from outside, each as a function that takes any bytes. What a parser lets through must hold
// together: a target checks that, and aborts where it does not. libFuzzer drives them (fuzz_main.cpp, clang only), and
// the default suite drives them with seeds and simple mutations (seeds_main.cpp).

#include <span>
#include <string_view>

namespace pullama::fuzz {

struct Target {
  std::string_view name;  // of its folder in seeds/
  void (*run)(std::string_view input);
};

std::span<const Target> targets();
const Target* find_target(std::string_view name);

// Ends the process with a word, in every build, where `holds` is false.
void must(bool holds, const char* what);

// Up to and without the first '\n', which goes too: for targets that take more than one text.
std::string_view take_line(std::string_view& input);

// The targets, by the room of what they feed.
void line_codec(std::string_view input);
void jsonrpc(std::string_view input);
void model_name(std::string_view input);
void manifest(std::string_view input);
void chunksums(std::string_view input);
void challenge(std::string_view input);
void key_file(std::string_view input);
void content_range(std::string_view input);
void redirect(std::string_view input);
void response_head(std::string_view input);
void token(std::string_view input);
void error_text(std::string_view input);
void retry_after(std::string_view input);
void checkpoint(std::string_view input);
void checkpoint_original(std::string_view input);
void checkpoint_unsynced(std::string_view input);
void ollama_partial(std::string_view input);
void queue(std::string_view input);
void config(std::string_view input);

}  // namespace pullama::fuzz
