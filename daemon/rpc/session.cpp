#include "daemon/rpc/session.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <chrono>
#include <utility>

namespace pullama::rpc {

namespace {
constexpr std::size_t kLingerBytes = 16U << 20;
constexpr std::chrono::milliseconds kLinger{1000};
}  // namespace

Session::Session(boost::asio::io_context& io, Socket socket, std::uint64_t id, Peer peer, SessionHost& host)
    : io_(io), socket_(std::move(socket)), id_(id), peer_(std::move(peer)), host_(host), timer_(io) {}

void Session::start() { wait_readable(); }

void Session::finish() {
  if (state_ == State::kOpen) state_ = State::kFinishing;
  close_if_done();
}

void Session::close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  const auto self = shared_from_this();
  boost::system::error_code ignored;  // the descriptor is gone either way
  socket_.close(ignored);
  timer_.cancel();
  outbox_.clear();
  drained_ = nullptr;
  for (const auto& action : std::exchange(close_actions_, {})) action();
  host_.closed(id_);
}

void Session::on_close(std::function<void()> action) { close_actions_.push_back(std::move(action)); }

void Session::hold_open(bool held) {
  held_open_ = held;
  if (!held && input_ended_) resume();
}

void Session::disconnect() {
  if (std::exchange(disconnecting_, true)) return;
  boost::asio::post(io_, [self = shared_from_this()] { self->close(); });
}

// ---- input

void Session::wait_readable() {
  if (reading_ || state_ == State::kClosed) return;
  reading_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const boost::system::error_code& error) {
    self->reading_ = false;
    if (error) return self->close();
    if (self->state_ == State::kLingering) return self->linger();
    if (self->state_ == State::kOpen) self->on_readable();
  });
}

void Session::on_readable() {
  auto& buffer = host_.read_buffer;
  const ssize_t count = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count > 0) {
    decoder_.feed({buffer.data(), static_cast<std::size_t>(count)});
    return process_lines();
  }
  if (count == 0) return on_end_of_input();
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return wait_readable();
  close();
}

void Session::on_end_of_input() {
  input_ended_ = true;
  pollfd state{socket_.native_handle(), 0, 0};
  if (::poll(&state, 1, 0) < 0 || (state.revents & (POLLHUP | POLLERR)) != 0) return close();
  // Only its sending side is closed (`… | nc -N`): it still wants its replies. Its end shows as an error of the socket.
  socket_.async_wait(Socket::wait_error,
                     [self = shared_from_this()](const boost::system::error_code&) { self->close(); });
  process_lines();
}

bool Session::may_take_requests() const {
  return state_ == State::kOpen && outstanding_ < kMaxOutstanding && outbox_.bytes() <= Outbox::kLowWater &&
         !outbox_.has_large_line();
}

void Session::process_lines() {
  if (processing_) return;
  processing_ = true;
  bool starved = false;
  while (!starved && may_take_requests()) {
    const auto line = decoder_.next();
    if (line) {
      handle_line(*line);
    } else {
      starved = true;
    }
  }
  processing_ = false;
  if (state_ != State::kOpen || !starved) return;  // complete() or flush() resume()s
  switch (decoder_.fault()) {
    case proto::LineDecoder::Fault::kTooLong:
      return handle_fault(proto::line_too_long(proto::kMaxRequestLineBytes));
    case proto::LineDecoder::Fault::kNotUtf8:
      return handle_fault(proto::line_not_utf8());
    case proto::LineDecoder::Fault::kNone:
      break;
  }
  if (!input_ended_) return wait_readable();
  if (!held_open_ && outstanding_ == 0) finish();
}

void Session::handle_line(const std::string& line) {
  if (proto::looks_like_http(line)) return close();
  auto message = proto::parse_message(line);
  if (!message) return handle_fault(message.error());
  auto* request = std::get_if<proto::Request>(&*message);
  if (request == nullptr) {
    const auto& response = std::get<proto::Response>(*message);
    return handle_fault({response.id, proto::invalid_request("a client sends requests, not responses"), false});
  }
  ++outstanding_;
  Reply reply([weak = weak_from_this(), id = request->id](Reply::Outcome outcome) {
    if (const auto self = weak.lock()) self->complete(id, std::move(outcome));
  });
  host_.dispatcher.dispatch(request->method, request->params, *this, std::move(reply));
}

void Session::handle_fault(const proto::LineFault& fault) {
  if (!fault.silent) send(std::make_shared<const std::string>(proto::error_line(fault.id, fault.error)));
  if (!fault.close || state_ != State::kOpen) return;
  state_ = State::kRefusing;
  close_after(kLinger);
  schedule_flush();
}

void Session::complete(const std::optional<proto::Id>& id, Reply::Outcome outcome) {
  --outstanding_;
  if (state_ == State::kClosed) return;
  if (id) {
    send(std::make_shared<const std::string>(outcome ? proto::result_line(*id, *outcome)
                                                     : proto::error_line(*id, outcome.error())));
  }
  if (state_ == State::kOpen) return resume();
  schedule_flush();  // which closes when this was the last
}

void Session::resume() {
  if (processing_ || resume_posted_ || reading_ || state_ != State::kOpen) return;
  resume_posted_ = true;
  boost::asio::post(io_, [self = shared_from_this()] {
    self->resume_posted_ = false;
    if (!self->reading_) self->process_lines();
  });
}

// Closing at once with unread input makes the kernel tell the peer of a reset, which may hide our last line from it.
void Session::linger() {
  auto& buffer = host_.read_buffer;
  const ssize_t count = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count == 0 || (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) return close();
  if (count > 0) discarded_ += static_cast<std::size_t>(count);
  if (discarded_ > kLingerBytes) return close();
  wait_readable();
}

void Session::close_if_done() {
  if (!outbox_.empty()) return;
  if (state_ == State::kFinishing && outstanding_ == 0) return close();
  if (state_ != State::kRefusing) return;
  state_ = State::kLingering;
  if (::shutdown(socket_.native_handle(), SHUT_WR) != 0) return close();
  wait_readable();
}

}  // namespace pullama::rpc
