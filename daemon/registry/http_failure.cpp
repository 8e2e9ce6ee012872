#include "daemon/registry/http_failure.h"

#include "common/printable.h"
#include "common/proxy_settings.h"
#include "daemon/registry/certificate_words.h"

namespace pullama::registry {
namespace {

std::string shown_proxy(const Way& way) { return "the proxy " + printable(without_user_info(way.proxy), 300); }

HttpFailure failure(HttpFailure::Kind kind, Stage stage, const std::string& target, std::string_view why) {
  return {kind, stage, std::string(stage_name(stage)) + " " + target + ": " + std::string(why)};
}

}  // namespace

HttpFailure failure_of(const Way& way, HttpFailure::Kind kind, Stage stage, std::string_view why) {
  std::string target = stage == Stage::kResolve ? way.url.host : way.url.authority();
  if (stage == Stage::kConnect) target = way.url.host + ":" + std::to_string(way.url.port);
  const bool shows_proxy = way.is_proxied() && stage != Stage::kHeaders && stage != Stage::kBody;
  if (shows_proxy) target += " through " + shown_proxy(way);
  return failure(kind, stage, target, why);
}

HttpFailure certificate_failure(const Way& way, long result, bool has_ca_file) {
  auto refused = distrusted(way, certificate_distrust(result), certificate_problem(result));
  if (!has_ca_file && refused.distrust == Distrust::kIssuer) refused.message += "; name your own CA with --ca-file";
  return refused;
}

HttpFailure distrusted(const Way& way, Distrust distrust, std::string_view why) {
  auto refused = failure_of(way, HttpFailure::Kind::kCertificate, Stage::kTls, why);
  refused.distrust = distrust;
  return refused;
}

HttpFailure proxy_failure(const Way& way, HttpFailure::Kind kind, Stage stage, std::string_view why) {
  return failure(kind, stage, shown_proxy(way), why);
}

HttpFailure proxy_refusal(const Way& way, long status) {
  const auto number = " (" + std::to_string(status) + ")";
  if (status == 407) {
    return failure_of(way, HttpFailure::Kind::kProxyRefused, Stage::kConnect,
                      "the proxy wants another user or password than the daemon's environment gives it" + number);
  }
  if (status == 403) {
    return failure_of(way, HttpFailure::Kind::kProxyRefused, Stage::kConnect, "the proxy forbids it" + number);
  }
  return failure_of(way, HttpFailure::Kind::kConnect, Stage::kConnect, "the proxy cannot do it now" + number);
}

std::string safe_words(std::string_view text, std::string_view otherwise) {
  return text.empty() || text.find('@') != std::string_view::npos ? std::string(otherwise) : printable(text, 200);
}

std::optional<std::string> tls_refusal(std::string_view text) {
  const auto says = [text](std::string_view part) { return text.find(part) != std::string_view::npos; };
  if (says("unsupported protocol") || says("protocol version")) return "it offers no TLS 1.2 or newer";
  if (says("wrong version number") || says("packet length too long")) {
    return "it does not speak TLS; http:// needs --insecure";
  }
  return std::nullopt;
}

std::string cas_unreadable(const TrustedCas& cas) {
  return "the CA certificates cannot be read from " + printable(cas.file.empty() ? cas.folder : cas.file, 300);
}

std::string not_within(std::string_view what, std::chrono::milliseconds limit) {
  const bool whole = limit.count() % 1000 == 0;
  return std::string(what) + " within " + std::to_string(whole ? limit.count() / 1000 : limit.count()) +
         (whole ? " s" : " ms");
}

}  // namespace pullama::registry
