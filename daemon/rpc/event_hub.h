#pragma once
// Where the daemon's facts become events for any number of subscribers, with the four promises of the socket protocol:
// snapshot and events are one story, every state change arrives in order and once, a reader that stops costs 1 MiB, and
// a thousand readers cost a download next to nothing. Each event is serialised once; sessions share the text.
// Control thread only. One a process; its epoch and numbers live as long as it does.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/rpc/dispatcher.h"
#include "daemon/rpc/session_context.h"
#include "proto/events.h"
#include "proto/params.h"
#include "proto/results.h"

namespace boost::asio {
class io_context;
}

namespace pullama::rpc {

class EventHub {
 public:
  // The state now, of these jobs and entries (none: of all); the hub fills in the epoch and leaves out what was not
  // asked for. It must show every state change that was published and none that was not: change the state and publish
  // in one turn of the loop.
  using SnapshotProvider = std::function<proto::Snapshot(const std::vector<std::string>& jobs)>;

  using Now = std::function<std::chrono::steady_clock::time_point()>;

  EventHub(boost::asio::io_context& io, SnapshotProvider snapshot, Now now = std::chrono::steady_clock::now);
  ~EventHub();
  EventHub(const EventHub&) = delete;
  EventHub& operator=(const EventHub&) = delete;

  const std::string& epoch() const;
  std::uint64_t seq() const;  // of the last state change; 0 before the first

  // With a crowd of subscribers, state changes that follow one another closely go out together (gather_interval()).
  // One that a burst has filled up to Outbox::kEventBytes gets the rest from the ring, as it reads.
  // The hub sets `seq`, and `time` where it is zero (a sample's always: when it leaves). A state change goes at once to
  // every subscriber whose filter lets it through, and into the ring; samples of its blob (for a job.* event: of its
  // job) that still wait are forgotten. blob.progress waits for the next pass: the newest of a blob wins, at most one a
  // job a pass, ten passes a second. Trace goes to those who asked for it and is dropped when they are slow; check
  // wants_trace() before making one.
  void publish(proto::Event event);
  bool wants_trace() const;

  // Answers with a SubscribeResult, then lets events flow to the session: none before the answer. A second subscription
  // of a session takes the place of its first. Unknown event types are -32602.
  void subscribe(SessionContext& session, proto::SubscribeParams params, Reply reply);
  void unsubscribe(const SessionContext& session);
  // events.subscribe and events.unsubscribe.
  void add_methods(Dispatcher& dispatcher);

  std::size_t subscribers() const;
  // Sessions whose filter lets this job's events through, `except` not counted.
  std::size_t watchers(const std::string& job, const SessionContext* except = nullptr) const;

  // Time between two passes of samples: 100 ms, more with many subscribers, never over a second.
  static std::chrono::milliseconds pass_interval(std::size_t subscribers);

  // How long a state change may wait after the one before it was sent: 1 ms for 50 subscribers, 12 ms for 600 and
  // more, so that a thousand readers are woken once for what a pull's beginning or end brings. None for a few.
  static std::chrono::milliseconds gather_interval(std::size_t subscribers);

  static constexpr std::size_t kRingEvents = 4096;      // state changes kept for `since`
  static constexpr std::size_t kRingBytes = 16U << 20;  // and no more than this of them
  // Unless a subscriber that reads is still behind: one request can change 100,000 jobs.
  static constexpr std::size_t kBurstBytes = 48U << 20;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace pullama::rpc
