#pragma once
// Transfers by the engine: from a job's options as they were sent to an engine::Pull or engine::Push in the right
// store.

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "daemon/engine/pull.h"
#include "daemon/engine/push.h"
#include "daemon/registry/mirror.h"
#include "daemon/stores.h"
#include "daemon/transfers.h"
#include "proto/params.h"

namespace pullama {

// What the configuration says about every transfer.
struct TransferSettings {
  registry::NetworkEnvironment network;
  std::string user_agent;  // empty: our own
  std::vector<registry::Mirror> mirrors;
  bool prune = true;  // remove blobs that only a replaced manifest named
};

class PullTransfers final : public Transfers {
 public:
  PullTransfers(Stores& stores, registry::Http& http, const io::Clock& clock, const registry::Credentials& credentials);

  // For transfers that start from now on. Thread-safe.
  void configure(TransferSettings settings);

  Result<engine::PullSummary> run(const queue::Job& job, engine::ProgressSink& sink, std::stop_token stop) override;
  Result<engine::PullPlan> plan(const queue::Job& job, std::stop_token stop) override;
  void set_rate(std::uint64_t bytes_per_second) override { rate_limit_.set_rate(bytes_per_second); }
  void set_connections(unsigned count) override { connections_ = count; }
  Result<std::uint64_t> free_bytes(const std::string& models_dir) override;

  // For jobs that are no transfers themselves but do parts of what one does.
  const engine::EngineContext& engine() const { return engine_; }
  static engine::StoreContext context(Store& store) { return {*store.fs, *store.ledger, store.space, &store.in_use}; }
  // kInvalidArgument for a ca_file that is there and no regular file: opening a pipe would wait for ever. Blocking.
  static Status check(const proto::PullOptions& options);
  engine::PullRequest request(const ModelName& model, const proto::PullOptions& options) const;

 private:
  Result<engine::PullRequest> request(const queue::Job& job) const;

  Stores& stores_;
  engine::RateLimit rate_limit_;
  std::atomic<unsigned> connections_{0};
  engine::EngineContext engine_;
  mutable std::mutex mutex_;  // guards the next
  TransferSettings settings_;
};

}  // namespace pullama
