#pragma once
// The messages between the daemon and a courier (courier.h), in bytes: numbers little-endian, texts with their length
// before them. Both ends are one program, so there is no version; bounds are kept all the same. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "common/digest.h"
#include "common/result.h"
#include "daemon/io/sha256.h"
#include "daemon/registry/http.h"
#include "daemon/registry/network_environment.h"

namespace pullama::engine {

// The first message: whose bytes, where they lie, and by which network they go.
struct CourierHello {
  std::string models_dir, ca_file;
  Digest digest;
  std::uint64_t size_bytes = 0;
  registry::NetworkEnvironment network{};  // the daemon's own
};

// What is written into the upload state once the registry has taken the part.
struct CourierPart {
  std::string host, repository;
  std::uint64_t offset = 0, length = 0;
  std::optional<io::Sha256::Midstate> front;  // of what was hashed before the part
};

// A request whose body is the part.
struct CourierOrder {
  registry::HttpRequest request;  // without a body
  CourierPart part;
};

struct CourierProgress {  // also a sign of life
  std::uint64_t sent_bytes = 0;
};
struct CourierAnswer {
  registry::HttpHead head;
  std::string body;  // cut off where it is long
};
using CourierReply = std::variant<CourierProgress, CourierAnswer, registry::HttpFailure>;

std::string encode(const CourierHello& hello);
std::string encode(const CourierOrder& order);
std::string encode(const CourierReply& reply);

// kCorrupt for anything that encode() does not make.
Result<CourierHello> decode_hello(std::string_view bytes);
Result<CourierOrder> decode_order(std::string_view bytes);
Result<CourierReply> decode_reply(std::string_view bytes);

}  // namespace pullama::engine
