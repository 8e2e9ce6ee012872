#include "common/model_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "common/printable.h"

namespace pullama {
namespace {

constexpr std::string_view kForm =
    "[[http://]host/][namespace/]model[:tag], like llama3.2, user/model:7b or host:5000/user/model:tag";
constexpr std::size_t kShownBytes = 200;

// What a part may hold besides letters, digits and '_'; its first character may be none of these.
struct Part {
  std::string_view name;
  std::string_view punctuation;
  std::string_view allowed;
  std::size_t max_bytes;
};
constexpr Part kHost{"host", ".:-", "letters, digits, '_', '.', ':' and '-'", 350};
constexpr Part kNamespace{"namespace", "-", "letters, digits, '_' and '-'", 80};
constexpr Part kModel{"model", ".-", "letters, digits, '_', '.' and '-'", 80};
constexpr Part kTag{"tag", ".-", "letters, digits, '_', '.' and '-'", 80};

// Not <cctype>: a name means the same in every locale.
bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

// What is wrong with a part, as the middle of a sentence; empty: nothing.
std::string complaint(const Part& part, std::string_view text) {
  const auto plain = [](char c) { return is_alnum(c) || c == '_'; };
  if (text.empty()) return fmt::format("the {} is missing", part.name);
  const std::string shown = printable(text, 90);
  if (text.size() > part.max_bytes) {
    return fmt::format("the {} is {} bytes long, at most {} are allowed", part.name, text.size(), part.max_bytes);
  }
  const bool in_set = std::all_of(
      text.begin(), text.end(), [&](char c) { return plain(c) || part.punctuation.find(c) != std::string_view::npos; });
  if (!in_set) return fmt::format("the {} '{}' may hold only {}", part.name, shown, part.allowed);
  if (!plain(text.front()))
    return fmt::format("the {} '{}' must begin with a letter, a digit or '_'", part.name, shown);
  return {};
}

tl::unexpected<Error> invalid(std::string_view text, std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, fmt::format("invalid model name '{}': {}; the right form is {}",
                                                       printable(text, kShownBytes), why, kForm));
}

// Cuts at the last separator: `text` keeps what is before it, the result is what is after; nullopt where there is none.
std::optional<std::string_view> cut_last(std::string_view& text, char separator) {
  const std::size_t at = text.rfind(separator);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view after = text.substr(at + 1);
  text = text.substr(0, at);
  return after;
}

// A name with another one would be pulled by http all the same, and somebody has meant something else by it.
bool is_scheme(std::string_view text) { return text == "http" || text == "https"; }

}  // namespace

Result<ModelName> ModelName::parse(std::string_view text) {
  std::string_view rest = text, scheme = "https", host = kDefaultHost, ns = kDefaultNamespace, tag = kDefaultTag;
  const std::size_t colon = rest.rfind(':'), slash = rest.rfind('/');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    tag = *cut_last(rest, ':');
  }
  std::string_view model = rest;
  if (const auto after = cut_last(rest, '/')) {
    model = *after;
    ns = rest;
    if (const auto second = cut_last(rest, '/')) {
      ns = *second;
      host = rest;
      if (const std::size_t mark = rest.find("://"); mark != std::string_view::npos) {
        scheme = rest.substr(0, mark);
        host = rest.substr(mark + 3);
      }
    }
  }
  if (text.empty()) return invalid(text, "it is empty");
  if (text.find('@') != std::string_view::npos) return invalid(text, "a model is named by its tag, not by a digest");
  if (!is_scheme(scheme))
    return invalid(text, fmt::format("'{}://' is neither http:// nor https://", printable(scheme, 90)));
  for (const auto& [part, value] : {std::pair{kHost, host}, {kNamespace, ns}, {kModel, model}, {kTag, tag}}) {
    std::string why = complaint(part, value);
    if (why.empty()) continue;
    const bool host_without_namespace = (part.name == kNamespace.name && text.find('/') == text.rfind('/') &&
                                         value.find_first_of(".:") != std::string_view::npos) ||
                                        host.starts_with("http:") || host.starts_with("https:");
    if (host_without_namespace) why += " (with a host, a name has three parts: host/namespace/model)";
    return invalid(text, why);
  }
  ModelName name;
  name.scheme_ = scheme;
  name.host_ = host;
  name.ns_ = ns;
  name.model_ = model;
  name.tag_ = tag;
  return name;
}

Result<ModelName> ModelName::from_parts(std::string_view host, std::string_view ns, std::string_view model,
                                        std::string_view tag) {
  for (const auto& [part, value] : {std::pair{kHost, host}, {kNamespace, ns}, {kModel, model}, {kTag, tag}}) {
    const std::string why = complaint(part, value);
    if (!why.empty()) return invalid(fmt::format("{}/{}/{}:{}", host, ns, model, tag), why);
  }
  ModelName name;
  name.scheme_ = "https";
  name.host_ = host;
  name.ns_ = ns;
  name.model_ = model;
  name.tag_ = tag;
  return name;
}

std::string ModelName::repository() const { return ns_ + "/" + model_; }
std::string ModelName::path() const { return host_ + "/" + ns_ + "/" + model_ + "/" + tag_; }
std::string ModelName::full() const { return host_ + "/" + ns_ + "/" + model_ + ":" + tag_; }
std::string ModelName::display() const { return display_without_tag() + ":" + tag_; }

std::string ModelName::display_without_tag() const {
  if (host_ != kDefaultHost) return host_ + "/" + ns_ + "/" + model_;
  if (ns_ != kDefaultNamespace) return ns_ + "/" + model_;
  return model_;
}

bool ModelName::equals_ignoring_case(const ModelName& other) const {
  return same_ignoring_case(host_, other.host_) && same_ignoring_case(ns_, other.ns_) &&
         same_ignoring_case(model_, other.model_) && same_ignoring_case(tag_, other.tag_);
}

}  // namespace pullama
