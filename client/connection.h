#pragma once
// JSON-RPC with the daemon, one request at a time: call() waits for its reply, events that arrive before it wait for
// next_event(). The daemon is another user's program as far as this class knows: what does not parse ends the
// connection.

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "client/channel.h"
#include "common/endpoint.h"
#include "common/result.h"
#include "proto/events.h"
#include "proto/line_codec.h"
#include "proto/message.h"

namespace pullama::client {

inline constexpr std::chrono::seconds kReplyLimit{30};
// Of daemon.info, the first request: what does not answer that hangs.
inline constexpr std::chrono::seconds kHelloLimit{10};

class Connection {
 public:
  static Result<std::unique_ptr<Connection>> open(const Endpoint& endpoint, std::chrono::milliseconds limit);

  const Endpoint& endpoint() const { return endpoint_; }
  // Nothing more will come: open another.
  bool is_lost() const { return lost_; }
  // Lost because a reply did not come in time: somebody is there, and hangs.
  bool is_silent() const { return silent_; }
  Channel::Peer peer() const { return channel_->peer(); }

  template <class Reply, class Params>
  Result<Reply> call(std::string_view method, const Params& params, std::chrono::milliseconds limit = kReplyLimit) {
    const auto text = call_text(method, proto::write(params), limit);
    if (!text) return fail(text.error());
    auto reply = proto::read<Reply>(*text);
    if (!reply) return fail(unreadable(method, reply.error()));
    return reply;
  }

  // Nothing: the time is over or `wake_fd` became readable. Fails only when the connection is lost.
  Result<std::optional<proto::Event>> next_event(std::chrono::milliseconds limit, int wake_fd);

 private:
  Connection(Endpoint endpoint, std::unique_ptr<Channel> channel)
      : endpoint_(std::move(endpoint)), channel_(std::move(channel)), lines_(proto::kMaxReplyLineBytes) {}
  Result<std::string> call_text(std::string_view method, const std::string& params, std::chrono::milliseconds limit);
  Error unreadable(std::string_view method, const Error& why) const;
  Error lose(std::string message);
  // Reads once and sorts what came: events into events_, the reply to `reply_to` into reply_.
  Status pump(std::chrono::milliseconds limit, int wake_fd);
  Status take_line(const std::string& line);

  Endpoint endpoint_;
  std::unique_ptr<Channel> channel_;
  proto::LineDecoder lines_;
  std::deque<proto::Event> events_;
  std::int64_t next_id_ = 1;
  std::optional<std::int64_t> awaited_;
  std::optional<Result<std::string>> reply_;
  bool lost_ = false;
  bool silent_ = false;
};

}  // namespace pullama::client
