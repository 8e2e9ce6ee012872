// The courier's side of courier.h.
#include <algorithm>

#include "daemon/engine/courier.h"
#include "daemon/engine/upload_state.h"
#include "daemon/io/atomic_write.h"
#include "daemon/registry/upload.h"
#include "daemon/store/models_dir.h"

namespace pullama::engine {
namespace {

using io::MessageChannel;
using registry::HttpHead;

constexpr std::chrono::milliseconds kLook{1000};
constexpr std::uint64_t kTellEvery = 1 << 20;
constexpr std::size_t kMostBody = 64 << 10;
// A daemon that starts sweeps temporaries away; ours may be among them.
constexpr int kSaves = 3;

class RangeBody final : public registry::HttpBody {
 public:
  RangeBody(io::File& file, const CourierPart& part, MessageChannel& channel)
      : file_(file), part_(part), channel_(channel) {}
  std::uint64_t size_bytes() const override { return part_.length; }
  std::size_t read(std::span<std::byte> into) override {
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), part_.length - sent_));
    if (length == 0) return 0;
    const auto got = file_.read_at(part_.offset + sent_, into.first(length));
    if (!got || *got != length) return kFailed;
    sent_ += length;
    if (sent_ - told_ >= kTellEvery) tell();
    return length;
  }
  bool rewind() override {
    sent_ = told_ = 0;
    return true;
  }
  void tell() { channel_.offer(encode(CourierReply(CourierProgress{told_ = sent_}))); }

 private:
  io::File& file_;
  const CourierPart& part_;
  MessageChannel& channel_;
  std::uint64_t sent_ = 0, told_ = 0;
};

class Answers final : public registry::HttpHandler {
 public:
  Answers(RangeBody& body, MessageChannel& channel) : body_(body), channel_(channel) {}
  bool on_head(const HttpHead& head) override {
    answer.head = head;
    return true;
  }
  bool on_body(std::span<const std::byte> bytes) override {
    const auto room = kMostBody - answer.body.size();
    answer.body.append(reinterpret_cast<const char*>(bytes.data()), std::min(room, bytes.size()));
    return answer.body.size() < kMostBody;
  }
  bool on_tick() override {
    body_.tell();
    const auto now = std::chrono::steady_clock::now();
    if (!channel_.is_other_side_gone()) return true;
    if (!orphaned_) orphaned_ = now;
    return now - *orphaned_ < kOrphanMayTake;
  }

  CourierAnswer answer;

 private:
  RangeBody& body_;
  MessageChannel& channel_;
  std::optional<std::chrono::steady_clock::time_point> orphaned_;
};

// Where the registry has taken the part: what the next run needs to know. Without it that run asks the registry.
void save(const CourierHello& hello, const CourierOrder& order, const HttpHead& head, io::FileSystem& fs) {
  if (head.status < 200 || head.status >= 300) return;
  const auto from = registry::Url::parse(order.request.url);
  if (!from) return;
  const auto next = registry::next_upload_session(*from, head, &*from);
  if (!next) return;
  const auto stated = head.find("Range");
  const auto offset = (stated == nullptr ? std::nullopt : registry::parse_upload_range(*stated))
                          .value_or(order.part.offset + order.part.length);
  if (offset > hello.size_bytes) return;
  UploadState state{order.part.host, order.part.repository, next->text, offset, order.part.front, 0, {}};
  const auto text = format_upload_state(hello.digest, hello.size_bytes, state);
  for (int i = 0; i < kSaves; ++i) {
    if (io::atomic_write(fs, store::upload_path(hello.digest), text, 0600)) return;
  }
}

CourierReply carry(const CourierHello& hello, const CourierOrder& order, io::File& file, io::FileSystem& fs,
                   registry::HttpConnection& connection, MessageChannel& channel) {
  RangeBody body(file, order.part, channel);
  Answers answers(body, channel);
  auto request = order.request;
  request.body = &body;
  auto done = connection.perform(request, answers, {});
  // A long body was cut off by ourselves.
  if (!done && answers.answer.body.size() < kMostBody) return std::move(done.error());
  save(hello, order, answers.answer.head, fs);
  return std::move(answers.answer);
}

}  // namespace

void serve_courier(MessageChannel& channel, const CourierHello& hello, io::FileSystem& fs, registry::Http& http) {
  const auto file = fs.open(store::blob_path(hello.digest), io::OpenMode::kRead);
  if (!file) return;
  const auto stat = (*file)->stat();
  const auto locked = (*file)->try_lock();
  if (!stat || stat->size_bytes != hello.size_bytes || !locked || !*locked) return;
  const auto connection = http.connect({hello.ca_file});
  std::string message;
  while (true) {
    const auto got = channel.receive(message, kLook);
    if (got == MessageChannel::Got::kNothing) continue;
    if (got == MessageChannel::Got::kEnd) return;
    const auto order = decode_order(message);
    if (!order || order->part.offset > hello.size_bytes || order->part.length > hello.size_bytes - order->part.offset) {
      return;
    }
    if (!channel.send(encode(carry(hello, *order, **file, fs, *connection, channel)))) return;
  }
}

}  // namespace pullama::engine
