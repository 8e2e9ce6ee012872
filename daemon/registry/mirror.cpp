#include "daemon/registry/mirror.h"

#include <algorithm>
#include <iterator>

#include "common/printable.h"
#include "daemon/registry/ascii.h"
#include "daemon/registry/url.h"

namespace pullama::registry {
namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::size_t kMostMirrors = 16;

std::string_view next_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  const auto word = text.substr(0, text.find_first_of(kBlanks));
  text.remove_prefix(word.size());
  return word;
}

auto wrong(const std::string& why) {
  return fail(ErrorCode::kInvalidArgument, why + "; a mirror is written as \"registry.ollama.ai https://cache:5000\"");
}

Result<Mirror> parse_one(std::string_view text) {
  const auto host = next_word(text);
  const auto address = next_word(text);
  if (host.empty() || address.empty() || !next_word(text).empty()) return wrong("that is no host and one URL");
  const auto registry = Url::parse("https://" + std::string(host));
  if (!registry || registry->authority() != lower(host)) {
    return wrong("\"" + printable(host, 200) + "\" is no registry's host");
  }
  const auto url = Url::parse(address);
  if (!url) return wrong(url.error().message);
  if (url->target != "/" && !url->target.empty()) return wrong(url->origin() + " must end after its host and port");
  return Mirror{lower(host), url->origin()};
}

}  // namespace

Result<std::vector<Mirror>> parse_mirrors(std::string_view text) {
  std::vector<Mirror> mirrors;
  while (!text.empty()) {
    const auto end = std::min(text.find(','), text.size());
    auto mirror = parse_one(text.substr(0, end));
    if (!mirror) return fail(mirror.error());
    mirrors.push_back(std::move(*mirror));
    if (mirrors.size() > kMostMirrors) return wrong("there are more than 16");
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return mirrors;
}

std::vector<Mirror> mirrors_of(const std::vector<Mirror>& mirrors, std::string_view host) {
  const std::string wanted = lower(host);
  std::vector<Mirror> found;
  std::copy_if(mirrors.begin(), mirrors.end(), std::back_inserter(found),
               [&](const Mirror& mirror) { return mirror.host == wanted; });
  return found;
}

}  // namespace pullama::registry
