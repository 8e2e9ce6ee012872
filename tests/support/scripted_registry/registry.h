#pragma once
// What the two public ports answer: the registry's API with its token service, and the CDN's signed URLs. Thread-safe.

#include <httplib.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "tests/support/scripted_registry/answer.h"
#include "tests/support/scripted_registry/script.h"
#include "tests/support/scripted_registry/signed_urls.h"
#include "tests/support/scripted_registry/tokens.h"

namespace pullama::scripted {

class Registry {
 public:
  explicit Registry(Lifetime& lifetime) : lifetime_(lifetime) {}
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // Ports as they were bound; `scheme` is http or https.
  void set_addresses(std::string registry_scheme, int registry_port, std::string cdn_scheme, int cdn_port);
  // One JSON line a request from here on; throws when the file cannot be made.
  void log_to(const std::string& path);

  // Answers one request of port "registry" or "cdn" on the wire and logs it.
  void serve(const std::string& port, const httplib::Request& request, Wire& wire);

  // The control port's verbs.
  void apply(const nlohmann::json& script);
  void add_faults(const nlohmann::json& faults);
  nlohmann::json state();
  void expire_urls() { urls_.expire_all(); }
  void revoke_tokens();

 private:
  Answer answer_registry(const httplib::Request& request);
  Answer answer_cdn(const httplib::Request& request);
  Answer answer_repository(const httplib::Request& request, const std::string& repository, const std::string& kind,
                           const std::string& reference);
  Answer answer_blob(const httplib::Request& request, const std::string& digest);
  Answer bytes_of(const httplib::Request& request, const std::string& digest, const Blob& blob);
  std::string cdn_url(const std::string& digest) const;
  const Fault* choose_fault(const std::string& port, const httplib::Request& request, Fault& copy);
  void write_log(const nlohmann::json& line);

  Lifetime& lifetime_;
  std::mutex mutex_;  // guards script_ and tokens_
  Script script_;
  Tokens tokens_;
  SignedUrls urls_;
  Throttle total_;
  std::string registry_url_, cdn_scheme_;
  int cdn_port_ = 0;
  std::atomic<int> open_{0};  // requests that are being answered
  std::mutex log_mutex_;      // guards log_
  std::FILE* log_ = nullptr;
};

}  // namespace pullama::scripted
