// The methods queue.*.
#include <fmt/core.h>

#include "daemon/queue/queue_file.h"
#include "daemon/service.h"
#include "proto/message.h"
#include "proto/methods.h"

namespace pullama {

namespace method = proto::method;

void Service::add_queue_methods(rpc::Dispatcher& dispatcher) {
  dispatcher.add<proto::QueueAddParams>(
      method::kQueueAdd, [this](auto params, Session&, Reply reply) { queue_add(params, std::move(reply)); });
  dispatcher.add<proto::NoParams>(method::kQueueList,
                                  [this](auto, Session&, Reply reply) { reply.succeed(jobs_.view()); });
  dispatcher.add<proto::QueueEntryParams>(method::kQueueRemove, [this](auto params, Session&, Reply reply) {
    const auto id = entry_id(params.position, params.id);
    if (!id) return reply.error(id.error());
    jobs_.remove(*id, answer_queue(std::move(reply)));
  });
  dispatcher.add<proto::QueueMoveParams>(method::kQueueMove, [this](auto params, Session&, Reply reply) {
    const auto id = entry_id(params.position, params.id);
    if (!id) return reply.error(id.error());
    jobs_.move(*id, static_cast<std::size_t>(params.to), answer_queue(std::move(reply)));
  });
  dispatcher.add<proto::QueueRetryParams>(method::kQueueRetry, [this](auto params, Session&, Reply reply) {
    if (!params.position && !params.id) return jobs_.retry({}, answer_queue(std::move(reply)));
    const auto id = entry_id(params.position, params.id);
    if (!id) return reply.error(id.error());
    jobs_.retry(*id, answer_queue(std::move(reply)));
  });
  dispatcher.add<proto::NoParams>(method::kQueueClear,
                                  [this](auto, Session&, Reply reply) { jobs_.clear(answer_queue(std::move(reply))); });
  dispatcher.add<proto::NoParams>(method::kQueueStart, [this](auto, Session& session, Reply reply) {
    if (queue_starters_.insert(session.id()).second) {
      session.on_close([this, id = session.id()] { queue_starters_.erase(id); });
    }
    jobs_.start_queue(answer_queue(std::move(reply)));
  });
  dispatcher.add<proto::QueueStopParams>(method::kQueueStop, [this](auto params, Session& session, Reply reply) {
    // Who was interrupted does not take the queue from others that are attached to it.
    queue_starters_.erase(session.id());
    if (params.unless_attached && !queue_starters_.empty()) return reply.succeed(jobs_.view());
    jobs_.stop_queue(params.after_current, answer_queue(std::move(reply)));
  });
}

Result<std::string> Service::entry_id(const std::optional<std::uint64_t>& position,
                                      const std::optional<std::string>& id) const {
  if (id) return *id;
  const auto job = position ? jobs_.queue().at(static_cast<std::size_t>(*position)) : nullptr;
  if (job) return job->id;
  return fail(ErrorCode::kNotFound,
              fmt::format("there is no position {} in the queue, it has {} entries", position.value_or(0),
                          jobs_.queue().entries().size()),
              "`pullama queue list` shows the positions");
}

Jobs::Answer<void> Service::answer_queue(Reply reply) {
  return [this, answer = shared(std::move(reply))](const Status& done) {
    if (!done) return answer->error(done.error());
    answer->succeed(jobs_.view());
  };
}

void Service::queue_add(const proto::QueueAddParams& params, Reply reply) {
  // Each entry keeps the options: what multiplies them must leave room for others in the queue's file.
  const std::size_t each = proto::write(params.options).size() + params.models_dir.value_or("").size();
  if (params.models.size() * each > queue::kMaxQueueFileBytes / 4) {
    return reply.error(Error{
        ErrorCode::kInvalidArgument,
        fmt::format("{} models with {} bytes of options each are too much for one request", params.models.size(), each),
        "add fewer at a time", 0});
  }
  std::vector<queue::NewJob> jobs;  // never empty: the params say at least one
  for (const std::string& model : params.models) {
    auto job = new_job(model, params.options, params.models_dir);
    if (!job) return reply.error(job.error());
    jobs.push_back(std::move(*job));
  }
  const auto answer = shared(std::move(reply));
  when_writable(jobs.front().models_dir, answer,
                [this, answer, jobs, front = params.front](const std::string& dir) mutable {
                  for (queue::NewJob& job : jobs) job.models_dir = dir;
                  jobs_.add(jobs, front, [this, answer](const Result<queue::Queue::AddResult>& result) {
                    if (!result) return answer->error(result.error());
                    proto::QueueAddResult wired;
                    // Added together, they stand together.
                    std::size_t position = result->added.empty() ? 0 : jobs_.queue().position_of(result->added[0]->id);
                    for (const auto& job : result->added)
                      wired.added.push_back({position++, job->id, job->model.display()});
                    for (const auto& skip : result->skipped) wired.skipped.push_back({skip.model.display(), skip.why});
                    answer->succeed(wired);
                  });
                });
}

}  // namespace pullama
