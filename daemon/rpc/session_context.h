#pragma once
// What a handler and the event hub may know of the connection that a request came by. All on the control thread. A
// reference is valid during the call it was given to; who keeps it must forget it in on_close().

#include <cstdint>
#include <functional>
#include <string>

#include "daemon/rpc/outbox.h"
#include "daemon/rpc/peer.h"

namespace pullama::rpc {

class SessionContext {
 public:
  virtual ~SessionContext() = default;

  virtual std::uint64_t id() const = 0;  // never given twice in a process
  virtual const Peer& peer() const = 0;

  // Runs once when the connection is gone, however it went; several may be added.
  virtual void on_close(std::function<void()> action) = 0;

  // For an event of so many bytes; samples make way for it. Some room is kept for replies.
  virtual bool has_room(std::size_t bytes) = 0;
  // Queues a message, which is written in a later turn. One that does not fit ends the session, in a later turn too.
  virtual void send(Line line) = 0;
  virtual void send_sample(const std::string& key, Line line) = 0;
  // `action` runs once, in a later turn, when less than Outbox::kLowWater waits to be written. A peer that takes
  // nothing at all until then is disconnected after a while.
  virtual void when_drained(std::function<void()> action) = 0;
  // A client may close its sending side and go on reading: then the connection ends with the last reply, unless held.
  virtual void hold_open(bool held) = 0;
  // Drops the connection in a later turn; what is unsent is lost.
  virtual void disconnect() = 0;
};

}  // namespace pullama::rpc
