#include "client/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "common/printable.h"
#include "proto/jsonrpc.h"

namespace pullama::client {
namespace {
using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

Milliseconds left_until(Clock::time_point end) {
  return std::max(Milliseconds(0), std::chrono::duration_cast<Milliseconds>(end - Clock::now()));
}
}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(const Endpoint& endpoint, Milliseconds limit) {
  auto channel = Channel::open(endpoint, limit);
  if (!channel) return fail(channel.error());
  return std::unique_ptr<Connection>(new Connection(endpoint, std::move(*channel)));
}

Error Connection::lose(std::string message) {
  lost_ = true;
  return Error{ErrorCode::kNetwork, std::move(message), "see pullama daemon status", 0};
}

Error Connection::unreadable(std::string_view method, const Error& why) const {
  return Error{ErrorCode::kInternal,
               fmt::format("the daemon at {} answered {} with something else: {}", endpoint_.path, method, why.message),
               "restart it, it may be of another version: pullama daemon stop", 0};
}

Status Connection::take_line(const std::string& line) {
  if (line.empty()) return {};
  // A list of 10,000 entries need not be parsed twice; whoever asked for it parses it.
  if (auto plain = proto::parse_plain_result(line)) {
    const auto* id = std::get_if<std::int64_t>(&plain->id);
    if (awaited_ && id != nullptr && *id == *awaited_) reply_ = std::move(*plain->result);
    return {};
  }
  auto message = proto::parse_message(line);
  if (!message) {
    return fail(lose(fmt::format("what answers at {} does not speak the daemon's protocol", endpoint_.path)));
  }
  if (auto* response = std::get_if<proto::Response>(&*message)) {
    const auto* id = std::get_if<std::int64_t>(&response->id);
    const bool is_ours = awaited_ && id != nullptr && *id == *awaited_;
    if (!is_ours && response->result) return {};
    if (!is_ours && !std::holds_alternative<std::monostate>(response->id)) return {};
    if (response->result) {
      reply_ = std::move(*response->result);
    } else {
      reply_ = fail(response->result.error().error);
    }
    return {};
  }
  const auto& request = std::get<proto::Request>(*message);
  if (request.method != "event") return {};
  auto event = proto::read<proto::Event>(request.params);
  // A type that a newer daemon knows is passed over.
  if (event) events_.push_back(std::move(*event));
  return {};
}

Status Connection::pump(Milliseconds limit, int wake_fd) {
  if (lost_) return fail(lose(fmt::format("the daemon at {} went away", endpoint_.path)));
  std::string bytes;
  switch (channel_->read(bytes, limit, wake_fd)) {
    case Channel::Got::kNothing:
      return {};
    case Channel::Got::kClosed:
      return fail(lose(fmt::format("the daemon at {} went away", endpoint_.path)));
    case Channel::Got::kBytes:
      break;
  }
  lines_.feed(bytes);
  while (const auto line = lines_.next()) {
    if (auto status = take_line(*line); !status) return status;
  }
  if (lines_.fault() != proto::LineDecoder::Fault::kNone) {
    return fail(lose(fmt::format("what answers at {} does not speak the daemon's protocol", endpoint_.path)));
  }
  return {};
}

Result<std::string> Connection::call_text(std::string_view method, const std::string& params, Milliseconds limit) {
  if (lost_) return fail(lose(fmt::format("the daemon at {} went away", endpoint_.path)));
  const std::int64_t id = next_id_++;
  const auto end = Clock::now() + limit;
  awaited_ = id;
  reply_.reset();
  if (auto status = channel_->write(proto::request_line(proto::Id(id), method, params), limit); !status) {
    // A daemon that takes no more connections says so before it closes this one, perhaps before it was asked.
    while (!reply_ && left_until(end) > Milliseconds(0) && pump(Milliseconds(0), -1)) {
    }
    if (!reply_) return fail(lose(status.error().message));
  }
  while (!reply_) {
    if (left_until(end) == Milliseconds(0)) {
      silent_ = true;
      return fail(lose(fmt::format("the daemon at {} did not answer {} in time", endpoint_.path, method)));
    }
    if (auto status = pump(left_until(end), -1); !status) return fail(status.error());
  }
  awaited_.reset();
  Result<std::string> reply = std::move(*reply_);
  reply_.reset();
  return reply;
}

Result<std::optional<proto::Event>> Connection::next_event(Milliseconds limit, int wake_fd) {
  if (events_.empty()) {
    if (auto status = pump(limit, wake_fd); !status && events_.empty()) return fail(status.error());
  }
  if (events_.empty()) return std::optional<proto::Event>();
  std::optional<proto::Event> event(std::move(events_.front()));
  events_.pop_front();
  return event;
}

}  // namespace pullama::client
