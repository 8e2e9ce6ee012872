#pragma once
// What a shell offers while a command line is typed, out of the same tables as parsing and help. The scripts of the
// shells only carry words back and forth: they run `pullama __complete WORD...`, the words so far and last the one that
// is being typed, and get a candidate a line, its meaning after a tab. Pure but for the one that asks the daemon.

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pullama::client {

// The first word that the scripts send; no command of people's.
inline constexpr std::string_view kCompleteWord = "__complete";

struct Candidate {
  std::string word;   // a whole word, as it is to stand on the line
  std::string about;  // may be empty
};

struct Completion {
  std::vector<Candidate> candidates;  // begin with what is typed already
  std::string typed;                  // so far, for what the daemon adds
  bool installed = false;             // names of installed models fit
  bool unfinished = false;            // jobs that are not over fit: their ids and their models
  bool positions = false;             // places in the queue fit
  bool files = false, folders = false;
};
// `words` after the program's name, the last one being typed; none is one empty word.
Completion complete(std::span<const std::string> words);

// The candidates for `words`, a line each, with what a daemon knows that runs already: none is started, and what it
// does not say within a second is left out. commands/completion.cpp
std::string complete_words(std::span<const std::string> words);

// Whether a word of the daemon's may be handed to a shell: nothing in it that one would act on.
bool is_plain_word(std::string_view word);

// "bash", "zsh" or "fish".
std::string_view completion_script(std::string_view shell);

}  // namespace pullama::client
