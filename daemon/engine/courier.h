#pragma once
// A courier carries a blob's parts up in a process of its own ("pullamad --courier"), because of registries that give a
// session's next URL with the answer to a request only (distribution 2.x, so Debian's docker-registry): whoever is
// killed in the middle of a request never reads it, and the session is lost with all that it holds. The courier is not
// killed with the daemon, nor by a stop that cannot wait for it. It ends the request that is under way, within
// kOrphanMayTake, saves the upload state itself, before it answers, and goes. It holds a flock on the blob's file as
// long as it lives, and the next run waits for that.

#include <chrono>
#include <memory>
#include <string>

#include "daemon/engine/courier_wire.h"
#include "daemon/io/companion.h"
#include "daemon/io/file_system.h"
#include "daemon/registry/http.h"

namespace pullama::engine {

inline constexpr std::chrono::seconds kOrphanMayTake{10};

// The daemon's side: requests with a body go by the courier, which is started with the first of them, all others (and,
// where none can be started, these too) by `direct`.
class CourierConnection final : public registry::HttpConnection {
 public:
  CourierConnection(CourierHello hello, registry::HttpConnection& direct) : hello_(std::move(hello)), direct_(direct) {}

  // Before each request with a body: the body is this range of the blob.
  void set_part(CourierPart part) { part_ = std::move(part); }

  tl::expected<void, registry::HttpFailure> perform(const registry::HttpRequest& request,
                                                    registry::HttpHandler& handler, std::stop_token stop) override;
  void close_idle() override;

 private:
  bool start();
  tl::unexpected<registry::HttpFailure> give_up(registry::HttpFailure::Kind kind, const std::string& why);
  tl::expected<CourierAnswer, registry::HttpFailure> carry(const registry::HttpRequest& request,
                                                           registry::HttpHandler& handler, const std::stop_token& stop);
  bool read_until(registry::HttpBody& body, std::uint64_t end);

  const CourierHello hello_;
  registry::HttpConnection& direct_;
  CourierPart part_;
  std::unique_ptr<io::Companion> companion_;
  bool cannot_start_ = false;
  std::uint64_t read_bytes_ = 0;  // of the body under way
};

// The courier's side, until the other one is gone. Takes the lock on the blob's file; without it, does nothing.
void serve_courier(io::MessageChannel& channel, const CourierHello& hello, io::FileSystem& fs, registry::Http& http);

}  // namespace pullama::engine
