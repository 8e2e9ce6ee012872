// What a registry's answers say about where an upload goes: ranges, and the signed headers of a direct upload.
#include <algorithm>
#include <array>

#include "daemon/registry/ascii.h"
#include "daemon/registry/redirect.h"
#include "daemon/registry/response.h"
#include "daemon/registry/upload.h"

namespace pullama::registry {
namespace {

constexpr std::string_view kSignedPrefix = "X-Signed-Header-";
constexpr std::size_t kMaxSignedHeaders = 64;

}  // namespace

std::optional<std::uint64_t> parse_upload_range(std::string_view value) {
  value = trim(value);
  if (starts_ignoring_case(value, "bytes=") || starts_ignoring_case(value, "bytes ")) value.remove_prefix(6);
  if (!value.starts_with("0-")) return std::nullopt;
  const auto last = parse_digits<std::uint64_t>(value.substr(2));
  if (!last || *last == ~0ULL) return std::nullopt;
  return *last == 0 ? 0 : *last + 1;
}

Result<Url> next_upload_session(const Url& from, const HttpHead& head, const Url* otherwise) {
  const auto* place = head.find("Docker-Upload-Location");
  // A redirect's Location is where the part goes.
  if (place == nullptr && head.status != 307) place = head.find("Location");
  if (place == nullptr && otherwise != nullptr) return *otherwise;
  return resolve_redirect(from, place == nullptr ? std::string_view{} : *place);
}

bool may_be_signed_header(std::string_view name) {
  static constexpr std::array kNever{"authorization",
                                     "host",
                                     "content-length",
                                     "transfer-encoding",
                                     "connection",
                                     "keep-alive",
                                     "te",
                                     "trailer",
                                     "upgrade",
                                     "proxy-authenticate",
                                     "proxy-authorization",
                                     "proxy-connection",
                                     "expect",
                                     "cookie",
                                     "user-agent",
                                     "accept-encoding"};
  const bool is_token = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '-' || c == '_';
  });
  return is_token && std::none_of(kNever.begin(), kNever.end(),
                                  [name](const char* never) { return equals_ignoring_case(name, never); });
}

Outcome<std::optional<DirectUpload>> Uploads::direct_of(const Answer& answer) const {
  const auto* place = answer.head.find("X-Direct-Upload-URL");
  if (place == nullptr || place->empty()) return std::optional<DirectUpload>();
  auto url = resolve_redirect(answer.from, *place);
  if (!url) {
    return tl::unexpected(
        make_fault(Fault::Kind::kPermanent, ErrorCode::kNetwork,
                   "the direct upload that " + answer.from.authority() + " names is refused: " + url.error().message,
                   answer.head.status));
  }
  DirectUpload direct{std::move(*url), {}};
  for (const auto& header : answer.head.headers) {
    if (!starts_ignoring_case(header.name, kSignedPrefix)) continue;
    const auto name = std::string_view(header.name).substr(kSignedPrefix.size());
    if (!may_be_signed_header(name)) continue;
    std::erase_if(direct.headers, [name](const Header& known) { return equals_ignoring_case(known.name, name); });
    direct.headers.push_back({std::string(name), header.value});
    if (direct.headers.size() > kMaxSignedHeaders) {
      return tl::unexpected(make_fault(Fault::Kind::kPermanent, ErrorCode::kNetwork,
                                       answer.from.authority() + " wants more than 64 signed headers to be sent",
                                       answer.head.status));
    }
  }
  return std::optional(std::move(direct));
}

}  // namespace pullama::registry
