#pragma once
// Bytes in, whole lines out. Memory is bounded by the longest line allowed plus what one feed() brought, and each byte
// is looked at once, however it was cut up on the way. A line that is too long or not UTF-8 ends the stream for good.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pullama::proto {

// What the daemon takes from a peer; what it sends may be longer (a list of 10,000 queue entries is).
inline constexpr std::size_t kMaxRequestLineBytes = 1U << 20;  // without the line's end
inline constexpr std::size_t kMaxReplyLineBytes = 64U << 20;   // a client's own guard

class LineDecoder {
 public:
  enum class Fault { kNone, kTooLong, kNotUtf8 };

  explicit LineDecoder(std::size_t max_line_bytes = kMaxRequestLineBytes) : max_line_bytes_(max_line_bytes) {}

  // Take all lines with next() before feeding again. Ignored after a fault.
  void feed(std::string_view bytes);
  // The next whole line, without its '\n'; empty lines too. nullopt: feed more, or fault() says why not.
  std::optional<std::string> next();
  // Lines before the faulty one are still returned by next() first.
  Fault fault() const { return fault_; }
  // Bytes of an unfinished line that wait for their end.
  std::size_t pending_bytes() const { return buffer_.size() - begin_; }

 private:
  void release();

  std::size_t max_line_bytes_;
  std::string buffer_;
  std::size_t begin_ = 0;    // of the first line not yet returned
  std::size_t scanned_ = 0;  // no '\n' between begin_ and here
  Fault fault_ = Fault::kNone;
};

// The first line of an HTTP request, which a web page may send to us: close, and answer nothing.
bool looks_like_http(std::string_view line);

}  // namespace pullama::proto
