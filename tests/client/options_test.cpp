#include "client/options.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace pullama;
using namespace pullama::client;

namespace {

const Surroundings kHere{"/some/dir", "/home/u", ""};

Result<Options> parse(std::vector<std::string> args, const Surroundings& surroundings = kHere) {
  return parse_options(args, surroundings);
}

}  // namespace

TEST_CASE("a word that is no command is a model to pull") {
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{"llama3.2"},
                                             {"pull", "llama3.2"},
                                             {"--insecure", "llama3.2"},
                                             {"llama3.2", "--insecure"},
                                             {"pull", "--insecure", "llama3.2"},
                                             {"--", "llama3.2"},
                                             {"--models-dir", "list", "llama3.2"}}) {
    CAPTURE(args.front());
    const auto options = parse(args);
    REQUIRE(options);
    CHECK(options->command == Command::kPull);
    CHECK(options->operands == std::vector<std::string>{"llama3.2"});
  }
  const auto several = parse({"llama3.2", "mistral:7b"});
  REQUIRE(several);
  CHECK(several->operands.size() == 2);
}

TEST_CASE("every command of the document is understood") {
  struct Row {
    std::vector<std::string> args;
    Command command;
  };
  const std::vector<Row> rows{{{"push", "u/m"}, Command::kPush},
                              {{"list"}, Command::kList},
                              {{"ls"}, Command::kList},
                              {{"show", "m", "--license"}, Command::kShow},
                              {{"rm", "a", "b", "--dry-run"}, Command::kRemove},
                              {{"cp", "a", "b"}, Command::kCopy},
                              {{"clean", "--queue", "--unreferenced", "--yes"}, Command::kClean},
                              {{"verify", "--repair", "--insecure"}, Command::kVerify},
                              {{"outdated"}, Command::kOutdated},
                              {{"update", "--all"}, Command::kUpdate},
                              {{"update", "m"}, Command::kUpdate},
                              {{"queue", "add", "m", "--insecure"}, Command::kQueueAdd},
                              {{"queue", "list"}, Command::kQueueList},
                              {{"queue", "rm", "3"}, Command::kQueueRemove},
                              {{"queue", "start", "-d"}, Command::kQueueStart},
                              {{"queue", "stop"}, Command::kQueueStop},
                              {{"queue", "move", "3", "1"}, Command::kQueueMove},
                              {{"queue", "retry"}, Command::kQueueRetry},
                              {{"queue", "retry", "2"}, Command::kQueueRetry},
                              {{"queue", "clear"}, Command::kQueueClear},
                              {{"watch"}, Command::kWatch},
                              {{"watch", "m"}, Command::kWatch},
                              {{"jobs"}, Command::kJobs},
                              {{"pause", "m"}, Command::kPause},
                              {{"resume", "j-1"}, Command::kResume},
                              {{"cancel", "m"}, Command::kCancel},
                              {{"limit", "5M"}, Command::kLimit},
                              {{"limit", "off"}, Command::kLimit},
                              {{"history"}, Command::kHistory},
                              {{"doctor"}, Command::kDoctor},
                              {{"key", "create"}, Command::kKey},
                              {{"daemon", "status"}, Command::kDaemonStatus},
                              {{"daemon", "start"}, Command::kDaemonStart},
                              {{"daemon", "stop"}, Command::kDaemonStop},
                              {{"completion", "zsh"}, Command::kCompletion},
                              {{"version"}, Command::kVersion},
                              {{"-v"}, Command::kVersion},
                              {{"--version"}, Command::kVersion},
                              {{"pull", "--version"}, Command::kVersion},
                              {{"pull", "m", "--insecure", "-v"}, Command::kVersion},
                              {{"queue", "move", "--version"}, Command::kVersion},
                              {{"help"}, Command::kHelp},
                              {{"-h"}, Command::kHelp},
                              {{"list", "--help"}, Command::kHelp},
                              {{"list", "--bogus", "--help"}, Command::kHelp}};
  for (const Row& row : rows) {
    std::string line;
    for (const std::string& word : row.args) line += word + " ";
    CAPTURE(line);
    const auto options = parse(row.args);
    REQUIRE(options);
    CHECK(options->command == row.command);
  }
}

TEST_CASE("flags take their value after a blank or an equals sign, the last one counts") {
  for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
           {"m", "--chunk-size", "32MiB", "--max-retries", "unlimited", "--timeout", "90s", "--connections", "16",
            "--limit-rate", "5M", "--ca-file", "ca.pem"},
           {"--chunk-size=1k", "--chunk-size=32MiB", "--max-retries=unlimited", "--timeout=90s", "m",
            "--connections=16", "--limit-rate=5M", "--ca-file=./ca.pem"}}) {
    const auto options = parse(args);
    REQUIRE(options);
    CHECK(options->transfer.chunk_size == 32ULL << 20);
    REQUIRE(options->transfer.max_retries);
    CHECK_FALSE(options->transfer.max_retries->count);
    CHECK(options->transfer.timeout == std::chrono::seconds(90));
    CHECK(options->transfer.connections == 16U);
    CHECK(options->transfer.limit_rate == 5'000'000U);
    CHECK(options->transfer.ca_file == "/some/dir/ca.pem");
  }
}

TEST_CASE("what is wrong is named in one line, with the right form") {
  struct Row {
    std::vector<std::string> args;
    const char* named;
  };
  const std::vector<Row> rows{{{"m", "--bogus"}, "--bogus"},
                              {{"m", "--bogus=3"}, "--bogus"},
                              {{"m", "-x"}, "-x"},
                              {{"m", "-"}, "\"-\""},
                              {{"list", "--insecure"}, "--insecure"},
                              {{"list", "m"}, "\"m\""},
                              {{"pull"}, "a model"},
                              {{"m", "--insecure=yes"}, "--insecure"},
                              {{"m", "--chunk-size"}, "--chunk-size"},
                              {{"m", "--models-dir", "--insecure"}, "--models-dir"},
                              {{"m", "--models-dir="}, "--models-dir"},
                              {{"m", "--chunk-size", "0"}, "--chunk-size"},
                              {{"m", "--chunk-size", "-5"}, "--chunk-size"},
                              {{"m", "--chunk-size", "12Q"}, "--chunk-size"},
                              {{"m", "--timeout", "0s"}, "--timeout"},
                              {{"m", "--timeout", "30"}, "--timeout"},
                              {{"m", "--max-retries", "0"}, "--max-retries"},
                              {{"m", "--max-retries", "-1"}, "--max-retries"},
                              {{"m", "--max-retries", "6x"}, "--max-retries"},
                              {{"m", "--max-retries", "99999999999999999999"}, "--max-retries"},
                              {{"m", "--connections", "0"}, "--connections"},
                              {{"m", "--connections", "17"}, "--connections"},
                              {{"m", "--limit-rate", "0"}, "--limit-rate"},
                              {{"m", "--limit-rate", "off"}, "--limit-rate"},
                              {{"m", "--output", "xml"}, "\"xml\""},
                              {{"bad name"}, "bad name"},
                              {{""}, "name"},
                              {{"a/b/c/d"}, "a/b/c/d"},
                              {{"show", "-m"}, "-m"},
                              {{"show", "m:-t"}, "m:-t"},
                              {{"cp", "a"}, "two models"},
                              {{"cp", "a", "b", "c"}, "\"c\""},
                              {{"queue"}, "queue"},
                              {{"queue", "frob"}, "\"frob\""},
                              {{"queue", "rm", "0"}, "\"0\""},
                              {{"queue", "rm", "x"}, "\"x\""},
                              {{"queue", "move", "1"}, "two positions"},
                              {{"limit", "fast"}, "fast"},
                              {{"update"}, "--all"},
                              {{"update", "m", "--all"}, "--all"},
                              {{"completion", "tcsh"}, "\"tcsh\""},
                              {{"key", "destroy"}, "\"destroy\""}};
  for (const Row& row : rows) {
    std::string line;
    for (const std::string& word : row.args) line += word + " ";
    CAPTURE(line);
    const auto options = parse(row.args);
    REQUIRE_FALSE(options);
    CHECK(options.error().code == ErrorCode::kInvalidArgument);
    const std::string text = options.error().message + " " + options.error().hint;
    CAPTURE(text);
    CHECK(text.find(row.named) != std::string::npos);
    CHECK(text.find('\n') == std::string::npos);
  }
}

TEST_CASE("the models dir that is sent is absolute: flag over variable over home") {
  CHECK(parse({"list"})->models_dir == "/home/u/.ollama/models");
  CHECK(parse({"list"})->models_dir_by_default);
  CHECK(parse({"list", "--models-dir", "rel/../there/"})->models_dir == "/some/dir/there");
  CHECK(parse({"list", "--models-dir=/"})->models_dir == "/");
  CHECK(parse({"list"}, {"/some/dir", "/home/u", " \"store\" "})->models_dir == "/some/dir/store");
  CHECK_FALSE(parse({"list"}, {"/some/dir", "/home/u", "/m"})->models_dir_by_default);
  CHECK(parse({"list", "--models-dir", "/flag"}, {"/some/dir", "/home/u", "/m"})->models_dir == "/flag");
  CHECK_FALSE(parse({"list"}, {"/some/dir", "", ""}));
  CHECK(parse({"version"}, {"/some/dir", "", ""}));
}

TEST_CASE("the model of a wrong command line is known where it was to be pulled") {
  CHECK(model_to_pull(std::vector<std::string>{"--bogus", "a//b"}) == "a//b");
  CHECK(model_to_pull(std::vector<std::string>{"pull", "m", "--chunk-size", "0"}) == "m");
  CHECK(model_to_pull(std::vector<std::string>{"list", "m"}).empty());
  CHECK(model_to_pull(std::vector<std::string>{"queue", "frob"}).empty());
  CHECK(model_to_pull(std::vector<std::string>{}).empty());
}

TEST_CASE("whether errors are told in JSON is known even of a wrong command line") {
  CHECK(asks_for_json(std::vector<std::string>{"m", "--bogus", "--output", "json"}));
  CHECK(asks_for_json(std::vector<std::string>{"m", "--output=json"}));
  CHECK_FALSE(asks_for_json(std::vector<std::string>{"m", "--output=json", "--output=table"}));
  CHECK_FALSE(asks_for_json(std::vector<std::string>{"m", "--", "--output=json"}));
}
