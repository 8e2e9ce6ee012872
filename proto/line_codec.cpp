#include "proto/line_codec.h"

#include "common/utf8.h"

namespace pullama::proto {

void LineDecoder::feed(std::string_view bytes) {
  if (fault_ != Fault::kNone) return;
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
  }
  buffer_ += bytes;
}

std::optional<std::string> LineDecoder::next() {
  if (fault_ != Fault::kNone) return std::nullopt;
  const std::size_t end = buffer_.find('\n', scanned_);
  const std::size_t length = (end == std::string::npos ? buffer_.size() : end) - begin_;
  if (length > max_line_bytes_) {
    fault_ = Fault::kTooLong;
  } else if (end == std::string::npos) {
    scanned_ = buffer_.size();
    return std::nullopt;
  } else {
    std::string line = buffer_.substr(begin_, length);
    begin_ = scanned_ = end + 1;
    if (begin_ == buffer_.size()) release();
    if (is_utf8(line)) return line;
    fault_ = Fault::kNotUtf8;
  }
  release();
  return std::nullopt;
}

// A long line's memory is given back, or a thousand idle connections could keep a gigabyte.
void LineDecoder::release() {
  constexpr std::size_t kWorthKeeping = 16U << 10;
  buffer_.clear();
  if (buffer_.capacity() > kWorthKeeping) buffer_.shrink_to_fit();
  begin_ = scanned_ = 0;
}

bool looks_like_http(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::size_t method = line.find(' '), version = line.rfind(' ');
  if (method == std::string_view::npos || method == 0 || version == method) return false;
  if (!line.substr(version + 1).starts_with("HTTP/")) return false;
  // RFC 9110, 5.6.2: a method is a token. None of these begins a JSON text that ends like this.
  constexpr std::string_view kToken = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  return line.substr(0, method).find_first_not_of(kToken) == std::string_view::npos;
}

}  // namespace pullama::proto
