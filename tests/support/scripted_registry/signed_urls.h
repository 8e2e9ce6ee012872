#pragma once
// URLs as object stores sign them: they expire, and one changed byte (an escape decoded and encoded again, a parameter
// moved) makes them worthless. Thread-safe.

#include <atomic>
#include <chrono>
#include <string>

namespace pullama::scripted {

class SignedUrls {
 public:
  SignedUrls();
  // `path` with a query that is valid for so long.
  std::string sign(const std::string& path, double seconds) const;
  // Why the store refuses this target: empty, or the S3 error code.
  std::string refuse(const std::string& target) const;
  // Everything signed until now is expired.
  void expire_all();

 private:
  std::string signature_of(const std::string& text) const;
  std::string key_;
  std::atomic<long long> oldest_ms_ = 0;
};

}  // namespace pullama::scripted
