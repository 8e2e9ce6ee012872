#include "daemon/registry/registry.h"

#include "daemon/registry/ascii.h"
#include "daemon/registry/blob_source.h"
#include "daemon/registry/chunksums.h"
#include "daemon/registry/error_text.h"
#include "daemon/registry/requester.h"
#include "daemon/registry/response.h"
#include "daemon/registry/upload.h"

namespace pullama::registry {

// Without a requester where the host is no host: every call says so.
struct Registry::Impl {
  Impl(Http& transport, const io::Clock& time, const Credentials& credentials, std::string name,
       RegistryOptions options)
      : http(transport), clock(time), host(std::move(name)), ca_file(options.ca_file) {
    auto url = Url::parse((options.insecure ? "http://" : "https://") + host);
    if (!url || url->target != "/" || url->path() != "/") {
      problem =
          make_fault(Fault::Kind::kPermanent, ErrorCode::kInvalidArgument, "'" + host + "' is not a registry's host");
      return;
    }
    requester.emplace(clock, credentials, std::move(*url), std::move(options));
  }

  Ask ask(const ModelName& name, const std::string& rest) const {
    Ask result;
    result.repository = name.repository();
    result.url = *Url::parse(requester->registry().origin() + "/v2/" + result.repository + rest);
    result.total_timeout = requester->options().request_timeout;
    return result;
  }

  Fault manifest_refused(const ModelName& name, const Requester::Text& text) const;
  Outcome<manifest::Manifest> accept(const ModelName& name, Requester::Text text) const;

  Http& http;
  const io::Clock& clock;
  const std::string host, ca_file;
  std::optional<Requester> requester;
  Fault problem;
};

namespace {

Fault wrong_manifest(const ModelName& name, const Requester::Text& text, const std::string& why, ErrorCode code,
                     Fault::Kind kind = Fault::Kind::kPermanent) {
  return make_fault(kind, code, name.display() + " at " + text.answer.from.authority() + ": " + why,
                    text.answer.head.status);
}

// A source for a host that is none.
class NoBlobSource final : public BlobSource {
 public:
  NoBlobSource(Fault problem, std::string host) : problem_(std::move(problem)), host_(std::move(host)) {}
  Outcome<void> fetch(HttpConnection&, ByteRange, BlobSink&, std::stop_token) override {
    return tl::unexpected(problem_);
  }
  bool ranges_supported() const override { return true; }
  std::string host() const override { return host_; }

 private:
  Fault problem_;
  std::string host_;
};

}  // namespace

Registry::Registry(Http& http, const io::Clock& clock, const Credentials& credentials, std::string host,
                   RegistryOptions options)
    : impl_(std::make_unique<Impl>(http, clock, credentials, std::move(host), std::move(options))) {}

Registry::~Registry() = default;

const std::string& Registry::host() const { return impl_->host; }

std::unique_ptr<HttpConnection> Registry::connect() { return impl_->http.connect({impl_->ca_file}); }

Outcome<manifest::Manifest> Registry::fetch_manifest(HttpConnection& connection, const ModelName& name,
                                                     std::stop_token stop) {
  if (!impl_->requester) return tl::unexpected(impl_->problem);
  auto& requester = *impl_->requester;
  auto ask = impl_->ask(name, "/manifests/" + name.tag());
  ask.headers = {{"Accept", std::string(manifest::kMediaType)}};
  auto text = requester.send_text(connection, ask, manifest::kMaxManifestBytes, stop);
  if (text && text->answer.head.status == 412) {
    requester.name_ollama();
    text = requester.send_text(connection, ask, manifest::kMaxManifestBytes, stop);
  }
  if (!text) return tl::unexpected(text.error());
  if (text->answer.head.status != 200) return tl::unexpected(impl_->manifest_refused(name, *text));
  return impl_->accept(name, std::move(*text));
}

Fault Registry::Impl::manifest_refused(const ModelName& name, const Requester::Text& text) const {
  const auto& answer = text.answer;
  const auto what = requester->refusal_text(name.display(), answer, text.body);
  auto fault = fault_of_status(answer.head, what, clock.wall());
  switch (answer.head.status) {
    case 401:
    case 403: {
      if (answer.left_registry) break;
      return requester->authenticator().denied(name.repository(), answer.head, text.body);
    }
    case 404: {
      const auto words = error_text(requester->authenticator().redacted(text.body.substr(0, kMaxErrorBodyBytes)));
      fault.error = {ErrorCode::kNotFound,
                     "model '" + name.display() + "' not found at " + host + (words.empty() ? "" : ": " + words),
                     {},
                     0};
      break;
    }
    case 400:
    case 412:
      fault.error.code = ErrorCode::kUnsupported;
      break;
    default:
      if (answer.head.status < 400) fault.kind = Fault::Kind::kProtocol;
  }
  return fault;
}

Outcome<manifest::Manifest> Registry::Impl::accept(const ModelName& name, Requester::Text text) const {
  const auto refuse = [&](const std::string& why, ErrorCode code, Fault::Kind kind = Fault::Kind::kPermanent) {
    return tl::unexpected(wrong_manifest(name, text, why, code, kind));
  };
  if (text.too_long) return refuse("the manifest is refused: it is longer than 16 MiB", ErrorCode::kCorrupt);
  if (is_encoded(text.answer.head)) {
    return refuse("the manifest came compressed, which was not asked for", ErrorCode::kNetwork, Fault::Kind::kProtocol);
  }
  const auto words = [&](const std::string& raw) { return error_text(requester->authenticator().redacted(raw)); };
  const std::string start = text.body.substr(0, kMaxErrorBodyBytes);
  auto parsed = manifest::Manifest::parse(std::move(text.body));
  if (!parsed) {
    const bool is_error = parsed.error().message.find("'errors'") != std::string::npos;
    const auto said = is_error ? words(start) : std::string();
    return refuse(parsed.error().message + (said.empty() ? "" : ": " + said), parsed.error().code);
  }
  if (const auto* stated = text.answer.head.find("Docker-Content-Digest"); stated != nullptr && !stated->empty()) {
    // Another algorithm's digest cannot be compared; what claims to be ours must be right.
    const bool other_algorithm = !starts_ignoring_case(*stated, "sha256") && stated->find(':') != std::string::npos;
    if (!other_algorithm && *stated != parsed->digest().str()) {
      return refuse("the manifest's bytes do not have the digest that the registry states", ErrorCode::kCorrupt,
                    Fault::Kind::kProtocol);
    }
  }
  return std::move(*parsed);
}

Outcome<std::optional<std::vector<Chunksum>>> Registry::fetch_chunksums(HttpConnection& connection,
                                                                        const ModelName& name, const Digest& digest,
                                                                        std::uint64_t size_bytes,
                                                                        std::stop_token stop) {
  using Found = std::optional<std::vector<Chunksum>>;
  if (!impl_->requester) return tl::unexpected(impl_->problem);
  auto text =
      impl_->requester->send_text(connection, impl_->ask(name, "/chunksums/" + digest.str()), kMaxChunksumsBytes, stop);
  if (!text && text.error().kind == Fault::Kind::kStopped) return tl::unexpected(text.error());
  // Chunksums only help; whatever is wrong with them, the pull goes on without.
  if (!text || text->answer.head.status != 200 || text->too_long || is_encoded(text->answer.head)) return Found();
  return parse_chunksums(text->body, size_bytes);
}

std::unique_ptr<BlobSource> Registry::blob(const ModelName& name, const Digest& digest, std::uint64_t size_bytes) {
  if (!impl_->requester) return std::make_unique<NoBlobSource>(impl_->problem, impl_->host);
  return std::make_unique<RegistryBlobSource>(*impl_->requester, name.repository(), digest, size_bytes);
}

std::unique_ptr<Uploads> Registry::uploads(const ModelName& name) {
  if (!impl_->requester) return nullptr;
  return std::make_unique<Uploads>(*impl_->requester, name.repository());
}

}  // namespace pullama::registry
