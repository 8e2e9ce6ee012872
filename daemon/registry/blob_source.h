#pragma once
// The BlobSource of a registry: see registry.h for the contract, engine.md ("What can go wrong on the wire") and
// registry-protocol.md sections 3.3 to 3.5 for the rules.

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>

#include "common/digest.h"
#include "daemon/registry/registry.h"
#include "daemon/registry/requester.h"

namespace pullama::registry {

class RegistryBlobSource final : public BlobSource {
 public:
  RegistryBlobSource(Requester& requester, std::string repository, const Digest& digest, std::uint64_t size_bytes);

  Outcome<void> fetch(HttpConnection& connection, ByteRange range, BlobSink& sink, std::stop_token stop) override;
  bool ranges_supported() const override;
  std::string host() const override;

 private:
  // Where the bytes lie, once some connection has found out.
  struct Place {
    Url url;
    bool redirected = false;
    bool left_registry = false;
    std::uint64_t number = 0;  // of the turn that found it
  };
  class Resolving;
  class Stream;

  Outcome<std::optional<Place>> place_or_turn(BlobSink& sink, std::uint64_t& turn, const std::stop_token& stop);
  void found(Place place);
  void forget(const Url& url);
  void end_turn();
  Outcome<std::uint64_t> fetch_once(HttpConnection& connection, ByteRange range, BlobSink& sink,
                                    const std::stop_token& stop, bool& finished);
  Fault refused(const Answer& answer, std::uint64_t turn, std::string_view body) const;
  Fault unsatisfiable(const Answer& answer) const;

  Requester& requester_;
  const std::string repository_;
  const Digest digest_;
  const std::uint64_t size_bytes_;
  const Url registry_url_;

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable_any changed_;
  std::optional<Place> place_;
  bool resolving_ = false;
  std::uint64_t turns_ = 0;
};

}  // namespace pullama::registry
