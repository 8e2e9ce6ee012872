#include "tests/support/scripted_registry/answer.h"

#include <strings.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace pullama::scripted {
namespace {

using namespace std::chrono_literals;

std::string header_text(const Answer& answer, const Fault* fault) {
  std::string text = "HTTP/1.1 " + std::to_string(answer.status) + " Scripted\r\n";
  for (const auto& [name, value] : answer.headers) text += name + ": " + value + "\r\n";
  for (std::uint64_t left = fault != nullptr ? fault->header_bomb : 0, i = 0; left > 0; ++i) {
    const std::string line = "X-Filler-" + std::to_string(i) + ": " + std::string(200, 'f') + "\r\n";
    text += line;
    left -= std::min<std::uint64_t>(left, line.size());
  }
  const bool bodiless = answer.status == 204 || answer.status == 304;
  if (fault != nullptr && fault->chunked) {
    text += "Transfer-Encoding: chunked\r\n";
  } else if (!bodiless && !(fault != nullptr && fault->no_length)) {
    const bool stated = std::any_of(answer.headers.begin(), answer.headers.end(), [](const auto& header) {
      return ::strcasecmp(header.first.c_str(), "content-length") == 0;
    });
    if (!stated) text += "Content-Length: " + std::to_string(answer.length) + "\r\n";
  }
  if (fault != nullptr && fault->no_length) text += "Connection: close\r\n";
  return text + "\r\n";
}

bool send_headers(const std::string& text, const Fault* fault, Wire& wire, Lifetime& lifetime) {
  if (fault == nullptr || fault->slow_headers_ms == 0) return wire.send(text);
  for (const char byte : text) {
    if (!wire.send({&byte, 1}) || !lifetime.sleep(std::chrono::milliseconds(fault->slow_headers_ms))) return false;
  }
  return true;
}

// How far the body may go before the fault strikes; its whole length where none does.
std::uint64_t until_strike(const Answer& answer, const Fault* fault) {
  std::uint64_t most = answer.length;
  if (fault == nullptr) return most;
  for (const auto& point : {fault->reset_after, fault->close_after, fault->stall_after}) {
    if (point) most = std::min(most, *point);
  }
  return most;
}

std::string chunk_header(std::uint64_t size) {
  std::array<char, 24> text{};
  const int count = std::snprintf(text.data(), text.size(), "%llx\r\n", static_cast<unsigned long long>(size));
  return {text.data(), static_cast<std::size_t>(count)};
}

}  // namespace

Answer Answer::of_text(int status, std::string text, std::string type) {
  Answer answer;
  answer.status = status;
  answer.headers.emplace_back("Content-Type", std::move(type));
  answer.length = text.size();
  answer.body = Content::of_text(std::move(text));
  return answer;
}

void Answer::drop_header(const std::string& name) {
  std::erase_if(headers, [&](const auto& header) { return ::strcasecmp(header.first.c_str(), name.c_str()) == 0; });
}

void Answer::set_header(const std::string& name, std::string value) {
  drop_header(name);
  headers.emplace_back(name, std::move(value));
}

bool Throttle::pass(std::uint64_t bytes, std::uint64_t rate, Lifetime& lifetime) {
  if (rate == 0) return !lifetime.stopped();
  std::chrono::steady_clock::time_point mine;
  {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    mine = std::max(next_, now);
    next_ = mine + std::chrono::nanoseconds(bytes * 1'000'000'000 / rate);
  }
  const auto wait = mine - std::chrono::steady_clock::now();
  return wait <= 0ns || lifetime.sleep(wait);
}

void distort(Answer& answer, const Fault& fault) {
  if (fault.status) {
    const bool head_only = answer.head_only;
    answer = Answer::of_text(*fault.status, fault.body.value_or(""), "text/plain");
    answer.head_only = head_only;
  } else if (fault.body) {
    answer.body = Content::of_text(*fault.body);
    answer.offset = 0;
    answer.length = fault.body->size();
  }
  for (const auto& name : fault.drop_headers) answer.drop_header(name);
  for (const auto& [name, value] : fault.headers) answer.set_header(name, value);
  if (fault.endless_body) answer.length += *fault.endless_body;
}

Sent send(const Answer& answer, const Fault* fault, Wire& wire, Speed speed, Throttle& total, Lifetime& lifetime) {
  Sent sent;
  sent.end = "gone";
  if (fault != nullptr) {
    if (fault->delay_ms > 0 && !lifetime.sleep(std::chrono::milliseconds(fault->delay_ms))) return sent;
    if (fault->reset_before || fault->close_before) {
      fault->reset_before ? wire.reset() : wire.finish();
      sent.end = fault->reset_before ? "reset" : "closed";
      return sent;
    }
    if (fault->raw) {
      if (wire.send(*fault->raw)) sent.end = "raw";
      wire.finish();
      return sent;
    }
  }
  if (!send_headers(header_text(answer, fault), fault, wire, lifetime)) return sent;
  if (answer.head_only) {
    sent.end = "whole";
    return sent;
  }

  const std::uint64_t most = until_strike(answer, fault);
  const bool chunked = fault != nullptr && fault->chunked;
  Throttle own;
  std::uint64_t rate = fault != nullptr && fault->rate > 0 ? fault->rate : speed.connection_rate;
  std::uint64_t piece = 256 << 10;
  for (const std::uint64_t limit : {rate, speed.total_rate}) {
    if (limit > 0) piece = std::clamp<std::uint64_t>(limit / 50, 1, piece);
  }
  if (fault != nullptr && fault->drip_bytes > 0) piece = fault->drip_bytes;
  std::vector<char> buffer(piece);
  while (sent.body_bytes < most) {
    const std::uint64_t count = std::min<std::uint64_t>(piece, most - sent.body_bytes);
    const std::uint64_t at = answer.offset + sent.body_bytes;
    // Beyond the content there is filler: bodies that are longer than they should be.
    const std::uint64_t real =
        answer.body ? std::min(count, answer.body->size() - std::min(at, answer.body->size())) : 0;
    if (real > 0) answer.body->read(at, std::span(buffer).first(real));
    std::fill(buffer.begin() + static_cast<std::ptrdiff_t>(real), buffer.end(), 'x');
    if (fault != nullptr) {
      for (const std::uint64_t offset : fault->flip) {
        if (offset >= at && offset < at + count) buffer[offset - at] ^= 1;
      }
    }
    if (!own.pass(count, rate, lifetime) || !total.pass(count, speed.total_rate, lifetime)) return sent;
    if (wire.peer_is_gone()) return sent;  // what nobody can receive is not sent
    if (chunked && !wire.send(chunk_header(count))) return sent;
    if (!wire.send({buffer.data(), count})) return sent;
    if (chunked && !wire.send("\r\n")) return sent;
    sent.body_bytes += count;
    if (fault != nullptr && fault->drip_bytes > 0 && !lifetime.sleep(std::chrono::milliseconds(fault->drip_ms))) {
      return sent;
    }
  }
  if (fault != nullptr && fault->reset_after && *fault->reset_after <= most) {
    wire.reset();
    sent.end = "reset";
  } else if (fault != nullptr && fault->stall_after && *fault->stall_after <= most) {
    // Nothing more comes, and the connection stays open.
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(fault->stall_s);
    while (std::chrono::steady_clock::now() < end && lifetime.sleep(50ms)) {
      if (wire.wait_readable(0ms)) break;  // the peer closed
    }
    wire.finish();
    sent.end = "stalled";
  } else if (fault != nullptr && ((fault->close_after && *fault->close_after <= most) || fault->no_length)) {
    wire.finish();
    sent.end = fault->no_length ? "whole" : "closed";
  } else {
    sent.end = !chunked || wire.send("0\r\n\r\n") ? "whole" : "gone";
  }
  return sent;
}

}  // namespace pullama::scripted
