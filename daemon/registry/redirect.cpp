#include "daemon/registry/redirect.h"

#include <vector>

#include "common/printable.h"
#include "daemon/registry/ascii.h"

namespace pullama::registry {
namespace {

tl::unexpected<Error> refused(const Url& current, std::string_view why) {
  return fail(ErrorCode::kNetwork, "a redirect from " + current.authority() + " is refused: " + std::string(why));
}

// "scheme:" at the start, as RFC 3986 section 3.1 has it.
bool has_scheme(std::string_view location) {
  const auto end = location.find_first_of(":/?#");
  if (end == std::string_view::npos || location[end] != ':' || end == 0 || !is_letter(location.front())) return false;
  return std::all_of(location.begin(), location.begin() + static_cast<std::ptrdiff_t>(end),
                     [](char c) { return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.'; });
}

// Folder of `base`, and `reference` below it, with "." and ".." taken out.
std::string merged_path(std::string_view base, std::string_view reference) {
  const std::string joined = std::string(base.substr(0, base.rfind('/') + 1)) + std::string(reference);
  std::vector<std::string_view> segments;
  std::string_view rest = joined;
  rest.remove_prefix(1);
  while (true) {
    const auto slash = rest.find('/');
    const auto segment = rest.substr(0, slash);
    const bool last = slash == std::string_view::npos;
    if (segment == "..") {
      if (!segments.empty()) segments.pop_back();
      if (last) segments.emplace_back();
    } else if (segment != "." || last) {
      segments.push_back(segment == "." ? std::string_view{} : segment);
    }
    if (last) break;
    rest.remove_prefix(slash + 1);
  }
  std::string path;
  for (const auto segment : segments) path.append("/").append(segment);
  return path.empty() ? "/" : path;
}

bool is_hugging_face(const Url& url) {
  return url.is_https() && url.port == 443 && (url.host == "hf.co" || url.host == "huggingface.co");
}

}  // namespace

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

Result<Url> resolve_redirect(const Url& current, std::string_view location) {
  if (location.empty()) return refused(current, "it names no place");
  if (location.size() > kMaxUrlBytes) return refused(current, "its URL is longer than 8 KiB");
  std::string absolute;
  if (has_scheme(location)) {
    if (!starts_ignoring_case(location, "http://") && !starts_ignoring_case(location, "https://")) {
      return refused(current, "it does not lead to http:// or https:// but to '" +
                                  printable(location.substr(0, location.find(':')), 32) + ":'");
    }
    absolute = location;
  } else if (location.starts_with("//")) {
    absolute = current.scheme + ":" + std::string(location);
  } else if (location.front() == '/') {
    absolute = current.origin() + std::string(location);
  } else if (location.front() == '?') {
    absolute = current.origin() + current.path() + std::string(location);
  } else {
    const auto path_end = std::min(location.find_first_of("?#"), location.size());
    absolute = current.origin() + merged_path(current.path(), location.substr(0, path_end)) +
               std::string(location.substr(path_end));
  }
  auto url = Url::parse(absolute);
  if (!url) return refused(current, url.error().message);
  if (current.is_https() && !url->is_https()) {
    return refused(current, "it leads from https to http, to " + url->authority());
  }
  return url;
}

bool may_send_authorization(const Url& registry, const Url& target) {
  return registry.same_origin(target) || (is_hugging_face(registry) && is_hugging_face(target));
}

}  // namespace pullama::registry
