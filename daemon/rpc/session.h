#pragma once
// One connection: lines in, requests to the dispatcher in the order in which they came, replies out when they are
// ready. What a peer can make it hold is bounded: one line, kMaxOutstanding requests, one outbox; beyond that it is not
// read from. Kept alive by the callbacks that wait on its socket; after close() it does nothing more.

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/rpc/dispatcher.h"
#include "daemon/rpc/outbox.h"
#include "daemon/rpc/session_context.h"
#include "proto/jsonrpc.h"
#include "proto/line_codec.h"

namespace pullama::rpc {

// What sessions share; outlives every session that is not closed.
struct SessionHost {
  const Dispatcher& dispatcher;
  std::function<void(std::uint64_t id)> closed;
  // A peer that takes no byte of what waits for it for so long is gone: of a long reply, or of events that it is behind
  // with.
  std::chrono::milliseconds reply_stall{10'000}, event_stall{3'000};
  std::array<char, 64U << 10> read_buffer{};  // nothing stays in it between two reads
};

class Session final : public SessionContext, public std::enable_shared_from_this<Session> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;
  static constexpr std::size_t kMaxOutstanding = 64;

  Session(boost::asio::io_context& io, Socket socket, std::uint64_t id, Peer peer, SessionHost& host);

  void start();
  // Reads nothing more; closes when all replies that are owed have been given and written.
  void finish();
  void close();

  std::uint64_t id() const override { return id_; }
  const Peer& peer() const override { return peer_; }
  void on_close(std::function<void()> action) override;
  bool has_room(std::size_t bytes) override;
  void send(Line line) override;
  void send_sample(const std::string& key, Line line) override;
  void when_drained(std::function<void()> action) override;
  void hold_open(bool held) override;
  void disconnect() override;

 private:
  enum class State {
    kOpen,
    kFinishing,  // see finish(); also after the peer's last byte
    kRefusing,   // the peer broke the protocol: write what is queued, then shut down
    kLingering,  // its bytes are read and thrown away for a moment, so that it can read why
    kClosed,
  };

  void wait_readable();
  void on_readable();
  void on_end_of_input();
  void linger();
  void process_lines();
  bool may_take_requests() const;
  void handle_line(const std::string& line);
  void handle_fault(const proto::LineFault& fault);
  void complete(const std::optional<proto::Id>& id, Reply::Outcome outcome);
  void resume();
  void close_if_done();

  bool takes_output() const;
  void schedule_flush();
  void flush();
  void wait_writable();
  void run_drained_action();
  void guard_against_stall();
  bool waits_for_reader() const;
  int unread_by_peer() const;
  void close_after(std::chrono::milliseconds wait);

  boost::asio::io_context& io_;
  Socket socket_;
  const std::uint64_t id_;
  const Peer peer_;
  SessionHost& host_;
  State state_ = State::kOpen;

  proto::LineDecoder decoder_;
  std::size_t outstanding_ = 0;
  bool input_ended_ = false;  // the peer closed its sending side
  bool held_open_ = false;
  bool disconnecting_ = false;
  bool reading_ = false;     // a wait for input is under way
  bool processing_ = false;  // process_lines() is on the stack
  bool resume_posted_ = false;
  std::size_t discarded_ = 0;  // while lingering

  Outbox outbox_;
  bool flush_posted_ = false;
  bool writing_ = false;  // a wait for room is under way
  std::uint64_t written_ = 0;
  boost::asio::steady_timer timer_;  // of a stalled reader or of lingering, never both
  bool guarded_ = false;

  std::function<void()> drained_;
  std::vector<std::function<void()>> close_actions_;
};

}  // namespace pullama::rpc
