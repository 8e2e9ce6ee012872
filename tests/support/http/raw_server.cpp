#include "tests/support/http/raw_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <stdexcept>

namespace pullama::testing {
namespace {

class PlainPeer final : public Peer {
 public:
  explicit PlainPeer(int socket) : socket_(socket) {}

  bool send(std::string_view bytes) override {
    while (!bytes.empty()) {
      const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

 private:
  std::size_t receive(char* into, std::size_t length) override {
    const auto got = ::recv(socket_, into, length, 0);
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }

  int socket_;
};

class TlsPeer final : public Peer {
 public:
  explicit TlsPeer(SSL* ssl) : ssl_(ssl) {}
  ~TlsPeer() override { SSL_free(ssl_); }
  TlsPeer(const TlsPeer&) = delete;
  TlsPeer& operator=(const TlsPeer&) = delete;

  bool accept() { return SSL_accept(ssl_) == 1; }
  bool send(std::string_view bytes) override {
    return bytes.empty() || SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) > 0;
  }

 private:
  std::size_t receive(char* into, std::size_t length) override {
    const int got = SSL_read(ssl_, into, static_cast<int>(length));
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }

  SSL* ssl_;
};

SSL_CTX* make_context(const RawServer::TlsOptions& options);

}  // namespace

std::optional<std::string> Peer::request() {
  while (true) {
    const auto end = pending_.find("\r\n\r\n");
    if (end != std::string::npos) {
      auto head = pending_.substr(0, end + 4);
      pending_.erase(0, end + 4);
      return head;
    }
    char buffer[4096];
    const auto got = receive(buffer, sizeof buffer);
    if (got == 0) return std::nullopt;
    pending_.append(buffer, got);
  }
}

std::string Peer::read(std::size_t length) {
  while (pending_.size() < length) {
    char buffer[4096];
    const auto got = receive(buffer, sizeof buffer);
    if (got == 0) break;
    pending_.append(buffer, got);
  }
  auto bytes = pending_.substr(0, length);
  pending_.erase(0, bytes.size());
  return bytes;
}

void Peer::hold() {
  char buffer[4096];
  while (receive(buffer, sizeof buffer) > 0) {
  }
}

RawServer::RawServer(Script script, std::optional<TlsOptions> tls) : script_(std::move(script)) {
  // OpenSSL writes without MSG_NOSIGNAL.
  std::signal(SIGPIPE, SIG_IGN);
  if (tls) tls_context_ = make_context(*tls);
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, generic, length) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, generic, &length) != 0) {
    throw std::runtime_error("no socket on loopback");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

RawServer::~RawServer() {
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  ::close(listener_);
  std::vector<std::thread> peers;
  {
    const std::lock_guard lock(mutex_);
    for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
    peers.swap(peers_);
  }
  for (auto& peer : peers) peer.join();
  SSL_CTX_free(static_cast<SSL_CTX*>(tls_context_));
}

std::string RawServer::url(std::string_view target) const {
  return (tls_context_ != nullptr ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port_) +
         std::string(target);
}

void RawServer::accept_all() {
  while (true) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    ++connections_;
    const std::lock_guard lock(mutex_);
    sockets_.push_back(socket);
    peers_.emplace_back([this, socket] { serve(socket); });
  }
}

void RawServer::serve(int socket) {
  if (tls_context_ == nullptr) {
    PlainPeer peer(socket);
    script_(peer);
  } else if (SSL* ssl = SSL_new(static_cast<SSL_CTX*>(tls_context_)); ssl != nullptr) {
    TlsPeer peer(ssl);
    SSL_set_fd(ssl, socket);
    if (peer.accept()) script_(peer);
  }
  const std::lock_guard lock(mutex_);
  sockets_.erase(std::find(sockets_.begin(), sockets_.end(), socket));
  ::close(socket);
}

namespace {

SSL_CTX* make_context(const RawServer::TlsOptions& options) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  BIO* certificate_text = BIO_new_mem_buf(options.identity.certificate.data(), -1);
  BIO* key_text = BIO_new_mem_buf(options.identity.key.data(), -1);
  X509* certificate = PEM_read_bio_X509(certificate_text, nullptr, nullptr, nullptr);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(key_text, nullptr, nullptr, nullptr);
  bool good = certificate != nullptr && key != nullptr && SSL_CTX_use_certificate(context, certificate) == 1 &&
              SSL_CTX_use_PrivateKey(context, key) == 1;
  if (options.only_tls_1_1) {
    SSL_CTX_set_security_level(context, 0);
    good = good && SSL_CTX_set_min_proto_version(context, TLS1_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION) == 1;
  }
  X509_free(certificate);
  EVP_PKEY_free(key);
  BIO_free(certificate_text);
  BIO_free(key_text);
  if (!good) throw std::runtime_error("the test's certificate cannot be used");
  return context;
}

}  // namespace
}  // namespace pullama::testing
