#include "proto/results.h"

#include <doctest/doctest.h>

#include "proto/message.h"

using namespace pullama::proto;

TEST_CASE("a newer daemon's members are passed over, wrong types are not") {
  const auto limits = read<Limits>(R"({"rate":1,"connections":2,"parallel_models":3,"new":{"a":1}})");
  REQUIRE(limits);
  CHECK(limits->parallel_models == 3);
  CHECK(read<Limits>(R"({"rate":1,"connections":2})").error().message == "parallel_models is missing");
  CHECK(read<Limits>(R"({"rate":"1","connections":2,"parallel_models":3})").error().message ==
        "rate must be an integer, not a string");
  CHECK(read<Limits>(R"({"rate":1,"connections":4294967296,"parallel_models":3})").error().message ==
        "connections must be an integer from 0 to 4294967295, not 4294967296");
}

TEST_CASE("a start answers with a job or with a plan") {
  StartResult joined;
  joined.job = "j-1";
  joined.joined = true;
  CHECK(write(joined) == R"({"job":"j-1","joined":true})");
  CHECK_FALSE(read<StartResult>("{}"));
  CHECK(read<StartResult>(R"({"job":"j-1"})"));
}

TEST_CASE("what is wrong deep inside a list is named by its place") {
  const auto queue = read<QueueView>(
      R"({"paused":true,"entries":[{"position":1,"id":"a","model":"m","state":"active","error":null},{"position":2,"id":"b","model":"m","state":"busy","error":null}]})");
  REQUIRE_FALSE(queue);
  CHECK(queue.error().message == "entries[1].state has the unknown value 'busy'");
  const auto state = read<JobStateResult>(R"({"job":"j","state":7})");
  REQUIRE_FALSE(state);
  CHECK(state.error().message == "state must be a string, not a number");
}

TEST_CASE("an error travels with its exit code and comes back as its code") {
  QueueEntry entry{1, "j", "m", JobState::kFailed, pullama::Error{pullama::ErrorCode::kDiskFull, "full", "clean", 28},
                   {}};
  const std::string text = write(QueueView{true, {entry}});
  CHECK(text.find(R"("error":{"kind":"disk_full","message":"full","hint":"clean","exit_code":2})") !=
        std::string::npos);
  const auto back = read<QueueView>(text);
  REQUIRE(back);
  CHECK(back->entries[0].error->code == pullama::ErrorCode::kDiskFull);
}

TEST_CASE("rates are written as whole bytes a second") {
  JobSnapshot job;
  job.rate = 8200000.6;
  CHECK(write(job).find(R"("rate":8200001,)") != std::string::npos);
  job.rate = -1;
  CHECK(write(job).find(R"("rate":0,)") != std::string::npos);
}

TEST_CASE("each state is counted in its own place") {
  JobCounts counts;
  for (const char* name :
       {"queued", "active", "waiting_network", "waiting_space", "paused", "completed", "failed", "cancelled"}) {
    const auto state = job_state(name);
    REQUIRE(state);
    CHECK(name_of(*state) == name);
    count_job(counts, *state);
  }
  DaemonInfo info;
  info.jobs = counts;
  CHECK(
      write(info).find(
          R"("jobs":{"queued":1,"active":1,"waiting_network":1,"waiting_space":1,"paused":1,"completed":1,"failed":1,"cancelled":1})") !=
      std::string::npos);
  CHECK_FALSE(job_state("done"));
  CHECK(is_finished(JobState::kCancelled));
  CHECK_FALSE(is_finished(JobState::kPaused));
}
