#pragma once
// An event hub whose clock stands still, a state that its events change, and readers that are sessions without sockets.

#include <doctest/doctest.h>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/rpc/event_hub.h"

namespace pullama::rpc::test {

using nlohmann::json;

// Takes lines as a session does, without a socket: seen() is what it was sent, parsed.
struct Reader : SessionContext {
  explicit Reader(std::uint64_t number) : number_(number) {}
  ~Reader() override {
    for (const auto& action : close_actions) action();
  }
  std::uint64_t id() const override { return number_; }
  const Peer& peer() const override { return nobody; }
  void on_close(std::function<void()> action) override { close_actions.push_back(std::move(action)); }
  bool has_room(std::size_t more) override { return bytes + more <= room; }
  void send(Line line) override {
    bytes += line->size();
    lines.push_back(line);
    texts.push_back(line);
  }
  void send_sample(const std::string& key, Line line) override {
    keys.push_back(key);
    samples.push_back(json::parse(*line)["params"]);
    texts.push_back(line);
  }
  void when_drained(std::function<void()> action) override { drained = std::move(action); }
  void hold_open(bool value) override { held = value; }
  void disconnect() override { dropped = true; }

  Reply reply() {
    return Reply([this](Reply::Outcome outcome) {
      answered_at = texts.size();
      if (outcome) {
        answer = json::parse(*outcome);
      } else {
        refusal = outcome.error();
      }
    });
  }
  std::vector<json> seen() const {
    std::vector<json> all;
    for (const Line& text : texts) all.push_back(json::parse(*text)["params"]);
    return all;
  }
  std::vector<std::uint64_t> seqs() const {
    std::vector<std::uint64_t> all;
    for (const json& event : seen()) {
      if (event["type"] != "blob.progress" && event.contains("seq")) all.push_back(event["seq"]);
    }
    return all;
  }
  void drain() {
    while (drained) {
      bytes = 0;
      std::exchange(drained, nullptr)();
    }
  }

  std::uint64_t number_;
  Peer nobody;
  std::vector<std::function<void()>> close_actions;
  std::function<void()> drained;
  std::vector<Line> texts;  // everything, in order
  std::vector<json> samples;
  std::vector<std::string> keys;
  std::vector<Line> lines;
  std::size_t bytes = 0, answered_at = 0, room = SIZE_MAX;
  bool held = false, dropped = false;
  json answer;
  std::optional<proto::RpcError> refusal;
};

inline Digest digest(std::uint8_t byte) {
  Digest::Bytes bytes{};
  bytes[0] = byte;
  return Digest::from_bytes(bytes);
}

inline proto::Event event(const std::string& job, proto::EventBody body) {
  proto::Event made;
  made.job = job;
  made.model = "llama3.2:latest";
  made.body = std::move(body);
  return made;
}

inline proto::Event progress(const std::string& job, std::uint8_t blob, std::uint64_t done) {
  proto::event::BlobProgress body;
  body.blob = {digest(blob), 1000, blob, 3};
  body.bytes_done = done;
  return event(job, body);
}

struct Hub {
  boost::asio::io_context io;
  std::chrono::steady_clock::time_point time{std::chrono::hours(1)};  // stands still unless a test moves it
  std::map<std::string, proto::JobState> jobs;                        // the state that events change
  EventHub hub{io, [this](const auto&) { return snapshot(); }, [this] { return time; }};

  proto::Snapshot snapshot() const {
    proto::Snapshot all;
    for (const auto& [id, state] : jobs) {
      proto::JobSnapshot job;
      job.id = id;
      job.model = "llama3.2:latest";
      job.models_dir = "/models";
      job.state = state;
      all.jobs.push_back(job);
    }
    return all;
  }
  void change(const std::string& job, proto::JobState state) {
    jobs[job] = state;
    if (state == proto::JobState::kPaused) return hub.publish(event(job, proto::event::JobPaused{}));
    if (state == proto::JobState::kActive) return hub.publish(event(job, proto::event::JobResumed{}));
    hub.publish(event(job, proto::event::JobCancelled{}));
  }
  void subscribe(Reader& reader, proto::SubscribeParams params = {}) { hub.subscribe(reader, params, reader.reply()); }
  void run_a_pass() { io.restart(), io.run_one(); }
};

inline proto::SubscribeParams since(std::uint64_t seq) {
  proto::SubscribeParams params;
  params.since = seq;
  return params;
}

inline std::vector<std::uint64_t> range(std::uint64_t first, std::uint64_t last) {
  std::vector<std::uint64_t> all;
  for (std::uint64_t seq = first; seq <= last; ++seq) all.push_back(seq);
  return all;
}

}  // namespace pullama::rpc::test
