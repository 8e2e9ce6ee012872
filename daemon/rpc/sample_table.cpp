#include "daemon/rpc/sample_table.h"

#include <algorithm>
#include <variant>

namespace pullama::rpc {

namespace {
const Digest& blob_of(const proto::Event& sample) {
  return std::get<proto::event::BlobProgress>(sample.body).blob.digest;
}
}  // namespace

void SampleTable::put(proto::Event sample) {
  auto& waiting = jobs_[sample.job];
  const auto same =
      std::ranges::find_if(waiting, [&](const proto::Event& other) { return blob_of(other) == blob_of(sample); });
  if (same == waiting.end()) {
    waiting.push_back(std::move(sample));
  } else {
    *same = std::move(sample);
  }
}

void SampleTable::forget_blob(const std::string& job, const Digest& blob) {
  const auto found = jobs_.find(job);
  if (found == jobs_.end()) return;
  std::erase_if(found->second, [&](const proto::Event& sample) { return blob_of(sample) == blob; });
  if (found->second.empty()) jobs_.erase(found);
}

std::vector<proto::Event> SampleTable::take_pass() {
  std::vector<proto::Event> pass;
  pass.reserve(jobs_.size());
  for (auto job = jobs_.begin(); job != jobs_.end();) {
    pass.push_back(std::move(job->second.front()));
    job->second.pop_front();
    job = job->second.empty() ? jobs_.erase(job) : std::next(job);
  }
  return pass;
}

}  // namespace pullama::rpc
