#include "daemon/rpc/event_hub.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <type_traits>
#include <utility>
#include <variant>

#include "daemon/rpc/event_ring.h"
#include "daemon/rpc/sample_table.h"
#include "proto/jsonrpc.h"
#include "proto/methods.h"

namespace pullama::rpc {

namespace {

constexpr std::size_t kReplayBatchBytes = 128U << 10;
constexpr std::size_t kMostGathered = 64;

struct Filter {
  std::vector<std::string> jobs, types;
  bool trace = false;

  static bool has(const std::vector<std::string>& list, std::string_view name) {
    return list.empty() || std::ranges::find(list, name) != list.end();
  }
  bool passes(const std::string& job, std::string_view type) const { return has(jobs, job) && has(types, type); }
};

struct Subscription {
  SessionContext* session = nullptr;
  std::uint64_t generation = 0;  // which of the session's subscriptions it is
  Filter filter;
  std::optional<std::uint64_t> replay_next;  // while it is behind: the next state change to be sent from the ring
};

std::string new_epoch() {
  std::random_device source;
  std::string epoch;
  for (int i = 0; i < 16; ++i) epoch += "0123456789abcdef"[source() % 16];
  return epoch;
}

// The blob that an event is about, if its type has one.
std::optional<Digest> blob_of(const proto::EventBody& body) {
  return std::visit(
      [](const auto& fields) -> std::optional<Digest> {
        if constexpr (requires { fields.blob.digest; }) {
          return fields.blob.digest;
        } else if constexpr (requires { fields.blob->digest; }) {
          if (fields.blob) return fields.blob->digest;
        }
        return {};
      },
      body);
}

Line line_of(const proto::Event& event) {
  return std::make_shared<const std::string>(proto::event_line(proto::write(event)));
}

}  // namespace

struct EventHub::Impl : std::enable_shared_from_this<EventHub::Impl> {
  Impl(boost::asio::io_context& io, SnapshotProvider provider, Now clock)
      : snapshot(std::move(provider)), now(std::move(clock)), timer(io), gather_timer(io) {}

  // ---- what is published

  void publish(proto::Event event) {
    if (event.time == proto::Time{}) event.time = proto::now();
    switch (event.classification()) {
      case proto::EventClass::kState:
        return publish_state(std::move(event));
      case proto::EventClass::kProgress:
        return publish_sample(std::move(event));
      case proto::EventClass::kTrace:
        return publish_trace(std::move(event));
    }
  }

  void publish_state(proto::Event event) {
    event.seq = ++seq;
    const std::string_view type = event.type();
    if (type.starts_with("job.")) {
      samples.forget_job(event.job);
    } else if (const auto blob = blob_of(event.body)) {
      samples.forget_blob(event.job, *blob);
    }
    EventRing::Entry entry{seq, event.job, type, line_of(event)};
    ring.push(entry, oldest_wanted());
    if (subscriptions.empty()) return;
    gathered.push_back(std::move(entry));
    const auto due = delivered_at + gather_interval(subscriptions.size());
    const auto time = now();
    if (time >= due || gathered.size() >= kMostGathered) return deliver();
    if (gather_armed) return;
    gather_armed = true;
    gather_timer.expires_after(due - time);
    gather_timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (!self || error) return;
      self->gather_armed = false;
      self->deliver();
    });
  }

  // What waits to be sent together. Before anything whose place in the story comes after it: samples, a snapshot, a
  // replay.
  void deliver() {
    if (gathered.empty()) return;
    delivered_at = now();
    for (auto& [id, subscription] : subscriptions) {
      if (subscription.replay_next) continue;  // finds it in the ring
      for (const EventRing::Entry& entry : gathered) {
        if (!subscription.filter.passes(entry.job, entry.type)) continue;
        if (subscription.session->has_room(entry.line->size())) {
          subscription.session->send(entry.line);
        } else {
          fall_behind(id, subscription, entry.seq);
          break;
        }
      }
    }
    gathered.clear();
  }

  // From here on it reads from the ring; the session ends it if it does not read.
  void fall_behind(std::uint64_t id, Subscription& subscription, std::uint64_t next) {
    subscription.replay_next = next;
    somebody_is_behind = true;
    subscription.session->when_drained([weak = weak_from_this(), id, generation = subscription.generation] {
      if (const auto self = weak.lock()) self->continue_replay(id, generation);
    });
  }

  std::optional<std::uint64_t> oldest_wanted() {
    std::optional<std::uint64_t> oldest;
    if (!somebody_is_behind) return oldest;
    for (const auto& [id, subscription] : subscriptions) {
      if (subscription.replay_next)
        oldest = std::min(oldest.value_or(*subscription.replay_next), *subscription.replay_next);
    }
    somebody_is_behind = oldest.has_value();
    return oldest;
  }

  void publish_trace(proto::Event event) {
    event.seq.reset();
    Line line;
    for (const auto& [id, subscription] : subscriptions) {
      if (!subscription.filter.trace) continue;
      if (!subscription.filter.passes(event.job, event.type())) continue;
      if (!line) line = line_of(event);
      subscription.session->send_sample("", line);
    }
  }

  void publish_sample(proto::Event event) {
    if (subscriptions.empty()) return;
    samples.put(std::move(event));
    if (timer_armed) return;
    const auto due = last_pass + pass_interval(subscriptions.size());
    if (const auto time = now(); time < due) {
      arm(due - time);
    } else {
      pass();
    }
  }

  // Samples are numbered and dated as they leave, with the state change before them.
  void pass() {
    last_pass = now();
    deliver();
    if (subscriptions.empty()) return samples.clear();
    for (proto::Event& sample : samples.take_pass()) {
      sample.seq = seq;
      sample.time = proto::now();
      Line line;
      const std::string key = sample.job + " " + blob_of(sample.body)->hex();
      for (const auto& [id, subscription] : subscriptions) {
        if (subscription.replay_next || !subscription.filter.passes(sample.job, sample.type())) continue;
        if (!line) line = line_of(sample);
        subscription.session->send_sample(key, line);
      }
    }
    if (!samples.empty()) arm(pass_interval(subscriptions.size()));
  }

  void arm(std::chrono::steady_clock::duration wait) {
    timer_armed = true;
    timer.expires_after(wait);
    timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (!self || error) return;
      self->timer_armed = false;
      self->pass();
    });
  }

  // ---- who subscribes

  void subscribe(SessionContext& session, proto::SubscribeParams params, Reply reply) {
    for (const auto& type : params.types) {
      if (!proto::is_event_type(type)) {
        return reply.error(
            proto::invalid_params({ErrorCode::kInvalidArgument, "there is no event type \"" + type + "\"",
                                   "see PROTOCOL.md for their names", 0}));
      }
    }
    deliver();
    const bool replay = params.since && can_replay(*params.since, params.epoch);
    proto::SubscribeResult result;
    result.gap = params.since && !replay;
    result.seq = replay ? *params.since : seq;
    if (!replay) {
      result.snapshot = snapshot(params.jobs);
      result.snapshot->epoch = epoch;
      const auto unwanted = [&](const auto& item) { return !Filter::has(params.jobs, item.id); };
      std::erase_if(result.snapshot->jobs, unwanted);
      std::erase_if(result.snapshot->queue.entries, unwanted);
    }
    reply.succeed(result);  // queued before any event, in this turn

    Subscription& subscription = subscriptions[session.id()];
    subscription = {&session, ++last_generation, {std::move(params.jobs), std::move(params.types), params.trace}, {}};
    session.hold_open(true);
    watch_for_end(session);
    if (replay && *params.since < seq) {
      subscription.replay_next = *params.since + 1;
      continue_replay(session.id(), subscription.generation);
    }
  }

  bool can_replay(std::uint64_t since, const std::optional<std::string>& of_epoch) const {
    if ((of_epoch && *of_epoch != epoch) || since > seq) return false;
    return since == seq || ring.find(since + 1) != nullptr;
  }

  // A batch at a time, as the reader takes them, so that a long replay fits the outbox of an honest reader.
  void continue_replay(std::uint64_t session_id, std::uint64_t generation) {
    const auto found = subscriptions.find(session_id);
    if (found == subscriptions.end() || found->second.generation != generation) return;
    Subscription& subscription = found->second;
    deliver();  // to the others: this one finds it in the ring
    std::size_t bytes = 0;
    while (*subscription.replay_next <= seq) {
      if (bytes >= kReplayBatchBytes) return fall_behind(session_id, subscription, *subscription.replay_next);
      const EventRing::Entry* entry = ring.find(*subscription.replay_next);
      if (entry == nullptr) return subscription.session->disconnect();  // so slow that the ring overtook it
      if (subscription.filter.passes(entry->job, entry->type)) {
        bytes += entry->line->size();
        subscription.session->send(entry->line);
      }
      ++*subscription.replay_next;
    }
    subscription.replay_next.reset();
  }

  void watch_for_end(SessionContext& session) {
    if (!watched.insert(session.id()).second) return;
    session.on_close([weak = weak_from_this(), id = session.id()] {
      const auto self = weak.lock();
      if (!self) return;
      self->watched.erase(id);
      self->subscriptions.erase(id);
    });
  }

  const SnapshotProvider snapshot;
  const Now now;
  const std::string epoch = new_epoch();
  std::uint64_t seq = 0;
  bool somebody_is_behind = false;  // perhaps
  EventRing ring{kRingEvents, kRingBytes, kBurstBytes};
  SampleTable samples;
  boost::asio::steady_timer timer;
  bool timer_armed = false;
  std::chrono::steady_clock::time_point last_pass{};
  std::vector<EventRing::Entry> gathered;  // state changes that no subscriber was sent yet
  boost::asio::steady_timer gather_timer;
  bool gather_armed = false;
  std::chrono::steady_clock::time_point delivered_at{};
  std::map<std::uint64_t, Subscription> subscriptions;  // by session
  std::set<std::uint64_t> watched;                      // sessions that told us to be called when they end
  std::uint64_t last_generation = 0;
};

EventHub::EventHub(boost::asio::io_context& io, SnapshotProvider snapshot, Now now)
    : impl_(std::make_shared<Impl>(io, std::move(snapshot), std::move(now))) {}
EventHub::~EventHub() = default;

const std::string& EventHub::epoch() const { return impl_->epoch; }
std::uint64_t EventHub::seq() const { return impl_->seq; }
void EventHub::publish(proto::Event event) { impl_->publish(std::move(event)); }

bool EventHub::wants_trace() const {
  return std::ranges::any_of(impl_->subscriptions, [](const auto& entry) { return entry.second.filter.trace; });
}

void EventHub::subscribe(SessionContext& session, proto::SubscribeParams params, Reply reply) {
  impl_->subscribe(session, std::move(params), std::move(reply));
}

void EventHub::unsubscribe(const SessionContext& session) {
  const auto found = impl_->subscriptions.find(session.id());
  if (found == impl_->subscriptions.end()) return;
  impl_->deliver();
  SessionContext* subscriber = found->second.session;
  impl_->subscriptions.erase(found);
  subscriber->hold_open(false);
}

void EventHub::add_methods(Dispatcher& dispatcher) {
  dispatcher.add<proto::SubscribeParams>(proto::method::kEventsSubscribe,
                                         [this](proto::SubscribeParams params, SessionContext& session, Reply reply) {
                                           subscribe(session, std::move(params), std::move(reply));
                                         });
  dispatcher.add<proto::NoParams>(proto::method::kEventsUnsubscribe,
                                  [this](const proto::NoParams&, SessionContext& session, Reply reply) {
                                    unsubscribe(session);
                                    reply.succeed(proto::NoResult{});
                                  });
}

std::size_t EventHub::subscribers() const { return impl_->subscriptions.size(); }

std::size_t EventHub::watchers(const std::string& job, const SessionContext* except) const {
  return static_cast<std::size_t>(std::ranges::count_if(impl_->subscriptions, [&](const auto& entry) {
    return entry.second.session != except && Filter::has(entry.second.filter.jobs, job);
  }));
}

std::chrono::milliseconds EventHub::gather_interval(std::size_t subscribers) {
  return std::chrono::milliseconds(std::min<std::size_t>(subscribers / 50, 12));
}

std::chrono::milliseconds EventHub::pass_interval(std::size_t subscribers) {
  return std::chrono::milliseconds(std::clamp<std::size_t>(subscribers, 100, 1000));
}

}  // namespace pullama::rpc
