// line-proxy: a TCP line between two programs on this machine that is long (delay), thin (rate) or breaks (cut).

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <list>
#include <string_view>

#include "tests/support/line_proxy/pipe.h"

namespace {

using pullama::line::Clock;
using pullama::line::Line;
using pullama::line::Pipe;

constexpr const char* kHelp =
    R"(line-proxy: forwards TCP connections on 127.0.0.1 over a line that is long, thin or breaks.

usage: line-proxy --to PORT [--port N] [--delay-ms N] [--rate BYTES_A_SECOND] [--window BYTES] [--cut-after BYTES]

--delay-ms is each way; --rate is a connection's, towards the client; --window (default 4 MiB) is what may be under way
in one direction of a connection, as a TCP window is; --cut-after resets a connection after so many bytes towards the
client. SIGUSR1 resets all connections. Prints the port that it listens on; ends at SIGTERM or when its parent dies.
)";

volatile std::sig_atomic_t reset_all = 0;

bool number(const char* text, std::uint64_t& value) {
  const auto end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, value);
  return error == std::errc() && at == end;
}

sockaddr_in loopback(std::uint64_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

void prepare(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
}

struct Connection {
  Connection(int client_fd, int server_fd, const Line& line)
      : client(client_fd), server(server_fd), up(line, false), down(line, true) {}
  Connection(const Connection&) = delete;
  ~Connection() {
    if (broken) {
      const linger now{1, 0};
      ::setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    ::close(client);
    ::close(server);
  }

  // Moves what can be moved; false: over.
  bool move(Clock::time_point now, const Line& line) {
    const bool fine = up.read_from(client, now) && up.write_to(server, now, server_full) &&
                      down.read_from(server, now) && down.write_to(client, now, client_full);
    broken = !fine || (line.cut_after != 0 && down.passed() >= line.cut_after);
    return !broken && !(up.is_finished() || down.is_finished());
  }

  int client, server;
  Pipe up, down;
  bool server_full = false, client_full = false, broken = false;
};

short events(bool reads, bool writes) { return static_cast<short>((reads ? POLLIN : 0) | (writes ? POLLOUT : 0)); }

int serve(int listener, const sockaddr_in& target, const Line& line) {
  std::list<Connection> connections;
  std::vector<pollfd> polled;
  while (true) {
    const auto now = Clock::now();
    std::optional<Clock::time_point> wake;
    polled.assign(1, {listener, POLLIN, 0});
    for (auto at = connections.begin(); at != connections.end();) {
      if (reset_all != 0) at->broken = true;
      if (at->broken || !at->move(now, line)) {
        at = connections.erase(at);
        continue;
      }
      for (const auto& [due, full] : {std::pair(at->up.due(), at->server_full), {at->down.due(), at->client_full}}) {
        if (due && !full) wake = wake ? std::min(*wake, *due) : *due;
      }
      polled.push_back({at->client, events(at->up.wants_bytes(), at->client_full), 0});
      polled.push_back({at->server, events(at->down.wants_bytes(), at->server_full), 0});
      ++at;
    }
    reset_all = 0;
    timespec wait{};
    if (wake) {
      const auto left = std::max(std::chrono::nanoseconds(0), std::chrono::nanoseconds(*wake - Clock::now()));
      wait = {left.count() / 1'000'000'000, left.count() % 1'000'000'000};
    }
    if (::ppoll(polled.data(), polled.size(), wake ? &wait : nullptr, nullptr) < 0 && errno != EINTR) return 1;
    if ((polled.front().revents & POLLIN) == 0) continue;
    const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0) {
      ::close(client);
      ::close(server);
      continue;
    }
    prepare(client);
    prepare(server);
    connections.emplace_back(client, server, line);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Line line;
  std::uint64_t to = 0, port = 0, delay = 0, window = line.window;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--help") return std::fputs(kHelp, stdout) < 0;
    std::uint64_t* value = flag == "--to"          ? &to
                           : flag == "--port"      ? &port
                           : flag == "--delay-ms"  ? &delay
                           : flag == "--rate"      ? &line.rate
                           : flag == "--window"    ? &window
                           : flag == "--cut-after" ? &line.cut_after
                                                   : nullptr;
    if (value == nullptr || ++i == argc || !number(argv[i], *value)) {
      std::fprintf(stderr, "line-proxy: '%s' is no flag or lacks its number; line-proxy --help\n", flag.data());
      return 1;
    }
  }
  if (to == 0 || to > 65535 || port > 65535 || window == 0 || delay > 3'600'000) {
    std::fputs("line-proxy: --to PORT is needed, ports end at 65535, --window is at least 1\n", stderr);
    return 1;
  }
  line.delay = std::chrono::milliseconds(delay);
  line.window = window;
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGUSR1, [](int) { reset_all = 1; });
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in here = loopback(port);
  socklen_t size = sizeof here;
  if (::bind(listener, reinterpret_cast<sockaddr*>(&here), sizeof here) != 0 || ::listen(listener, 512) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&here), &size) != 0) {
    std::perror("line-proxy: cannot listen");
    return 1;
  }
  std::printf("%d\n", ntohs(here.sin_port));
  std::fflush(stdout);
  return serve(listener, loopback(to), line);
}
