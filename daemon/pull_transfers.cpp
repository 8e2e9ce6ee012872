#include "daemon/pull_transfers.h"

#include <filesystem>

#include "common/printable.h"
#include "daemon/store/no_ledger.h"
#include "proto/message.h"
#include "proto/params.h"

namespace pullama {
namespace {

// For a dry run nobody watches.
class NoSink final : public engine::ProgressSink {
  void report(const engine::Report&) override {}
};

}  // namespace

PullTransfers::PullTransfers(Stores& stores, registry::Http& http, const io::Clock& clock,
                             const registry::Credentials& credentials)
    : stores_(stores), rate_limit_(clock), engine_{http, clock, credentials, rate_limit_} {
  engine_.connections = &connections_;
  engine_.courier_network = [this] {
    const std::lock_guard lock(mutex_);
    return settings_.network;
  };
}

void PullTransfers::configure(TransferSettings settings) {
  const std::lock_guard lock(mutex_);
  settings_ = std::move(settings);
}

Status PullTransfers::check(const proto::PullOptions& options) {
  if (!options.ca_file) return {};
  std::error_code unknown;  // then the transfer says why
  const auto type = std::filesystem::status(*options.ca_file, unknown).type();
  if (unknown || type == std::filesystem::file_type::regular || type == std::filesystem::file_type::not_found)
    return {};
  return fail(ErrorCode::kInvalidArgument, "the ca_file " + printable(*options.ca_file) + " is no regular file",
              "name a file with certificates (PEM)");
}

engine::PullRequest PullTransfers::request(const ModelName& model, const proto::PullOptions& options) const {
  engine::PullRequest request{.model = model, .ca_file = {}, .user_agent = {}, .mirrors = {}, .manifest_before = {}};
  {
    const std::lock_guard lock(mutex_);
    request.user_agent = settings_.user_agent;
    request.mirrors = registry::mirrors_of(settings_.mirrors, model.host());
    request.prune = settings_.prune;
  }
  request.insecure = options.insecure;
  if (options.max_retries) request.max_retries = options.max_retries->count;
  if (options.chunk_size) request.chunk_bytes = *options.chunk_size;
  if (options.timeout) request.request_timeout = *options.timeout;
  request.connections = options.connections.value_or(0);
  request.rate_bytes_per_second = options.limit_rate.value_or(0);
  request.ca_file = options.ca_file.value_or("");
  request.force = options.force;
  return request;
}

Result<engine::PullRequest> PullTransfers::request(const queue::Job& job) const {
  const auto options = proto::read<proto::PullOptions>(job.options);
  if (!options) return fail(options.error());
  if (auto usable = check(*options); !usable) return fail(usable.error());
  engine::PullRequest wanted = request(job.model, *options);
  if (job.kind == queue::JobKind::kPush) wanted.mirrors.clear();  // it is for the registry itself
  if (auto digest = Digest::parse(job.manifest)) wanted.manifest_before = *digest;
  return wanted;
}

Result<engine::PullSummary> PullTransfers::run(const queue::Job& job, engine::ProgressSink& sink,
                                               std::stop_token stop) {
  auto wanted = request(job);
  if (!wanted) return fail(wanted.error());
  const auto store = stores_.writable(job.models_dir);
  if (!store) return fail(store.error());
  if (job.kind == queue::JobKind::kPush) {
    return engine::Push(engine_, context(**store), std::move(*wanted), sink).run(stop);
  }
  return engine::Pull(engine_, context(**store), std::move(*wanted), sink).run(stop);
}

Result<engine::PullPlan> PullTransfers::plan(const queue::Job& job, std::stop_token stop) {
  auto wanted = request(job);
  if (!wanted) return fail(wanted.error());
  const auto fs = stores_.looking(job.models_dir);
  if (!fs) return fail(fs.error());
  NoSink sink;
  store::NoLedger no_ledger;
  engine::SpaceReservations no_space;
  const engine::StoreContext store{**fs, no_ledger, no_space};
  if (job.kind == queue::JobKind::kPush) return engine::Push(engine_, store, std::move(*wanted), sink).plan(stop);
  return engine::Pull(engine_, store, std::move(*wanted), sink).plan(stop);
}

Result<std::uint64_t> PullTransfers::free_bytes(const std::string& models_dir) {
  const auto store = stores_.writable(models_dir);
  if (!store) return fail(store.error());
  return (*store)->fs->free_bytes(".");
}

}  // namespace pullama
