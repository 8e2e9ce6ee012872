// The last request of a push.
#include <algorithm>

#include "daemon/registry/ascii.h"
#include "daemon/registry/response.h"
#include "daemon/registry/upload.h"

namespace pullama::registry {
namespace {

class TextBody final : public HttpBody {
 public:
  explicit TextBody(const std::string& text) : text_(text) {}
  std::uint64_t size_bytes() const override { return text_.size(); }
  std::size_t read(std::span<std::byte> into) override {
    const auto length = std::min(into.size(), text_.size() - at_);
    std::copy_n(reinterpret_cast<const std::byte*>(text_.data()) + at_, length, into.begin());
    at_ += length;
    return length;
  }
  bool rewind() override {
    at_ = 0;
    return true;
  }

 private:
  const std::string& text_;
  std::size_t at_ = 0;
};

bool says_blob_unknown(std::string_view body) {
  return body.find("BLOB_UNKNOWN") != std::string_view::npos;  // MANIFEST_BLOB_UNKNOWN among them
}

}  // namespace

Outcome<bool> Uploads::put_manifest(HttpConnection& connection, const std::string& tag,
                                    const manifest::Manifest& manifest, std::stop_token stop) {
  TextBody body(manifest.raw());
  auto request = ask(repository_, "/manifests/" + tag);
  request.method = "PUT";
  request.body = &body;
  const auto& type = manifest.media_type();
  request.headers = {{"Content-Type", type.empty() ? std::string(manifest::kMediaType) : type}};
  auto text = exchange(connection, request, stop);
  if (!text) return tl::unexpected(text.error());
  const auto& answer = text->answer;
  const int status = answer.head.status;
  if (!is_success(status)) {
    if (status >= 400 && status < 500 && says_blob_unknown(text->body)) return false;
    auto fault = refused("manifest of " + repository_ + ":" + tag, answer, text->body);
    if (status == 400) fault.kind = Fault::Kind::kPermanent;
    if (status == 413) {
      fault.error.hint =
          "registries take manifests of up to 4 MiB; this one has " + std::to_string(body.size_bytes()) + " bytes";
    }
    return tl::unexpected(std::move(fault));
  }
  const auto* stated = answer.head.find("Docker-Content-Digest");
  if (stated != nullptr && starts_ignoring_case(*stated, "sha256:") && *stated != manifest.digest().str()) {
    return tl::unexpected(make_fault(Fault::Kind::kPermanent, ErrorCode::kCorrupt,
                                     answer.from.authority() + " stored the manifest of " + repository_ + ":" + tag +
                                         " with other bytes: it states another digest than " + manifest.digest().str(),
                                     status));
  }
  return true;
}

}  // namespace pullama::registry
