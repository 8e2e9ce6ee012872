#pragma once
// Small answers, whole: manifests, chunksums, tokens, error bodies. Bounded in bytes and in time: a server that drips
// one byte a second is given up.

#include <functional>
#include <string>

#include "daemon/io/clock.h"
#include "daemon/registry/fault.h"
#include "daemon/registry/http.h"
#include "daemon/registry/registry.h"
#include "daemon/registry/url.h"

namespace pullama::registry {

// Ends an answer whose body gains less than kMinBytes in kWindow, or lasts longer than kLongest.
class DripGuard {
 public:
  static constexpr std::chrono::seconds kWindow{30};
  static constexpr std::uint64_t kMinBytes = 1024;
  static constexpr std::chrono::minutes kLongest{10};

  explicit DripGuard(const io::Clock& clock) : clock_(clock), begun_(clock.now()), window_(begun_) {}
  // Called with the head: waiting for that has a limit of its own.
  void begin() { begun_ = window_ = clock_.now(); }
  void gained(std::uint64_t bytes) { bytes_ += bytes; }
  bool still_moving();

 private:
  const io::Clock& clock_;
  io::Clock::SteadyTime begun_, window_;
  std::uint64_t bytes_ = 0;
};

struct Response {
  HttpHead head;
  std::string body;
  bool too_long = false;  // there was more than the limit; the body is what fits
  bool too_slow = false;
};

class ResponseReader final : public HttpHandler {
 public:
  ResponseReader(const io::Clock& clock, std::uint64_t max_bytes) : guard_(clock), max_bytes_(max_bytes) {}
  bool on_head(const HttpHead& head) override;
  bool on_body(std::span<const std::byte> bytes) override;
  bool on_tick() override;
  Response& response() { return response_; }

 private:
  DripGuard guard_;
  const std::uint64_t max_bytes_;
  Response response_;
  bool has_head_ = false;
};

using Tracer = std::function<void(const RequestTrace&)>;

// Performs one request as it is: no redirects, no authentication. Statuses are no faults.
Outcome<Response> perform_small(HttpConnection& connection, const HttpRequest& request, std::uint64_t max_bytes,
                                const io::Clock& clock, const Tracer& trace, std::stop_token stop);

// What a transport failure means to the retry rules. kAborted is for the caller, who knows why.
// `status` is that of the head, where one had arrived.
Fault fault_of(const HttpFailure& failure, int status = 0);

Fault make_fault(Fault::Kind kind, ErrorCode code, std::string message, int status = 0, std::string hint = {});

// For a status that is refused wherever it comes from: 408, 429, 5xx as the fault table says, with Retry-After; all
// others kPermanent. `message` is the whole sentence.
Fault fault_of_status(const HttpHead& head, std::string message, std::chrono::system_clock::time_point now);

// Anything but "identity", or nothing, where we asked for identity.
bool is_encoded(const HttpHead& head);
bool is_html(const HttpHead& head);
bool is_multipart(const HttpHead& head);

constexpr bool is_success(int status) { return status >= 200 && status < 300; }

}  // namespace pullama::registry
