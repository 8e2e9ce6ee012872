// What lies on the disk: our own files after a crash or another program's hand, and other programs' files.
#include <optional>
#include <string>
#include <vector>

#include "daemon/command_words.h"
#include "daemon/config.h"
#include "daemon/config_keys.h"
#include "daemon/engine/checkpoint.h"
#include "daemon/engine/ollama_partial.h"
#include "daemon/engine/unsynced_checkpoint.h"
#include "daemon/queue/queue.h"
#include "daemon/queue/queue_codec.h"
#include "daemon/registry/mirror.h"
#include "tests/fuzz/targets.h"

namespace pullama::fuzz {
namespace {

constexpr std::uint64_t kSize = 100'000;
const Digest kDigest = *Digest::parse("sha256:" + std::string(64, 'c'));

void must_be_plan(const engine::ChunkPlan& plan) {
  std::uint64_t next = 0, received = 0;
  for (const auto& chunk : plan.chunks()) {
    must(chunk.start == next && chunk.end > chunk.start && chunk.end <= kSize, "chunks have no gap");
    must(chunk.received <= chunk.end - chunk.start, "no more is received than a chunk has");
    must(chunk.checked == (chunk.received == 0), "what a file claims is looked at first");
    next = chunk.end;
    received += chunk.received;
  }
  must(next == kSize && received == plan.received_bytes(), "chunks cover the blob");
}

// Else the checksum keeps every mutation out.
std::string with_right_checksum(std::string_view input) {
  constexpr std::string_view kMember = ",\"checksum\":\"";
  std::string text(input.substr(0, input.rfind(kMember)));
  const auto sum = io::xxh3(std::as_bytes(std::span(text.data(), text.size()))).hex();
  return text + std::string(kMember) + sum + "\"}\n";
}

void one_checkpoint(std::string_view text) {
  const auto parsed = engine::parse_checkpoint(text, kDigest, kSize);
  if (!parsed) return;
  must_be_plan(parsed->plan);
  const auto again = engine::parse_checkpoint(engine::format_checkpoint(kDigest, parsed->inode, parsed->length_bytes,
                                                                        parsed->restarts, parsed->front, parsed->plan),
                                              kDigest, kSize);
  must(again.has_value(), "a checkpoint that was read can be written and read");
  must(again->plan.received_bytes() == parsed->plan.received_bytes() && again->inode == parsed->inode,
       "a checkpoint comes back as it was");
}

}  // namespace

void checkpoint(std::string_view input) {
  one_checkpoint(input);
  one_checkpoint(with_right_checksum(input));
}

void checkpoint_unsynced(std::string_view input) {
  const auto parsed = engine::parse_unsynced(input, kDigest, kSize);
  if (parsed) must_be_plan(parsed->checkpoint.plan);
  // And with a seal that fits: the first line stands for the sequence, the rest is the checkpoint.
  const std::string_view sequence = take_line(input);
  const std::string text = with_right_checksum(input);
  const auto sealed = engine::parse_unsynced(engine::format_unsynced(sequence.size(), text), kDigest, kSize);
  must(sealed.has_value() == engine::parse_checkpoint(text, kDigest, kSize).has_value(),
       "a record holds where its checkpoint does");
  must(!sealed || sealed->sequence == sequence.size(), "a record comes back as it was");
}

void checkpoint_original(std::string_view input) {
  const auto parsed = engine::parse_checkpoint_v1(input, kDigest, kSize, 4096);
  if (parsed) must_be_plan(parsed->plan);
}

void ollama_partial(std::string_view input) {
  std::vector<engine::Claim> present;
  while (!input.empty()) {
    const auto part = engine::parse_ollama_part(take_line(input), kSize);
    if (!part) continue;
    must(part->begin <= part->end && part->end <= kSize, "a part lies within the blob");
    present.push_back(*part);
  }
  if (!present.empty()) must_be_plan(engine::adopted_plan(kSize, 4096, present));
}

void queue(std::string_view input) {
  const auto decoded = pullama::queue::decode(input, "/models");
  if (!decoded) return;
  const std::string text = pullama::queue::Encoder().encode(decoded->data);
  const auto again = pullama::queue::decode(text, "/models");
  must(again.has_value() && again->warnings.empty(), "a queue that was read can be written and read");
  must(pullama::queue::Encoder().encode(again->data) == text, "a queue comes back as it was");
  // It must be one that the state machine can hold: ids once, below the next one.
  pullama::queue::Queue queue(decoded->data);
  for (const auto& job : queue.entries()) must(queue.find(job->id) == job, "an entry is found by its id");
  static_cast<void>(queue.next_to_run());
  static_cast<void>(queue.interrupted());
}

void config(std::string_view input) {
  const ConfigFile file{"/etc/pullama/pullamad.conf", std::string(input)};
  const auto nothing_set = [](const std::string&) -> std::optional<std::string> { return std::nullopt; };
  const auto nothing_there = [](const std::string&) { return false; };
  const pullama::ConfigPlaces places{"/here", "/home/mia", nothing_there};
  const auto configured = configure(std::span(&file, 1), nothing_set, {}, places);
  must(configured.has_value(), "a file that is wrong keeps nobody from starting");
  must(configured->config.on_finished_limit.count() > 0, "a limit has a limit");
  must(configured->config.models_dir.starts_with('/'), "the models dir is absolute");
  for (const auto& key : pullama::config_keys()) static_cast<void>(key.show(configured->config));
  const auto mirrors = pullama::registry::parse_mirrors(input);
  if (mirrors) must(!mirrors->empty() || input.empty(), "a mirror is one");
  const auto words = split_command(input);
  if (words) must(words->size() <= 256, "a command's words are limited");
}

}  // namespace pullama::fuzz
