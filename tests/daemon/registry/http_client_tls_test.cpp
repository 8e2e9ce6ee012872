#include <doctest/doctest.h>

#include "daemon/registry/http_client.h"
#include "daemon/registry/http_failure.h"
#include "tests/support/http/raw_server.h"
#include "tests/support/http/recording_handler.h"
#include "tests/support/io/temp_dir.h"

using namespace pullama::registry;
using pullama::testing::CertificateShape;
using pullama::testing::Peer;
using pullama::testing::RawServer;
using pullama::testing::RecordingHandler;
using pullama::testing::TempDir;
using pullama::testing::TestCa;
using pullama::testing::TlsIdentity;
using Kind = HttpFailure::Kind;

namespace {

const TestCa& ca() {
  static const TestCa instance;
  return instance;
}

tl::expected<void, HttpFailure> ask(RawServer::TlsOptions tls, const NetworkEnvironment& environment,
                                    const std::string& ca_file) {
  const RawServer server(
      [](Peer& peer) {
        if (peer.request()) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        peer.hold();
      },
      std::move(tls));
  CurlHttp http(environment);
  HttpRequest request;
  request.url = server.url("/");
  RecordingHandler handler;
  auto result = http.connect({ca_file})->perform(request, handler, {});
  if (result) CHECK(handler.body == "ok");
  return result;
}

}  // namespace

TEST_CASE("a CA file of one's own is trusted, beside nothing else") {
  const TempDir dir;
  dir.write("ca.pem", ca().certificate());
  const TestCa stranger;
  dir.write("stranger.pem", stranger.certificate());
  CHECK(ask({ca().issue()}, {}, dir / "ca.pem"));
  CHECK_FALSE(ask({ca().issue()}, {}, dir / "stranger.pem"));

  NetworkEnvironment environment;
  environment.cas.file = dir / "ca.pem";
  CHECK(ask({ca().issue()}, environment, ""));
  CHECK_FALSE(ask({ca().issue()}, environment, dir / "stranger.pem"));
}

TEST_CASE("bad certificates are refused for good, each by name") {
  const TempDir dir;
  dir.write("ca.pem", ca().certificate());
  dir.write("broken.pem", "no certificate");
  struct Row {
    RawServer::TlsOptions tls;
    std::string ca_file, words;
    Distrust distrust;
  };
  for (auto& row :
       std::vector<Row>{{{TestCa::self_signed()}, dir / "ca.pem", "self-signed", Distrust::kIssuer},
                        {{TestCa{}.issue()}, dir / "ca.pem", "authority that is not trusted", Distrust::kIssuer},
                        {{ca().issue({"127.0.0.1", true})}, dir / "ca.pem", "expired", Distrust::kTime},
                        {{ca().issue({"127.0.0.2", false})}, dir / "ca.pem", "another host", Distrust::kHost},
                        {{ca().issue()}, dir / "missing.pem", "missing.pem", Distrust::kCas},
                        {{ca().issue()}, dir / "broken.pem", "broken.pem", Distrust::kCas},
                        {{ca().issue(), true}, dir / "ca.pem", "no TLS 1.2", Distrust::kNoTls}}) {
    CAPTURE(row.words);
    const auto result = ask(row.tls, {}, row.ca_file);
    REQUIRE_FALSE(result);
    CHECK(result.error().kind == Kind::kCertificate);
    CHECK(result.error().stage == Stage::kTls);
    CHECK(result.error().distrust == row.distrust);
    CHECK_MESSAGE(result.error().message.find(row.words) != std::string::npos, result.error().message);
    CHECK(result.error().message.find("127.0.0.1:") != std::string::npos);
  }
}

TEST_CASE("a handshake that is broken off is no verdict, one that is answered in plain HTTP is") {
  struct Row {
    std::string answer;
    Kind kind;
    std::string words;
  };
  for (const auto& row : std::vector<Row>{{"", Kind::kTls, "TLS handshake"},
                                          {"HTTP/1.1 400 Bad Request\r\n\r\n", Kind::kCertificate, "--insecure"}}) {
    CAPTURE(row.answer);
    const RawServer server([&](Peer& peer) {
      peer.send(row.answer);
      peer.read(1);
    });
    CurlHttp http({});
    HttpRequest request;
    request.url = "https" + server.url("/").substr(4);
    RecordingHandler handler;
    const auto result = http.connect({})->perform(request, handler, {});
    REQUIRE_FALSE(result);
    CHECK(result.error().kind == row.kind);
    CHECK_MESSAGE(result.error().message.find(row.words) != std::string::npos, result.error().message);
  }
}
