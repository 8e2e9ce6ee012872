#pragma once
// The newest blob.progress of every blob until the next pass sends it. Pure: time is the hub's affair. Of one job a
// pass takes one sample, the one that has waited longest, so a job stays within its rate however many blobs it has in
// flight.

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/digest.h"
#include "proto/events.h"

namespace pullama::rpc {

class SampleTable {
 public:
  // Precondition: the body is a BlobProgress.
  void put(proto::Event sample);
  void forget_job(const std::string& job) { jobs_.erase(job); }
  void forget_blob(const std::string& job, const Digest& blob);
  void clear() { jobs_.clear(); }
  bool empty() const { return jobs_.empty(); }
  // One a job.
  std::vector<proto::Event> take_pass();

 private:
  std::map<std::string, std::deque<proto::Event>> jobs_;  // oldest first; never an empty one
};

}  // namespace pullama::rpc
