// The writing half of a session: the outbox to the socket, without ever waiting for the reader.

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <chrono>
#include <utility>

#include "daemon/rpc/session.h"

namespace pullama::rpc {

namespace {
constexpr std::size_t kPieces = 64;
}  // namespace

bool Session::takes_output() const {
  return state_ != State::kClosed && state_ != State::kLingering && !disconnecting_;
}

bool Session::has_room(std::size_t bytes) { return !takes_output() || outbox_.has_room(bytes); }

void Session::send(Line line) {
  if (!takes_output()) return;
  if (!outbox_.push(std::move(line))) return disconnect();
  schedule_flush();
  if (writing_) guard_against_stall();
}

void Session::send_sample(const std::string& key, Line line) {
  if (!takes_output()) return;
  outbox_.sample(key, std::move(line));
  schedule_flush();
}

void Session::when_drained(std::function<void()> action) {
  if (!takes_output()) return;
  drained_ = std::move(action);
  schedule_flush();
  if (writing_) guard_against_stall();
}

// One write for all that a turn of the loop brought.
void Session::schedule_flush() {
  if (flush_posted_ || writing_) return;
  flush_posted_ = true;
  boost::asio::post(io_, [self = shared_from_this()] {
    self->flush_posted_ = false;
    self->flush();
  });
}

void Session::flush() {
  if (writing_) return;
  for (std::size_t turn_bytes = 0; state_ != State::kClosed && !outbox_.empty();) {
    std::array<iovec, kPieces> pieces{};
    std::size_t count = 0;
    for (const std::string_view piece : outbox_.gather(kPieces)) {
      pieces[count++] = {const_cast<char*>(piece.data()), piece.size()};  // sendmsg only reads
    }
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = count;
    const ssize_t written = ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        wait_writable();
        break;
      }
      return close();
    }
    written_ += static_cast<std::uint64_t>(written);
    turn_bytes += static_cast<std::size_t>(written);
    outbox_.sent(static_cast<std::size_t>(written));
    if (turn_bytes > Outbox::kMaxBytes) {  // others' turn
      schedule_flush();
      break;
    }
  }
  if (state_ == State::kClosed) return;
  run_drained_action();
  resume();
  close_if_done();
}

void Session::wait_writable() {
  writing_ = true;
  guard_against_stall();
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](const boost::system::error_code& error) {
    self->writing_ = false;
    if (error) return self->close();
    self->flush();
  });
}

void Session::run_drained_action() {
  if (!drained_ || outbox_.bytes() > Outbox::kLowWater || outbox_.has_large_line()) return;
  std::exchange(drained_, nullptr)();
}

// What the peer has not read yet, as the kernel counts it. On a slow reader's socket there is room for more only when
// most of it has been read, so that this, not the room, tells whether it reads.
int Session::unread_by_peer() const {
  int unread = 0;
  return ::ioctl(const_cast<Socket&>(socket_).native_handle(), TIOCOUTQ, &unread) == 0 ? unread : 0;
}

bool Session::waits_for_reader() const { return drained_ != nullptr || outbox_.has_large_line(); }

void Session::guard_against_stall() {
  if (guarded_ || state_ == State::kRefusing || !waits_for_reader()) return;
  guarded_ = true;
  timer_.expires_after(outbox_.has_large_line() ? host_.reply_stall : host_.event_stall);
  timer_.async_wait([self = shared_from_this(), written = written_,
                     unread = unread_by_peer()](const boost::system::error_code& error) {
    if (error || self->state_ == State::kClosed) return;
    self->guarded_ = false;
    if (!self->writing_ || !self->waits_for_reader()) return;
    if (self->written_ == written && self->unread_by_peer() >= unread) return self->close();
    self->guard_against_stall();
  });
}

void Session::close_after(std::chrono::milliseconds wait) {
  timer_.expires_after(wait);  // takes the place of the stall's, which has nothing more to say
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error) self->close();
  });
}

}  // namespace pullama::rpc
