#pragma once
// Ctrl-C, SIGTERM, a resize and a stop-and-continue, turned into something that a loop can wait for. While an object of
// this class lives, the first SIGINT or SIGTERM is only noted and a second one ends the program at once, with exit 1.
// The cursor is shown again in any case. One object at a time.

namespace pullama::client {

class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  int fd() const;               // readable when something was caught
  bool stop_requested() const;  // stays true
  bool take_resized();          // since the last call; also after the program was continued
  void drain();                 // empties fd()
};

}  // namespace pullama::client
