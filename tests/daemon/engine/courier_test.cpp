#include "daemon/engine/courier.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>
#include <thread>

#include "daemon/engine/upload_state.h"
#include "daemon/registry/upload.h"
#include "tests/daemon/engine/push_fixture.h"

using namespace pullama;
using namespace pullama::engine;
using testing::content;
using testing::PushFixture;
using testing::Upload;
using testing::UploadFault;
using Got = io::MessageChannel::Got;

namespace {

const Digest kDigest = io::sha256(std::as_bytes(std::span("abc", 3)));

CourierOrder some_order() {
  CourierOrder order;
  order.request.method = "PATCH";
  order.request.url = "http://h:1/u?_state=a%2Fb";
  order.request.headers = {{"Authorization", "Bearer x"}, {"X-Empty", ""}};
  order.request.total_timeout = std::chrono::seconds(7);
  order.request.refuse_private_addresses = true;
  order.part = {"h:1", "ns/m", 128, 1000, io::Sha256::Midstate{{1, 2, 3, 4, 5, 6, 7, 0xffffffff}, 128}};
  return order;
}

struct Ends {
  Ends() { REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, numbers.data()) == 0); }
  std::array<int, 2> numbers{};
};

// A courier on a thread of its own, at an upload session that has nothing yet.
struct CourierFixture : PushFixture {
  std::string model = content(300'000, 1);
  CourierHello hello{path(""), {}, registry.add_blob(model), model.size()};
  Ends ends;
  std::optional<io::MessageChannel> ours{io::Descriptor(ends.numbers[0])};
  io::MessageChannel theirs{io::Descriptor(ends.numbers[1])};
  std::string session;

  CourierFixture() {
    install("ns/m", {model, "{}"});
    std::filesystem::create_directories(path(".pullm"));
    push_request.model = *ModelName::parse("mem.test/ns/m");
    registry::Registry at(registry, clock, credentials, "mem.test", {});
    const auto connection = at.connect();
    const auto opened =
        at.uploads(push_request.model)->open(*connection, hello.digest, model.size(), "", std::stop_token());
    REQUIRE(opened);
    session = opened->session->text;
  }
  CourierOrder order(std::uint64_t offset, std::uint64_t length) const {
    CourierOrder part;
    part.request.method = "PATCH";
    part.request.url = session;
    part.request.headers = {{"Content-Range", std::to_string(offset) + "-" + std::to_string(offset + length - 1)}};
    part.part = {"mem.test", "ns/m", offset, length, std::nullopt};
    return part;
  }
  std::optional<UploadState> state() {
    const auto text = fs->read_file(upload_file(model), kMaxUploadStateBytes);
    if (!text) return std::nullopt;
    const auto parsed = parse_upload_state(*text, hello.digest, model.size());
    REQUIRE(parsed);
    return *parsed;
  }
};

}  // namespace

TEST_CASE("what a courier is told and says comes over whole, or is refused") {
  const CourierHello hello{
      "/models", "/ca.pem", kDigest, 1ULL << 40, {"http://p:1", "http://u:s@p:2", "localhost", {"/all.pem", "/certs"}}};
  const auto told = decode_hello(encode(hello));
  REQUIRE(told);
  CHECK(told->models_dir == hello.models_dir);
  CHECK(told->ca_file == hello.ca_file);
  CHECK(told->digest == kDigest);
  CHECK(told->size_bytes == hello.size_bytes);
  CHECK(told->network.http_proxy == hello.network.http_proxy);
  CHECK(told->network.https_proxy == hello.network.https_proxy);
  CHECK(told->network.no_proxy == hello.network.no_proxy);
  CHECK(told->network.cas.file == hello.network.cas.file);
  CHECK(told->network.cas.folder == hello.network.cas.folder);

  const auto order = decode_order(encode(some_order()));
  REQUIRE(order);
  CHECK(order->request.url == some_order().request.url);
  REQUIRE(order->request.headers.size() == 2);
  CHECK(order->request.headers[0].value == "Bearer x");
  CHECK(order->request.total_timeout == std::chrono::seconds(7));
  CHECK(order->request.refuse_private_addresses);
  CHECK(order->part.front == some_order().part.front);
  CHECK(order->part.length == 1000);

  registry::HttpHead head{202, {{"Location", "/v2/\xff"}}, true};
  const auto answer = decode_reply(encode(CourierReply(CourierAnswer{head, "body"})));
  REQUIRE(answer);
  REQUIRE(std::holds_alternative<CourierAnswer>(*answer));
  CHECK(std::get<CourierAnswer>(*answer).head.status == 202);
  CHECK(std::get<CourierAnswer>(*answer).head.headers.at(0).value == "/v2/\xff");
  CHECK(std::get<CourierAnswer>(*answer).head.peer_is_private);
  CHECK(std::get<CourierAnswer>(*answer).body == "body");
  const registry::HttpFailure failure{registry::HttpFailure::Kind::kTls, registry::Stage::kTls, "no"};
  const auto said = decode_reply(encode(CourierReply(failure)));
  REQUIRE(said);
  REQUIRE(std::holds_alternative<registry::HttpFailure>(*said));
  CHECK(std::get<registry::HttpFailure>(*said).kind == failure.kind);

  const auto whole_order = encode(some_order()), whole_hello = encode(hello),
             whole_reply = encode(CourierReply(CourierAnswer{head, "body"}));
  for (std::size_t length = 0; length < whole_order.size(); ++length)
    CHECK_FALSE(decode_order(whole_order.substr(0, length)));
  for (std::size_t length = 0; length < whole_hello.size(); ++length)
    CHECK_FALSE(decode_hello(whole_hello.substr(0, length)));
  for (std::size_t length = 0; length < whole_reply.size(); ++length)
    CHECK_FALSE(decode_reply(whole_reply.substr(0, length)));
  CHECK_FALSE(decode_order(whole_order + "x"));
  CHECK_FALSE(decode_reply(std::string(8, '\x09')));
}

TEST_CASE("a courier saves where the upload stands before it answers") {
  CourierFixture f;
  std::jthread courier([&f] { serve_courier(f.theirs, f.hello, *f.fs, f.registry); });
  REQUIRE(f.ours->send(encode(f.order(0, 200'000))));
  std::string message;
  std::optional<CourierAnswer> answer;
  while (!answer) {
    REQUIRE(f.ours->receive(message, std::chrono::seconds(60)) == Got::kMessage);
    const auto reply = decode_reply(message);
    REQUIRE(reply);
    if (const auto* last = std::get_if<CourierAnswer>(&*reply)) answer = *last;
  }
  CHECK(answer->head.status == 202);
  const auto state = f.state();
  REQUIRE(state);
  CHECK(state->offset == 200'000);
  CHECK(state->host == "mem.test");
  // As long as it lives the blob's file is locked.
  const auto file = f.fs->open(store::blob_path(f.hello.digest), io::OpenMode::kRead);
  REQUIRE(file);
  CHECK_FALSE(*(*file)->try_lock());
  f.ours.reset();
  courier.join();
  CHECK(*(*file)->try_lock());
}

TEST_CASE("a courier whose daemon is gone ends the part that is under way, and the next push goes on behind it") {
  CourierFixture f;
  f.up.set_on_piece([&f](std::uint64_t total) {
    if (total >= 100'000) f.ours.reset();
  });
  std::jthread courier([&f] { serve_courier(f.theirs, f.hello, *f.fs, f.registry); });
  REQUIRE(f.ours->send(encode(f.order(0, 200'000))));
  courier.join();
  f.up.set_on_piece({});
  const auto state = f.state();
  REQUIRE(state);
  CHECK(state->offset == 200'000);
  const auto summary = f.push();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.up.bytes() == f.model.size() + 2);
  CHECK(summary->saved_bytes == 200'000);
  CHECK(f.at_registry(f.model));
}

TEST_CASE("what the registry refuses leaves the upload state as it was") {
  CourierFixture f;
  f.up.set_hook([](const Upload& upload) {
    UploadFault fault;
    if (upload.method == "PATCH") fault.instead = testing::refusal(404, "BLOB_UPLOAD_UNKNOWN");
    return fault;
  });
  std::jthread courier([&f] { serve_courier(f.theirs, f.hello, *f.fs, f.registry); });
  REQUIRE(f.ours->send(encode(f.order(0, 200'000))));
  f.ours.reset();
  courier.join();
  CHECK_FALSE(f.state());
}

TEST_CASE("an order past the end of the blob is not carried out") {
  CourierFixture f;
  std::jthread courier([&f] { serve_courier(f.theirs, f.hello, *f.fs, f.registry); });
  REQUIRE(f.ours->send(encode(f.order(200'000, 200'000))));
  courier.join();
  CHECK(f.requests("PATCH", "") == 0);
}
