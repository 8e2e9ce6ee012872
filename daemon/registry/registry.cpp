#include "daemon/registry/registry.h"

#include <atomic>
#include <map>

#include "daemon/registry/ascii.h"
#include "daemon/registry/blob_source.h"
#include "daemon/registry/chunksums.h"
#include "daemon/registry/error_text.h"
#include "daemon/registry/mirrored_blob.h"
#include "daemon/registry/requester.h"
#include "daemon/registry/response.h"
#include "daemon/registry/upload.h"

namespace pullama::registry {

namespace {

// A cache that fetches what it is asked for takes a while to answer.
Manner manner_of_mirror(bool insecure) {
  // Over http:// a signature is for whoever listens, and nobody said --insecure for this host.
  return {std::chrono::seconds(5), std::chrono::seconds(10), !insecure};
}

}  // namespace

// Without a requester where the host is no host: every call says so.
struct Registry::Impl {
  struct MirrorOf {
    MirrorOf(Http& http, const io::Clock& clock, const Credentials& credentials, std::string host,
             RegistryOptions options);
    Registry registry;
    std::atomic<bool> is_down{false};
    std::atomic<bool> misleads{false};  // its manifest names a blob that the origin has not
  };

  // Of the first mirror that answers; nothing where none does.
  template <class T>
  std::optional<T> from_mirrors(const std::function<Outcome<T>(MirrorOf&)>& ask_for, const std::stop_token& stop) {
    for (const auto& mirror : mirrors) {
      if (mirror->is_down || mirror->misleads || stop.stop_requested()) continue;
      auto answer = ask_for(*mirror);
      if (answer) return std::move(*answer);
      if (answer.error().http_status == 0 && answer.error().kind != Fault::Kind::kStopped) mirror->is_down = true;
    }
    return std::nullopt;
  }

  Impl(Http& transport, const io::Clock& time, const Credentials& credentials, std::string name,
       RegistryOptions options, Manner manner = {})
      : http(transport), clock(time), host(std::move(name)), ca_file(options.ca_file) {
    auto url = Url::parse((options.insecure ? "http://" : "https://") + host);
    if (!url || url->target != "/" || url->path() != "/") {
      problem =
          make_fault(Fault::Kind::kPermanent, ErrorCode::kInvalidArgument, "'" + host + "' is not a registry's host");
      return;
    }
    for (const Mirror& mirror : options.mirrors) {
      RegistryOptions theirs = options;
      theirs.mirrors.clear();
      theirs.insecure = mirror.origin.starts_with("http://");
      const std::string address = mirror.origin.substr(mirror.origin.find("//") + 2);
      mirrors.push_back(std::make_unique<MirrorOf>(http, clock, credentials, address, std::move(theirs)));
    }
    requester.emplace(clock, credentials, std::move(*url), std::move(options), manner);
  }

  Ask ask(const ModelName& name, const std::string& rest) const {
    Ask result;
    result.repository = name.repository();
    result.url = *Url::parse(requester->registry().origin() + "/v2/" + result.repository + rest);
    result.total_timeout = requester->options().request_timeout;
    return result;
  }

  Fault manifest_refused(const ModelName& name, const Requester::Text& text) const;
  void blob_refused(Fault& fault);
  Outcome<manifest::Manifest> accept(const ModelName& name, Requester::Text text) const;

  Http& http;
  const io::Clock& clock;
  const std::string host, ca_file;
  std::vector<std::unique_ptr<MirrorOf>> mirrors;
  std::mutex progress_mutex;  // guards the next
  std::map<Digest, std::shared_ptr<MirrorProgress>> progress;
  std::atomic<bool> origin_spoke{false};  // the manifest is its own: so may the chunksums be
  std::atomic<MirrorOf*> manifest_from{nullptr};
  std::optional<Requester> requester;
  Fault problem;
};

Registry::Impl::MirrorOf::MirrorOf(Http& http, const io::Clock& clock, const Credentials& credentials, std::string host,
                                   RegistryOptions options)
    : registry(http, clock, credentials, host, {}) {
  const auto manner = manner_of_mirror(options.insecure);
  registry.impl_ = std::make_unique<Impl>(http, clock, credentials, std::move(host), std::move(options), manner);
}

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
  impl_->manifest_from = nullptr;
  auto mirrored = impl_->from_mirrors<manifest::Manifest>(
      [&](Impl::MirrorOf& mirror) {
        auto manifest = mirror.registry.fetch_manifest(connection, name, stop);
        if (manifest) impl_->manifest_from = &mirror;
        return manifest;
      },
      stop);
  if (mirrored) return std::move(*mirrored);
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
  impl_->origin_spoke = true;
  return impl_->accept(name, std::move(*text));
}

bool Registry::was_misled() const {
  const Impl::MirrorOf* const mirror = impl_->manifest_from;
  return mirror != nullptr && mirror->misleads;
}

// The mirrors have it not, or wrong bytes of it.
void Registry::Impl::blob_refused(Fault& fault) {
  MirrorOf* const mirror = manifest_from;
  if (mirror == nullptr || fault.kind != Fault::Kind::kPermanent || fault.http_status < 400) return;
  mirror->misleads = true;
  fault.error.message += "; the manifest is that of the mirror " + mirror->registry.host();
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
  // A mirror that has none is no reason to ask the origin: machines behind one may have no other way.
  auto mirrored = impl_->from_mirrors<Found>(
      [&](Impl::MirrorOf& mirror) {
        return mirror.registry.fetch_chunksums(connection, name, digest, size_bytes, stop);
      },
      stop);
  if (mirrored && (*mirrored || !impl_->origin_spoke)) return std::move(*mirrored);
  auto text =
      impl_->requester->send_text(connection, impl_->ask(name, "/chunksums/" + digest.str()), kMaxChunksumsBytes, stop);
  if (!text && text.error().kind == Fault::Kind::kStopped) return tl::unexpected(text.error());
  // Chunksums only help; whatever is wrong with them, the pull goes on without.
  if (!text || text->answer.head.status != 200 || text->too_long || is_encoded(text->answer.head)) return Found();
  return parse_chunksums(text->body, size_bytes);
}

std::unique_ptr<BlobSource> Registry::blob(const ModelName& name, const Digest& digest, std::uint64_t size_bytes) {
  if (!impl_->requester) return std::make_unique<NoBlobSource>(impl_->problem, impl_->host);
  auto origin = std::make_unique<RegistryBlobSource>(*impl_->requester, name.repository(), digest, size_bytes);
  if (impl_->mirrors.empty()) return origin;
  std::vector<MirroredBlob::Place> places;
  for (const auto& mirror : impl_->mirrors) {
    places.push_back({mirror->registry.blob(name, digest, size_bytes), &mirror->is_down});
  }
  places.push_back({std::move(origin), nullptr});
  const std::lock_guard lock(impl_->progress_mutex);
  auto& progress = impl_->progress[digest];
  if (!progress) progress = std::make_shared<MirrorProgress>();
  return std::make_unique<MirroredBlob>(impl_->clock, std::move(places), progress,
                                        [this](Fault& fault) { impl_->blob_refused(fault); });
}

std::unique_ptr<Uploads> Registry::uploads(const ModelName& name) {
  if (!impl_->requester) return nullptr;
  return std::make_unique<Uploads>(*impl_->requester, name.repository());
}

}  // namespace pullama::registry
