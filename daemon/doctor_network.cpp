// What doctor looks at on the way to a registry.
#include <fmt/core.h>
#include <fmt/format.h>
#include <algorithm>
#include <cerrno>
#include <mutex>
#include <optional>
#include <span>

#include "common/duration_text.h"
#include "common/printable.h"
#include "common/proxy_settings.h"
#include "daemon/doctor.h"
#include "daemon/registry/ascii.h"
#include "daemon/registry/http_date.h"
#include "daemon/registry/http_failure.h"
#include "daemon/registry/reach.h"
#include "daemon/registry/redirect.h"
#include "daemon/registry/requester.h"
#include "daemon/registry/response.h"

namespace pullama {
namespace {

using registry::HttpFailure;
using registry::IpFamily;
using registry::Url;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kResolveLimit{10};
constexpr seconds kConnectLimit{5};   // one address
constexpr seconds kRequestLimit{10};  // DNS, TCP, TLS and the answer
constexpr seconds kMore{2};           // beyond the limits within, until a check is left behind
constexpr seconds kSkewNoted{60};
constexpr seconds kSkewRefused{3600};  // signatures, tokens and certificates are

// What the checks of one registry tell each other.
struct Way {
  Way(Url to, std::string through, std::string named_by)
      : url(std::move(to)), proxy(std::move(through)), proxy_from(std::move(named_by)) {}
  const Url url;
  const std::string proxy;       // as configured; empty: none
  const std::string proxy_from;  // where that is said
  std::mutex mutex;              // guards the next: a check that was left behind may still write
  std::vector<std::string> v4, v6;
};
using WayPtr = std::shared_ptr<Way>;

std::string from_of(const Configured& configured, const std::string& key, const char* otherwise) {
  const auto from = configured.from.find(key);
  return from == configured.from.end() ? otherwise : from->second;
}

std::string counted(std::size_t count, const char* family) {
  return fmt::format("{} {} address{}", count, family, count == 1 ? "" : "es");
}

std::vector<Finding> look_at_names(Way& way) {
  const std::string& host = way.url.host;
  auto v4 = registry::resolve(host, IpFamily::kV4);
  auto v6 = registry::resolve(host, IpFamily::kV6);
  const std::string hint =
      fmt::format("see /etc/resolv.conf, and whether `getent ahosts {}` knows it; a VPN may be in the way", host);
  const auto count = (v4 ? v4->size() : 0) + (v6 ? v6->size() : 0);
  if (count == 0) {
    const std::string why = !v4 ? v4.error().message : !v6 ? v6.error().message : "the name is not known";
    return {{"dns", kFailed, fmt::format("{}: {}", host, why), hint}};
  }
  const std::lock_guard lock(way.mutex);
  if (v4) way.v4 = std::move(*v4);
  if (v6) way.v6 = std::move(*v6);
  return {{"dns", kOk,
           fmt::format("{} has {} and {}", host, counted(way.v4.size(), "IPv4"), counted(way.v6.size(), "IPv6")), ""}};
}

struct Tried {
  std::size_t addresses = 0;
  std::optional<Error> error;  // of the first address; none: it took the connection
  std::string address;
};

Tried try_first(const std::vector<std::string>& addresses, const Url& url, const std::stop_token& stop) {
  Tried tried{addresses.size(), {}, {}};
  if (addresses.empty()) return tried;
  tried.address = addresses.front();
  if (auto done = registry::try_connect(tried.address, url.port, kConnectLimit, stop); !done)
    tried.error = done.error();
  return tried;
}

bool has_no_way(const Error& error) { return error.os_error == ENETUNREACH || error.os_error == EADDRNOTAVAIL; }

Finding family_finding(const char* check, const char* name, const Tried& tried, bool other_works, const Url& url) {
  if (tried.addresses == 0) return {check, kSkipped, fmt::format("{} has no {} address", url.host, name), ""};
  const std::string place = fmt::format("{} port {}", tried.address, url.port);
  if (!tried.error) return {check, kOk, place + " takes connections", ""};
  const std::string said = fmt::format("{}: {}", place, tried.error->message);
  if (other_works && has_no_way(*tried.error)) {
    return {check, kSkipped, said, fmt::format("this machine has no {}, and needs none here", name)};
  }
  if (other_works) {
    return {check, kWarning, said,
            fmt::format("pulls go by the other family after a moment; mend {}, or turn it off", name)};
  }
  return {check, kFailed, said,
          "a firewall may be in the way; where only a proxy leads out, name it in https_proxy (pullamad.conf)"};
}

std::vector<Finding> look_at_families(Way& way, const std::stop_token& stop) {
  std::vector<std::string> v4, v6;
  {
    const std::lock_guard lock(way.mutex);
    v4 = way.v4;
    v6 = way.v6;
  }
  const Tried four = try_first(v4, way.url, stop), six = try_first(v6, way.url, stop);
  const bool four_works = four.addresses > 0 && !four.error, six_works = six.addresses > 0 && !six.error;
  return {family_finding("ipv4", "IPv4", four, six_works, way.url),
          family_finding("ipv6", "IPv6", six, four_works, way.url)};
}

std::vector<Finding> look_at_proxy(const Way& way, const std::stop_token& stop) {
  const std::string shown = printable(without_user_info(way.proxy), 300);
  const std::string hint = fmt::format("it is named by {}: correct it there, or start the proxy", way.proxy_from);
  const auto refuse = [&](const std::string& why) {
    return std::vector<Finding>{{"proxy", kFailed, fmt::format("{} for {}: {}", shown, way.url.host, why), hint}};
  };
  const auto place = registry::proxy_place(way.proxy);
  if (!place) return refuse(place.error().message);
  std::string why = "its name is not known";
  for (const IpFamily family : {IpFamily::kV4, IpFamily::kV6}) {
    const auto addresses = registry::resolve(place->host, family);
    if (!addresses) why = addresses.error().message;
    if (!addresses || addresses->empty()) continue;
    const auto connected = registry::try_connect(addresses->front(), place->port, kConnectLimit, stop);
    if (connected) return {{"proxy", kOk, fmt::format("{} takes connections", shown), ""}};
    why = connected.error().message;
  }
  return refuse(why);
}

// The head is all that is wanted.
class HeadOnly final : public registry::HttpHandler {
 public:
  bool on_head(const registry::HttpHead& got) override {
    head = got;
    return false;
  }
  bool on_body(std::span<const std::byte>) override { return false; }
  std::optional<registry::HttpHead> head;
};

Finding clock_finding(const registry::HttpHead& head, std::chrono::system_clock::time_point now, const Url& url) {
  const auto* stated = head.find("Date");
  const auto date = stated == nullptr ? std::nullopt : registry::parse_http_date(*stated);
  if (!date) return {"clock", kSkipped, fmt::format("{} does not say what time it is", url.host), ""};
  const auto ahead = std::chrono::floor<seconds>(now) - *date;
  const auto off = ahead < seconds(0) ? -ahead : ahead;
  if (off <= kSkewNoted) return {"clock", kOk, fmt::format("the clock agrees with {}", url.host), ""};
  return {
      "clock", off > kSkewRefused ? kFailed : kWarning,
      fmt::format("the clock is {} {} {}", format_duration(off), ahead < seconds(0) ? "behind" : "ahead of", url.host),
      "set it, for instance with `timedatectl set-ntp true`"};
}

std::string trust_hint(registry::Distrust why, const Configured& configured, const std::string& ca_file) {
  const std::string cas =
      ca_file.empty()
          ? from_of(configured, configured.config.network.cas.file.empty() ? "ca_dir" : "ca_file", "the system")
          : "--ca-file";
  switch (why) {
    case registry::Distrust::kTime:
      return "see whether `date` is right; if it is, whoever runs the server must renew its certificate";
    case registry::Distrust::kHost:
      return "see the name; if it is right, the server has a wrong certificate, or something answers in its place";
    case registry::Distrust::kNoTls:
      return "see host and port; something on the way may answer in its place: a login page, a firewall";
    case registry::Distrust::kCas:
      return fmt::format("the CAs are named by {}: a ca_file holds PEM certificates that the daemon can read", cas);
    case registry::Distrust::kIssuer:
      break;
  }
  return fmt::format("trusted are the CAs of {}: where a company's own signs, name it in {}", cas,
                     ca_file.empty() ? "ca_file (pullamad.conf)" : "that file");
}

Finding refusal(const HttpFailure& failure, const Configured& configured, const std::string& ca_file) {
  const std::string said = printable(failure.message, 500);
  switch (failure.kind) {
    case HttpFailure::Kind::kCertificate:
      return {"tls", kFailed, said, trust_hint(failure.distrust, configured, ca_file)};
    case HttpFailure::Kind::kTls:
      return {"tls", kFailed, said,
              "something on the way may answer in the registry's place: a login page, a firewall"};
    case HttpFailure::Kind::kProxyRefused:
      return {"proxy", kFailed, said, "see the login that the proxy's URL has, or ask who runs it"};
    default:
      return {"registry", kFailed, said, "try again later; a firewall may be in the way"};
  }
}

// registry.ollama.ai knows no /v2/ itself and answers 404; what we are to take for a cache does.
Finding registry_finding(const registry::HttpHead& head, const Way& way, const Configured& configured) {
  const std::string said = fmt::format("{} answers {}", way.url.authority(), head.status);
  if (head.status >= 500) return {"registry", kWarning, said, "it may be overloaded or down: try again later"};
  const auto& mirrors = configured.config.mirrors;
  const bool is_mirror = std::any_of(mirrors.begin(), mirrors.end(),
                                     [&](const registry::Mirror& mirror) { return mirror.origin == way.url.origin(); });
  const bool is_page = registry::is_redirect(head.status) || (head.status == 200 && registry::is_html(head));
  const bool is_registry = (head.status == 200 || head.status == 401) && !is_page;
  if (is_mirror && !is_registry) {
    return {"registry", kWarning, said + ", which is no registry's answer",
            fmt::format("see the mirror's URL ({}); models come from the host that it stands for",
                        from_of(configured, "mirror", "pullamad.conf"))};
  }
  // What is signed for cannot be a login page.
  if (is_page && !way.url.is_https()) {
    return {"registry", kWarning, said + ", which is no registry's answer",
            "something on the way may answer in its place: a login page, a firewall"};
  }
  const auto* challenge = head.find("WWW-Authenticate");
  if (is_mirror && head.status == 401 &&
      (challenge == nullptr || !registry::starts_ignoring_case(*challenge, "bearer"))) {
    return {"registry", kWarning, said + ": it wants a user name and a password",
            fmt::format("`docker login {}` as the daemon's user, if not done yet", way.url.authority())};
  }
  return {"registry", kOk, fmt::format("{} answers", way.url.authority()), ""};
}

std::vector<Finding> look_at_registry(const Way& way, const Configured& configured, const std::string& ca_file,
                                      registry::Http& http, const io::Clock& clock, const std::stop_token& stop) {
  registry::HttpRequest request;
  request.url = way.url.origin() + "/v2/";
  const auto& agent = configured.config.user_agent;
  request.headers = {{"User-Agent", agent.empty() ? registry::default_user_agent() : agent}};
  request.connect_timeout = request.head_timeout = request.total_timeout = kRequestLimit;
  HeadOnly handler;
  const auto connection = http.connect({ca_file});
  const auto done = connection->perform(request, handler, stop);
  const auto now = clock.wall();
  if (!handler.head) {
    if (!done) return {refusal(done.error(), configured, ca_file)};
    return {{"registry", kFailed, way.url.host + " sent no answer", "try again later"}};
  }
  std::vector<Finding> found;
  if (way.url.is_https())
    found.push_back({"tls", kOk, "the certificate of " + way.url.authority() + " is trusted", ""});
  found.push_back(registry_finding(*handler.head, way, configured));
  found.push_back(clock_finding(*handler.head, now, way.url));
  return found;
}

}  // namespace

std::vector<Check> registry_checks(const Patient& patient, const Url& url) {
  const auto& network = patient.configured.config.network;
  const auto way = std::make_shared<Way>(
      url, network.proxy_for(url),
      from_of(patient.configured, url.is_https() ? "https_proxy" : "http_proxy", "the environment"));
  const auto road = std::make_shared<bool>(false);
  std::vector<Check> checks;
  if (way->proxy.empty()) {
    checks.push_back({"dns", kResolveLimit, [way](const std::stop_token&) { return look_at_names(*way); }, road});
    checks.push_back({"ipv4",
                      2 * kConnectLimit + kMore,
                      [way](const std::stop_token& stop) { return look_at_families(*way, stop); },
                      road,
                      {"ipv6"}});
  } else {
    checks.push_back({"proxy", kResolveLimit + 2 * kConnectLimit,
                      [way](const std::stop_token& stop) { return look_at_proxy(*way, stop); }, road});
  }
  std::vector<std::string> also{"clock"};
  if (url.is_https()) also.insert(also.begin(), "tls");
  checks.push_back(
      {"registry", kRequestLimit + kMore,
       [way, configured = patient.configured, ca_file = patient.ca_file, &http = patient.http, &clock = patient.clock](
           const std::stop_token& stop) { return look_at_registry(*way, configured, ca_file, http, clock, stop); },
       road, std::move(also)});
  return checks;
}

}  // namespace pullama
