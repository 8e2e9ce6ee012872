// What a registry, its token service, its CDN or a user's key file may hold.
#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "common/printable.h"
#include "daemon/manifest/manifest.h"
#include "daemon/registry/challenge.h"
#include "daemon/registry/chunksums.h"
#include "daemon/registry/content_range.h"
#include "daemon/registry/error_text.h"
#include "daemon/registry/head_parser.h"
#include "daemon/registry/redirect.h"
#include "daemon/registry/retry_after.h"
#include "daemon/registry/ssh_key.h"
#include "daemon/registry/token_request.h"
#include "tests/fuzz/targets.h"

namespace pullama::fuzz {
namespace {

const registry::Url kRegistry = *registry::Url::parse("https://registry.test/v2/");

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

void must_be_url(const registry::Url& url) {
  must(!has_control(url.text) && url.text.find(' ') == std::string::npos, "a URL has no control character");
  must(url.text.size() <= registry::kMaxUrlBytes && !url.host.empty(), "a URL is not too long and has a host");
  const auto again = registry::Url::parse(url.text);
  must(again.has_value() && again->same_origin(url), "a URL means itself");
  must(url.authority().find('@') == std::string::npos, "a URL has no user info");
}

}  // namespace

void manifest(std::string_view input) {
  const auto parsed = pullama::manifest::Manifest::parse(std::string(input));
  if (!parsed) return;
  must(parsed->raw() == input, "a manifest is kept byte for byte");
  must(parsed->layers().size() <= pullama::manifest::kMaxLayers, "layers are limited");
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < parsed->blobs().size(); ++i) {
    const auto& blob = parsed->blobs()[i];
    must(sum + blob.size_bytes >= sum, "the sum of sizes does not overflow");
    sum += blob.size_bytes;
    for (std::size_t j = 0; j < i && i < 64; ++j) {
      must(parsed->blobs()[j].digest != blob.digest, "each digest stands once");
    }
  }
  must(sum == parsed->total_bytes() && sum <= parsed->stated_bytes(), "the total is the sum");
}

void chunksums(std::string_view input) {
  const std::uint64_t size = number(take_line(input));
  const auto sums = registry::parse_chunksums(input, size);
  if (!sums) return;
  must(sums->size() <= registry::kMaxChunks, "chunks are limited");
  std::uint64_t next = 0;
  for (const auto& sum : *sums) {
    must(sum.range.first == next && sum.range.last >= sum.range.first && sum.range.last < size, "chunks have no gap");
    next = sum.range.last + 1;
  }
  must(next == size, "chunks cover the blob");
}

void challenge(std::string_view input) {
  std::vector<std::string_view> headers;
  while (!input.empty()) headers.push_back(take_line(input));
  for (const auto& one : registry::parse_challenges(headers)) {
    const auto realm = registry::judge_realm(kRegistry, one.realm);
    if (!realm) continue;
    must_be_url(realm->url);
    must(realm->url.is_https(), "a realm of a registry over https is https");
    must(!realm->may_sign || realm->url.host == kRegistry.host, "only the registry's own host sees a signature");
    const auto url = registry::Url::parse(registry::token_url(*realm, one));
    if (url) must(url->same_origin(realm->url), "scopes do not change whom we ask");
  }
}

void key_file(std::string_view input) {
  const auto key = registry::SshKey::parse(input, "/home/somebody/.ollama/id_ed25519");
  if (!key) return;
  must((*key)->sign("message").size() == 88 && !(*key)->public_text().empty(), "a key signs");
}

void content_range(std::string_view input) {
  const std::string value(take_line(input));
  const std::uint64_t first = number(take_line(input)), last = number(take_line(input)), size = number(input);
  const auto range = registry::parse_content_range(value);
  if (range && range->satisfied) must(range->first <= range->last, "a range is no less than a byte");
  if (range && range->satisfied && range->total) must(range->last < *range->total, "a range ends within its total");
  if (first > last || last >= size) return;
  const std::string problem = registry::content_range_problem(&value, first, last, size);
  if (!problem.empty()) return;
  must(range && range->satisfied && range->first == first && range->last <= last,
       "a range that is taken was asked for");
  must(!range->total || *range->total == size, "a total that is taken is the blob's size");
}

void redirect(std::string_view input) {
  const auto current = registry::Url::parse(take_line(input));
  if (!current) return;
  must_be_url(*current);
  const auto next = registry::resolve_redirect(*current, input);
  if (!next) return;
  must_be_url(*next);
  must(next->is_https() || !current->is_https(), "a redirect never leads from https to http");
  must(!registry::may_send_authorization(*current, *next) || next->same_origin(*current),
       "what is meant for one host is sent to no other");
}

void response_head(std::string_view input) {
  registry::HeadParser parser;
  while (!input.empty()) {
    const auto end = std::min(input.find('\n'), input.size() - 1) + 1;
    const auto event = parser.feed(input.substr(0, end));
    input.remove_prefix(end);
    if (event == registry::HeadParser::Event::kRefused) {
      must(!parser.problem().empty(), "a refusal says why");
      return;
    }
    if (event != registry::HeadParser::Event::kHead) continue;
    must(parser.head().status >= 100 && parser.head().status <= 999, "a status has three digits");
    for (const auto& header : parser.head().headers) {
      must(!header.name.empty() && !has_control(header.name), "a header has a name");
      must(header.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos, "a header is one line");
    }
  }
}

void token(std::string_view input) {
  const auto found = registry::parse_token(input);
  if (!found) return;
  must(!found->empty() && found->size() <= registry::kMaxTokenBytes, "a token is not too long");
  for (const char c : *found) must(c > 0x20 && c < 0x7f, "a token is visible ASCII");
}

void error_text(std::string_view input) {
  const auto text = registry::error_text(input);
  must(text.size() <= registry::kMaxErrorTextBytes && text == printable(text), "a registry's words are printable");
  static_cast<void>(registry::is_s3_error(input));
}

void retry_after(std::string_view input) {
  const auto now = std::chrono::system_clock::time_point(std::chrono::seconds(1'790'000'000));
  const auto wait = registry::parse_retry_after(input, now);
  if (wait) must(wait->count() >= 0 && *wait <= registry::kMaxRetryAfter, "a wait has limits");
}

}  // namespace pullama::fuzz
