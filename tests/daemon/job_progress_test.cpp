#include "daemon/job_progress.h"

#include <doctest/doctest.h>

#include <limits>
#include <random>

using namespace pullama;
using engine::BlobRef;

namespace {

const BlobRef kFirst{Digest::from_bytes({1}), 1000, 1, 2};
const BlobRef kSecond{Digest::from_bytes({2}), 500, 2, 2};

// Larger than the job: no figure of the job to go by.
constexpr std::uint64_t kNotSaid = 1'000'000;

engine::ManifestFetched fetched() { return {Digest::from_bytes({9}), 2, 1500, {kFirst, kSecond}}; }

engine::BlobProgress sample(const BlobRef& blob, std::uint64_t done, double rate = 10) {
  return {blob, done, 0, kNotSaid, rate, std::chrono::seconds(5), 3};
}

proto::JobSnapshot shown(const JobProgress& progress) {
  proto::JobSnapshot snapshot;
  progress.show(snapshot);
  return snapshot;
}

}  // namespace

TEST_CASE("blobs go from pending to done, sums follow") {
  JobProgress progress;
  progress.apply(fetched());
  CHECK(shown(progress).bytes_total == 1500);
  CHECK(shown(progress).blobs.at(0).state == proto::BlobState::kPending);
  progress.apply(engine::BlobCached{kSecond});
  CHECK(shown(progress).blobs.at(1).state == proto::BlobState::kCached);
  CHECK(shown(progress).bytes_done == 500);
  progress.apply(engine::BlobStarted{kFirst});
  progress.apply(engine::BlobResumed{kFirst, 300, 3, 10});
  const auto body = std::get<proto::event::BlobProgress>(progress.apply(sample(kFirst, 400)));
  CHECK(body.bytes_done == 400);
  CHECK(body.job_bytes_done == 900);
  CHECK(body.job_bytes_total == 1500);
  CHECK(shown(progress).connections == 3);
  CHECK(shown(progress).eta_s == 5);
  progress.apply(engine::BlobVerified{kFirst, std::chrono::milliseconds(5)});
  CHECK(shown(progress).blobs.at(0).state == proto::BlobState::kVerifying);
  progress.apply(engine::BlobFinalized{kFirst});
  CHECK(shown(progress).blobs.at(0).state == proto::BlobState::kDone);
  CHECK(shown(progress).bytes_done == 1500);
  progress.stopped();
  CHECK(shown(progress).rate == 0);
  CHECK_FALSE(shown(progress).eta_s.has_value());
}

TEST_CASE("what is shown never falls: damage, restarts and a new run hold the highest figure") {
  JobProgress progress;
  progress.apply(fetched());
  progress.apply(sample(kFirst, 800));
  CHECK(std::get<proto::event::BlobProgress>(progress.apply(sample(kFirst, 200))).bytes_done == 800);
  progress.apply(engine::BlobRestarted{kFirst, "bad data", 1, 2});
  CHECK(shown(progress).bytes_done == 800);
  progress.stopped();
  progress.apply(engine::ManifestFetching{});
  progress.apply(fetched());
  progress.apply(engine::BlobStarted{kFirst});
  CHECK(shown(progress).bytes_done == 800);
  CHECK(std::get<proto::event::BlobProgress>(progress.apply(sample(kFirst, 801))).bytes_done == 801);
}

TEST_CASE("any order of samples gives figures that rise and stay within the size") {
  const unsigned seed = 20261121;
  CAPTURE(seed);
  std::mt19937 random(seed);
  JobProgress progress;
  progress.apply(fetched());
  std::uint64_t blob_before = 0;
  std::uint64_t job_before = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto body = std::get<proto::event::BlobProgress>(progress.apply(sample(kFirst, random() % 3000)));
    CHECK(body.bytes_done >= blob_before);
    CHECK(body.job_bytes_done >= job_before);
    CHECK(body.bytes_done <= 1000);
    CHECK(body.job_bytes_done <= 1500);
    blob_before = body.bytes_done;
    job_before = body.job_bytes_done;
  }
}

TEST_CASE("the job's figure counts blobs that no sample names, and what was there already") {
  JobProgress progress;
  progress.apply(fetched());
  progress.apply(engine::BlobCached{kSecond});
  progress.apply(engine::BlobStarted{kFirst});
  const engine::BlobProgress report{kFirst, 100, 250, 1000, 1, std::nullopt, 1};
  const auto body = std::get<proto::event::BlobProgress>(progress.apply(report));
  CHECK(body.bytes_done == 100);
  CHECK(body.job_bytes_done == 750);
  CHECK(body.job_bytes_total == 1500);
}

TEST_CASE("a sample that comes late does not take a blob back from its end") {
  JobProgress progress;
  progress.apply(fetched());
  progress.apply(engine::BlobStarted{kFirst});
  progress.apply(sample(kFirst, 10));
  progress.apply(engine::BlobVerified{kFirst, std::chrono::milliseconds(1)});
  progress.apply(sample(kFirst, 1000));
  CHECK(shown(progress).blobs.at(0).state == proto::BlobState::kVerifying);
  progress.apply(engine::BlobFinalized{kFirst});
  progress.apply(sample(kFirst, 1000));
  CHECK(shown(progress).blobs.at(0).state == proto::BlobState::kDone);
}

TEST_CASE("a manifest that moved starts its own figures, known blobs keep theirs") {
  JobProgress progress;
  progress.apply(fetched());
  progress.apply(sample(kFirst, 1000));
  progress.apply(sample(kSecond, 400));
  const BlobRef other{Digest::from_bytes({3}), 4000, 2, 2};
  progress.apply(engine::ManifestFetched{Digest::from_bytes({8}), 2, 5000, {kFirst, other}});
  CHECK(shown(progress).bytes_done == 1000);
  CHECK(shown(progress).bytes_total == 5000);
}

TEST_CASE("rates that are no number are shown as none") {
  JobProgress progress;
  progress.apply(fetched());
  for (const double rate : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), -3.0}) {
    CHECK(std::get<proto::event::BlobProgress>(progress.apply(sample(kFirst, 1, rate))).rate == 0);
  }
}

TEST_CASE("registry text in reports is made printable") {
  JobProgress progress;
  const auto body = std::get<proto::event::Retry>(
      progress.apply(engine::Retry{std::nullopt, "bad \x1b[31m words", 1, 6, std::chrono::milliseconds(5), 503}));
  CHECK(body.reason.find('\x1b') == std::string::npos);
  CHECK(body.http_status == 503);
  CHECK(shown(progress).retries == 1);
}

TEST_CASE("what travelled and what a resume found are told apart, over several runs") {
  JobProgress progress;
  progress.apply(fetched());
  progress.apply(engine::BlobCached{kSecond});
  progress.apply(engine::BlobResumed{kFirst, 300, 3, 10});
  progress.apply(sample(kFirst, 700));
  CHECK(progress.fetched_bytes() == 400);
  CHECK(progress.resumed_bytes() == 300);
  progress.stopped();
  // Paused and resumed: what the first run fetched still counts as fetched.
  progress.apply(fetched());
  progress.apply(engine::BlobCached{kSecond});
  progress.apply(engine::BlobResumed{kFirst, 650, 3, 10});
  progress.apply(engine::BlobVerified{kFirst, std::chrono::milliseconds(5)});
  CHECK(progress.fetched_bytes() == 700);
  CHECK(progress.resumed_bytes() == 300);
}
