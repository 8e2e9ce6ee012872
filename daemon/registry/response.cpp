#include "daemon/registry/response.h"

#include <algorithm>

#include "daemon/registry/ascii.h"
#include "daemon/registry/retry_after.h"

namespace pullama::registry {

bool DripGuard::still_moving() {
  const auto now = clock_.now();
  if (now - begun_ >= kLongest) return false;
  if (now - window_ < kWindow) return true;
  if (bytes_ < kMinBytes) return false;
  window_ = now;
  bytes_ = 0;
  return true;
}

bool ResponseReader::on_head(const HttpHead& head) {
  response_.head = head;
  has_head_ = true;
  guard_.begin();
  return true;
}

bool ResponseReader::on_body(std::span<const std::byte> bytes) {
  const auto room = static_cast<std::size_t>(max_bytes_ - response_.body.size());
  const auto taken = std::min(room, bytes.size());
  response_.body.append(reinterpret_cast<const char*>(bytes.data()), taken);
  response_.too_long = taken < bytes.size();
  guard_.gained(taken);
  return !response_.too_long;
}

bool ResponseReader::on_tick() {
  // Until the head is there, the head timeout rules.
  response_.too_slow = has_head_ && !guard_.still_moving();
  return !response_.too_slow;
}

Outcome<Response> perform_small(HttpConnection& connection, const HttpRequest& request, std::uint64_t max_bytes,
                                const io::Clock& clock, const Tracer& trace, std::stop_token stop) {
  ResponseReader reader(clock, max_bytes);
  const auto begun = clock.now();
  const auto done = connection.perform(request, reader, std::move(stop));
  auto& response = reader.response();
  const auto url = Url::parse(request.url);
  const std::string host = url ? url->authority() : std::string("?");
  if (trace && url) {
    trace({request.method, host, url->path(), std::nullopt, response.head.status, response.body.size(),
           std::chrono::duration_cast<std::chrono::milliseconds>(clock.now() - begun)});
  }
  if (done || response.too_long) return std::move(response);
  if (response.too_slow) {
    return tl::unexpected(make_fault(Fault::Kind::kTransient, ErrorCode::kNetwork,
                                     "body from " + host + ": it comes too slowly to be of use", response.head.status));
  }
  return tl::unexpected(fault_of(done.error(), response.head.status));
}

Fault make_fault(Fault::Kind kind, ErrorCode code, std::string message, int status, std::string hint) {
  Fault fault;
  fault.kind = kind;
  fault.error = {code, std::move(message), std::move(hint), 0};
  fault.http_status = status;
  fault.stage = status == 0 ? Stage::kConnect : Stage::kHeaders;
  return fault;
}

Fault fault_of(const HttpFailure& failure, int status) {
  using From = HttpFailure::Kind;
  auto kind = Fault::Kind::kTransient;
  auto code = ErrorCode::kNetwork;
  switch (failure.kind) {
    case From::kStopped:
      kind = Fault::Kind::kStopped;
      code = ErrorCode::kCancelled;
      break;
    case From::kAborted:
      kind = Fault::Kind::kSink;
      code = ErrorCode::kCancelled;
      break;
    case From::kTotalTimeout:
      kind = Fault::Kind::kTimeLimit;
      break;
    case From::kProtocol:
      kind = Fault::Kind::kProtocol;
      break;
    case From::kCertificate:
    case From::kAddressRefused:
    case From::kProxyRefused:
      kind = Fault::Kind::kPermanent;
      break;
    case From::kUnsupportedUrl:
      kind = Fault::Kind::kPermanent;
      code = ErrorCode::kInvalidArgument;
      break;
    case From::kDns:
    case From::kConnect:
    case From::kTls:
    case From::kTimeout:
    case From::kClosed:
      break;
  }
  auto fault = make_fault(kind, code, failure.message, status);
  fault.stage = failure.stage;
  return fault;
}

Fault fault_of_status(const HttpHead& head, std::string message, std::chrono::system_clock::time_point now) {
  auto kind = Fault::Kind::kPermanent;
  if (head.status == 429 || head.status == 503) {
    kind = Fault::Kind::kThrottled;
  } else if (head.status == 408 || head.status >= 500) {
    kind = Fault::Kind::kTransient;
  }
  auto fault = make_fault(kind, ErrorCode::kNetwork, std::move(message), head.status);
  if (const auto* wait = head.find("Retry-After"); wait != nullptr) fault.retry_after = parse_retry_after(*wait, now);
  return fault;
}

bool is_encoded(const HttpHead& head) {
  const auto* coding = head.find("Content-Encoding");
  return coding != nullptr && !coding->empty() && !equals_ignoring_case(*coding, "identity");
}

bool is_html(const HttpHead& head) {
  const auto* type = head.find("Content-Type");
  return type != nullptr && starts_ignoring_case(*type, "text/html");
}

bool is_multipart(const HttpHead& head) {
  const auto* type = head.find("Content-Type");
  return type != nullptr && starts_ignoring_case(*type, "multipart/");
}

}  // namespace pullama::registry
