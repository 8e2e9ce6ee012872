#include "daemon/engine/courier_wire.h"

#include <limits>

namespace pullama::engine {
namespace {

using registry::Header;
using registry::HttpFailure;
using registry::Stage;
using std::chrono::milliseconds;

constexpr std::uint64_t kMaxHeaders = 1000;

class Writer {
 public:
  Writer& number(std::uint64_t value) {
    for (int i = 0; i < 8; ++i) out_ += static_cast<char>(value >> (8 * i) & 0xff);
    return *this;
  }
  Writer& text(std::string_view value) {
    number(value.size());
    out_ += value;
    return *this;
  }
  Writer& headers(const std::vector<Header>& list) {
    number(list.size());
    for (const Header& header : list) text(header.name).text(header.value);
    return *this;
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// After the first thing that is wrong, everything is 0 or empty, and is_whole() false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}

  std::uint64_t number(std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) {
    const auto bytes = take(8);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    }
    if (value > most) wrong_ = true;
    return wrong_ ? 0 : value;
  }
  std::string text() { return std::string(take(number())); }
  milliseconds duration() {
    return milliseconds(static_cast<std::int64_t>(number(std::numeric_limits<std::int32_t>::max())));
  }
  std::vector<Header> headers() {
    std::vector<Header> list;
    for (auto count = number(kMaxHeaders); count > 0 && !wrong_; --count) {
      auto name = text();
      list.push_back({std::move(name), text()});
    }
    return list;
  }
  bool is_whole() const { return !wrong_ && left_.empty(); }

 private:
  std::string_view take(std::uint64_t length) {
    wrong_ = wrong_ || length > left_.size();
    if (wrong_) return {};
    const auto taken = left_.substr(0, static_cast<std::size_t>(length));
    left_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view left_;
  bool wrong_ = false;
};

tl::unexpected<Error> malformed(const char* what) {
  return fail(ErrorCode::kCorrupt, std::string("a courier's ") + what + " is malformed");
}

enum Reply : std::uint64_t { kProgress, kAnswer, kFailure };

}  // namespace

std::string encode(const CourierHello& hello) {
  const auto& network = hello.network;
  Writer writer;
  writer.text(hello.models_dir).text(hello.ca_file).text(hello.digest.str()).number(hello.size_bytes);
  writer.text(network.http_proxy).text(network.https_proxy).text(network.no_proxy);
  writer.text(network.cas.file).text(network.cas.folder);
  return writer.take();
}

Result<CourierHello> decode_hello(std::string_view bytes) {
  Reader reader(bytes);
  auto models_dir = reader.text(), ca_file = reader.text();
  const auto digest = Digest::parse(reader.text());
  const auto size_bytes = reader.number();
  registry::NetworkEnvironment network;
  for (auto* text :
       {&network.http_proxy, &network.https_proxy, &network.no_proxy, &network.cas.file, &network.cas.folder}) {
    *text = reader.text();
  }
  if (!reader.is_whole() || !digest) return malformed("first message");
  return CourierHello{std::move(models_dir), std::move(ca_file), *digest, size_bytes, std::move(network)};
}

std::string encode(const CourierOrder& order) {
  const auto& request = order.request;
  const auto& part = order.part;
  const auto ms = [](milliseconds duration) { return static_cast<std::uint64_t>(duration.count()); };
  Writer writer;
  writer.text(request.method).text(request.url).headers(request.headers);
  writer.number(ms(request.connect_timeout)).number(ms(request.head_timeout)).number(ms(request.total_timeout));
  writer.number(request.refuse_private_addresses ? 1 : 0);
  writer.text(part.host).text(part.repository).number(part.offset).number(part.length);
  writer.number(part.front ? 1 : 0);
  if (part.front) {
    writer.number(part.front->length_bytes);
    for (const auto word : part.front->words) writer.number(word);
  }
  return writer.take();
}

Result<CourierOrder> decode_order(std::string_view bytes) {
  Reader reader(bytes);
  CourierOrder order;
  auto& request = order.request;
  auto& part = order.part;
  request.method = reader.text();
  request.url = reader.text();
  request.headers = reader.headers();
  request.connect_timeout = reader.duration();
  request.head_timeout = reader.duration();
  request.total_timeout = reader.duration();
  request.refuse_private_addresses = reader.number(1) == 1;
  part.host = reader.text();
  part.repository = reader.text();
  part.offset = reader.number();
  part.length = reader.number();
  if (reader.number(1) == 1) {
    part.front.emplace();
    part.front->length_bytes = reader.number();
    for (auto& word : part.front->words) {
      word = static_cast<std::uint32_t>(reader.number(std::numeric_limits<std::uint32_t>::max()));
    }
    if (part.front->length_bytes % 64 != 0) return malformed("order");
  }
  if (!reader.is_whole()) return malformed("order");
  return order;
}

std::string encode(const CourierReply& reply) {
  Writer writer;
  if (const auto* progress = std::get_if<CourierProgress>(&reply)) {
    writer.number(kProgress).number(progress->sent_bytes);
  } else if (const auto* answer = std::get_if<CourierAnswer>(&reply)) {
    writer.number(kAnswer).number(static_cast<std::uint64_t>(answer->head.status)).headers(answer->head.headers);
    writer.number(answer->head.peer_is_private ? 1 : 0).text(answer->body);
  } else if (const auto* failure = std::get_if<HttpFailure>(&reply)) {
    writer.number(kFailure).number(static_cast<std::uint64_t>(failure->kind));
    writer.number(static_cast<std::uint64_t>(failure->stage)).text(failure->message);
  }
  return writer.take();
}

Result<CourierReply> decode_reply(std::string_view bytes) {
  Reader reader(bytes);
  CourierReply reply;
  switch (reader.number(kFailure)) {
    case kProgress:
      reply = CourierProgress{reader.number()};
      break;
    case kAnswer: {
      CourierAnswer answer;
      answer.head.status = static_cast<int>(reader.number(999));
      answer.head.headers = reader.headers();
      answer.head.peer_is_private = reader.number(1) == 1;
      answer.body = reader.text();
      reply = std::move(answer);
      break;
    }
    default: {
      HttpFailure failure;
      failure.kind =
          static_cast<HttpFailure::Kind>(reader.number(static_cast<std::uint64_t>(HttpFailure::Kind::kUnsupportedUrl)));
      failure.stage = static_cast<Stage>(reader.number(static_cast<std::uint64_t>(Stage::kBody)));
      failure.message = reader.text();
      reply = std::move(failure);
    }
  }
  if (!reader.is_whole()) return malformed("reply");
  return reply;
}

}  // namespace pullama::engine
