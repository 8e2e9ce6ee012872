#pragma once
// What can go wrong between us and a registry, as the engine's retry rules need to know it (the fault table of
// engine.md).

#include <chrono>
#include <optional>
#include <tl/expected.hpp>

#include "common/result.h"
#include "daemon/registry/http.h"

namespace pullama::registry {

struct Fault {
  enum class Kind {
    kTransient,     // reset, timeout, DNS, TLS broken off, short body, 5xx, 408: back off and try again
    kThrottled,     // 429, 503: as kTransient, and use fewer connections
    kTokenRefused,  // 401 from the registry: a new token is needed (fetched by the next call)
    kUrlRefused,    // 401, 403, 404, 410, or 400 with S3's XML, from a redirected URL: it was forgotten, resolve again
    kTimeLimit,     // --timeout: go on from the last byte
    kProtocol,      // wrong Content-Range or total, 416, HTML, …: named, retried as transient
    kSessionLost,   // the registry does not know the upload session (any more): open another
    kNoRanges,      // a 200 where 206 was asked and the sink did not want the whole body
    kPermanent,     // not found, denied, bad certificate, refused redirect, 412, a lie about sizes: `error` says it, no
                    // retry
    kStopped,       // the stop token
    kSink,          // the sink returned false: the caller knows why
  };
  Kind kind = Kind::kTransient;
  Error error;                                      // what a person reads in the end; its code decides the exit code
  int http_status = 0;                              // 0 where no response arrived
  std::optional<std::chrono::seconds> retry_after;  // clamped to [0, 300 s]
  // Which URL or token was refused: several connections that meet the same one count once. 0: not known.
  std::uint64_t refused = 0;
  Stage stage = Stage::kConnect;
};

template <class T>
using Outcome = tl::expected<T, Fault>;

}  // namespace pullama::registry
