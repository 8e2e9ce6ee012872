#include "client/completion.h"

#include <chrono>
#include <set>

#include "client/commands/commands.h"
#include "common/printable.h"
#include "proto/methods.h"

namespace pullama::client {
namespace {

// Somebody waits with a finger on the key: late words are worse than none.
constexpr std::chrono::milliseconds kPatience{1000};
constexpr std::size_t kMostWords = 1000;

class Answer {
 public:
  explicit Answer(const Completion& completion) : completion_(completion) {}

  void add(const std::string& word, const std::string& about) {
    if (is_plain_word(word) && word.starts_with(completion_.typed)) line(word, about);
  }
  void line(const std::string& word, const std::string& about) {
    if (!seen_.insert(word).second || seen_.size() > kMostWords) return;
    text_ += word + (about.empty() ? "" : "\t" + printable(about)) + "\n";
  }
  const std::string& text() const { return text_; }

 private:
  const Completion& completion_;
  std::set<std::string> seen_;
  std::string text_;
};

// Of the words typed so far, those that say which daemon and which store are meant.
std::vector<std::string> place_flags(std::span<const std::string> words) {
  std::vector<std::string> flags;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    for (const char* flag : {"--socket", "--models-dir"}) {
      if (words[i].starts_with(std::string(flag) + "=")) flags.push_back(words[i]);
      if (words[i] == flag && i + 2 < words.size()) flags.insert(flags.end(), {words[i], words[i + 1]});
    }
  }
  return flags;
}

void ask_daemon(Link& link, const Completion& completion, Answer& answer) {
  const auto connection = link.open_running();
  if (!connection) return;
  if (completion.unfinished) {
    const auto jobs = (*connection)->call<proto::JobList>(proto::method::kJobList, proto::JobListParams{}, kPatience);
    if (!jobs) return;
    for (const proto::JobSnapshot& job : jobs->jobs) {
      if (proto::is_finished(job.state)) continue;
      answer.add(job.model, std::string(proto::name_of(job.state)));
      answer.add(job.id, job.model);
    }
  }
  if (completion.installed) {
    const auto info = (*connection)->call<proto::DaemonInfo>(proto::method::kDaemonInfo, proto::NoParams{}, kPatience);
    if (!info) return;
    link.learn(*info);
    proto::StoreListParams params;
    params.models_dir = link.models_dir();
    const auto list = (*connection)->call<proto::StoreList>(proto::method::kStoreList, params, kPatience);
    if (!list) return;
    for (const proto::StoredModel& model : list->models) answer.add(model.model, "");
  }
  if (completion.positions) {
    const auto queue = (*connection)->call<proto::QueueView>(proto::method::kQueueList, proto::NoParams{}, kPatience);
    if (!queue) return;
    for (const auto& entry : queue->entries) answer.add(std::to_string(entry.position), entry.model);
  }
}

}  // namespace

int run_completion(Context& context) {
  context.streams.out.raw(std::string(completion_script(context.options.operands.front())));
  return 0;
}

std::string complete_words(std::span<const std::string> words) {
  const Completion completion = complete(words);
  Answer answer(completion);
  for (const Candidate& candidate : completion.candidates) answer.line(candidate.word, candidate.about);
  if (completion.files) answer.line(":files", "");
  if (completion.folders) answer.line(":folders", "");
  if (completion.installed || completion.unfinished || completion.positions) {
    std::vector<std::string> args = place_flags(words);
    args.insert(args.begin(), {"jobs", "--no-autostart"});
    if (const auto options = parse_options(args, process_surroundings())) {
      Link link(*options);
      ask_daemon(link, completion, answer);
    }
  }
  return answer.text();
}

}  // namespace pullama::client
