#include "proto/params.h"

#include <doctest/doctest.h>

#include "proto/message.h"

using namespace pullama::proto;
using namespace std::chrono_literals;

namespace {

template <class T>
std::string refusal(const std::string& json) {
  const auto params = read<T>(json);
  if (params) return "taken";
  CHECK(params.error().code == pullama::ErrorCode::kInvalidArgument);
  return params.error().message;
}

std::string option_refusal(const std::string& options) {
  return refusal<StartParams>(R"({"model":"m","options":{)" + options + "}}");
}

}  // namespace

TEST_CASE("what is left out of a pull's options stays open") {
  const auto params = read<StartParams>(R"({"model":"m"})");
  REQUIRE(params);
  CHECK(params->options == PullOptions{});
  CHECK_FALSE(params->models_dir);
  CHECK(write(*params) == R"({"model":"m"})");
}

TEST_CASE("every option of a pull is read") {
  const auto options = read<PullOptions>(
      R"({"insecure":true,"max_retries":"unlimited","chunk_size":1,"timeout_s":0.5,"connections":16,"limit_rate":9007199254740991,"ca_file":"/ca","force":true,"dry_run":true,"detached":true})");
  REQUIRE(options);
  CHECK(options->insecure);
  CHECK(options->max_retries == RetryLimit{});
  CHECK(options->chunk_size == 1);
  CHECK(options->timeout == 500ms);
  CHECK(options->connections == 16);
  CHECK(options->limit_rate == kMaxInteger);
  CHECK(options->ca_file == "/ca");
  CHECK((options->force && options->dry_run && options->detached));
  CHECK(read<PullOptions>(R"({"max_retries":1000000})")->max_retries == RetryLimit{1'000'000});
}

TEST_CASE("a wrong option is named with what it should be") {
  struct Row {
    const char *options, *message;
  };
  for (const Row& row : {
           Row{R"("connections":0)", "options.connections must be an integer from 1 to 16, not 0"},
           {R"("connections":17)", "options.connections must be an integer from 1 to 16, not 17"},
           {R"("connections":-1)", "options.connections must be an integer from 1 to 16, not -1"},
           {R"("connections":4.5)", "options.connections must be an integer from 1 to 16, not 4.5"},
           {R"("connections":"4")", "options.connections must be an integer, not a string"},
           {R"("connections":null)", "options.connections must be an integer, not null"},
           {R"("connections":18446744073709551620)", "options.connections must be an integer from 1 to 16"},
           {R"("chunk_size":0)", "options.chunk_size must be an integer from 1 to 9007199254740991, not 0"},
           {R"("chunk_size":9007199254740992)", "options.chunk_size must be"},
           {R"("chunk_size":"64MiB")", "options.chunk_size must be an integer, not a string"},
           {R"("limit_rate":0)", "options.limit_rate must be"},
           {R"("timeout_s":0)", "options.timeout_s must be a number of seconds from 0.001 to 31622400, not 0"},
           {R"("timeout_s":-5)", "options.timeout_s must be"},
           {R"("timeout_s":1e300)", "options.timeout_s must be"},
           {R"("timeout_s":"30m")", "options.timeout_s must be a number of seconds, not a string"},
           {R"("max_retries":0)", "options.max_retries must be an integer from 1 to 1000000, not 0"},
           {R"("max_retries":-1)", "options.max_retries must be"},
           {R"("max_retries":"forever")", "options.max_retries must be an integer from 1 to 1000000 or \"unlimited\""},
           {R"("insecure":1)", "options.insecure must be true or false, not a number"},
           {R"("force":"yes")", "options.force must be true or false, not a string"},
           {R"("ca_file":"ca.pem")", "options.ca_file must be an absolute path"},
           {R"("ca_file":"/ca\u0000")", "options.ca_file must not hold a NUL character"},
           {R"("retries":6)", "'options.retries' is not known here; known are insecure, max_retries"},
           {R"("\u001b[31m":6)", "'options.\\x1b[31m' is not known here"},
       }) {
    CAPTURE(row.options);
    CHECK(option_refusal(row.options).starts_with(row.message));
  }
}

TEST_CASE("wrong params are named") {
  CHECK(refusal<StartParams>("{}") == "model is missing");
  CHECK(refusal<StartParams>(R"({"model":7})") == "model must be a string, not a number");
  CHECK(refusal<StartParams>(R"({"model":null})") == "model must be a string, not null");
  CHECK(refusal<StartParams>(R"({"model":"m","models_dir":"here"})") == "models_dir must be an absolute path");
  CHECK(refusal<StartParams>(R"({"model":"m","options":[]})") == "options must be an object, not a list");
  CHECK(refusal<StartParams>(R"({"model":"m","Model":"m"})") ==
        "'Model' is not known here; known are model, options, models_dir");
  CHECK(refusal<NoParams>(R"({"x":1})") == "'x' is not known here: no members are taken");
  CHECK(refusal<QueueAddParams>(R"({"models":[]})") == "models must name at least one model");
  CHECK(refusal<QueueAddParams>(R"({"models":["m"],"options":{"dry_run":true}})") ==
        "options.dry_run is for pull.start and push.start");
  CHECK(refusal<MaintenanceParams>(R"({"models":["m"],"options":{"dry_run":true}})") ==
        "options.dry_run is for pull.start and push.start");
  CHECK(refusal<QueueAddParams>(R"({"models":["a",7]})") == "models[1] must be a string, not a number");
  CHECK(refusal<QueueAddParams>(R"({"models":"a"})") == "models must be a list, not a string");
  CHECK(refusal<QueueEntryParams>("{}") == "either 'position' or 'id' must be given");
  CHECK(refusal<QueueEntryParams>(R"({"position":1,"id":"j"})") == "either 'position' or 'id' must be given");
  CHECK(refusal<QueueEntryParams>(R"({"position":0})") ==
        "position must be an integer from 1 to 9007199254740991, not 0");
  CHECK(refusal<QueueMoveParams>(R"({"position":1})") == "to is missing");
  CHECK(refusal<QueueRetryParams>(R"({"position":1,"id":"j"})") == "only one of 'position' and 'id' may be given");
  CHECK(refusal<SubscribeParams>(R"({"types":["job.done"]})") == "types: there is no event type 'job.done'");
  CHECK(refusal<SubscribeParams>(R"({"since":-1})") == "since must be an integer from 0 to 9007199254740991, not -1");
  CHECK(refusal<StoreRemoveParams>("{}") == "models must name at least one model");
  CHECK(refusal<LimitsSetParams>(R"({"parallel_models":0})") ==
        "parallel_models must be an integer from 1 to 16, not 0");
  CHECK(refusal<LimitsSetParams>(R"({"rate":-1})") == "rate must be an integer from 0 to 9007199254740991, not -1");
  CHECK(refusal<HistoryListParams>(R"({"limit":0})") == "limit must be an integer from 1 to 10000, not 0");
  CHECK(refusal<NoParams>("[]") == "the text is no JSON object");
  CHECK(refusal<NoParams>("{") == "the text is no JSON");
}

TEST_CASE("paths and filters have a length") {
  const std::string longest = "/" + std::string(kMaxPathBytes - 1, 'x');
  CHECK(read<StoreListParams>(R"({"models_dir":")" + longest + "\"}"));
  CHECK(refusal<StoreListParams>(R"({"models_dir":")" + longest + "x\"}") ==
        "models_dir must be at most 4096 bytes long");
  CHECK(option_refusal(R"("ca_file":")" + longest + "x\"") == "options.ca_file must be at most 4096 bytes long");
  const auto filter = [](const char* member, std::size_t count, const std::string& item) {
    std::string list;
    for (std::size_t i = 0; i < count; ++i) list += (i == 0 ? "\"" : ",\"") + item + "\"";
    return "{\"" + std::string(member) + "\":[" + list + "]}";
  };
  CHECK(read<SubscribeParams>(filter("jobs", 1024, "j1")));
  CHECK(refusal<SubscribeParams>(filter("jobs", 1025, "j1")) == "jobs may name at most 1024 jobs");
  CHECK(refusal<SubscribeParams>(filter("jobs", 1, std::string(65, 'j'))) ==
        "jobs: no job's id is longer than 64 bytes");
  CHECK(refusal<SubscribeParams>(filter("types", 65, "retry")) == "types may name at most 64 types");
}

TEST_CASE("a NUL byte ends no text") { CHECK_FALSE(read<NoParams>(std::string_view("{}\0", 3))); }

TEST_CASE("defaults that are not false are the document's") {
  CHECK(read<ShutdownParams>("{}")->graceful);
  CHECK(read<QueueStopParams>("{}")->after_current);
  CHECK(read<LimitsSetParams>(R"({"rate":0})")->rate == 0);
  CHECK(read<QueueRetryParams>("{}"));
}

TEST_CASE("one model may be named by model where models are taken") {
  CHECK(read<StoreRemoveParams>(R"({"model":"m"})")->models == std::vector<std::string>{"m"});
  CHECK(write(*read<StoreRemoveParams>(R"({"model":"m","models":["a"]})")) == R"({"models":["a","m"]})");
}
