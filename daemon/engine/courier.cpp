#include "daemon/engine/courier.h"

#include <algorithm>
#include <vector>

namespace pullama::engine {
namespace {

using registry::HttpBody;
using registry::HttpFailure;
using registry::HttpHandler;
using registry::HttpRequest;
using Kind = HttpFailure::Kind;
using std::chrono::milliseconds;

constexpr milliseconds kPoll{50};
// A courier gives a sign of life ten times a second.
constexpr std::chrono::seconds kSilence{30};
constexpr std::size_t kPieceBytes = 256 << 10;

}  // namespace

void CourierConnection::close_idle() {
  companion_.reset();
  direct_.close_idle();
}

bool CourierConnection::start() {
  if (companion_) return true;
  if (cannot_start_) return false;
  auto started = io::Companion::start({"pullama-courier", "--courier"});
  if (started && (*started)->channel().send(encode(hello_))) companion_ = std::move(*started);
  cannot_start_ = companion_ == nullptr;
  return companion_ != nullptr;
}

tl::unexpected<HttpFailure> CourierConnection::give_up(Kind kind, const std::string& why) {
  companion_.reset();
  return tl::unexpected(
      HttpFailure{kind, registry::Stage::kHeaders, "the courier of blob " + hello_.digest.str() + " " + why});
}

// Hashes, counts and pays for what the courier has sent; false where the file, or the limit, says no.
bool CourierConnection::read_until(HttpBody& body, std::uint64_t end) {
  std::vector<std::byte> piece(kPieceBytes);
  while (read_bytes_ < end) {
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), end - read_bytes_));
    const auto got = body.read(std::span(piece).first(length));
    if (got == 0 || got == HttpBody::kFailed) return false;
    read_bytes_ += got;
  }
  return true;
}

tl::expected<void, HttpFailure> CourierConnection::perform(const HttpRequest& request, HttpHandler& handler,
                                                           std::stop_token stop) {
  if (request.body == nullptr || request.body->size_bytes() != part_.length || !start()) {
    return direct_.perform(request, handler, std::move(stop));
  }
  auto answer = carry(request, handler, stop);
  if (!answer) return tl::unexpected(std::move(answer.error()));
  const bool taken = answer->head.status >= 200 && answer->head.status < 300;
  if (taken && !read_until(*request.body, part_.length)) return give_up(Kind::kAborted, "was ended");
  const bool wanted = handler.on_head(answer->head) &&
                      (answer->body.empty() || handler.on_body(std::as_bytes(std::span(answer->body))));
  if (!wanted) return tl::unexpected(HttpFailure{Kind::kAborted, registry::Stage::kBody, "ended by the receiver"});
  return {};
}

tl::expected<CourierAnswer, HttpFailure> CourierConnection::carry(const HttpRequest& request, HttpHandler& handler,
                                                                  const std::stop_token& stop) {
  read_bytes_ = 0;
  if (!companion_->channel().send(encode(CourierOrder{request, part_}))) return give_up(Kind::kClosed, "has ended");
  auto heard = std::chrono::steady_clock::now();
  std::string message;
  while (true) {
    if (stop.stop_requested()) {
      // It ends what it has begun, as it does when we are killed: the session would be lost.
      io::Companion::leave(std::move(companion_));
      return give_up(Kind::kStopped, "was stopped");
    }
    if (!handler.on_tick()) return give_up(Kind::kAborted, "was ended");
    const auto got = companion_->channel().receive(message, kPoll);
    const auto now = std::chrono::steady_clock::now();
    if (got == io::MessageChannel::Got::kEnd) return give_up(Kind::kClosed, "has ended");
    if (got == io::MessageChannel::Got::kNothing) {
      if (now - heard > kSilence) return give_up(Kind::kClosed, "gives no sign of life");
      continue;
    }
    heard = now;
    auto reply = decode_reply(message);
    if (!reply) return give_up(Kind::kClosed, "speaks in riddles");
    if (auto* failure = std::get_if<HttpFailure>(&*reply)) return tl::unexpected(std::move(*failure));
    if (auto* answer = std::get_if<CourierAnswer>(&*reply)) return std::move(*answer);
    const auto sent = std::get<CourierProgress>(*reply).sent_bytes;
    if (!read_until(*request.body, std::min(sent, part_.length))) return give_up(Kind::kAborted, "was ended");
  }
}

}  // namespace pullama::engine
