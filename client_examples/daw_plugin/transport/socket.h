// A TCP connection that never blocks.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "transport/lookup.h"

namespace deepmusic {

// HOST:PORT or http://HOST:PORT in plain text, https://HOST:PORT encrypted; an IPv6 host stands in brackets.
struct Address {
  std::string host;
  std::string port;
  bool is_encrypted = false;

  static std::optional<Address> parse(const std::string& text);
};

class Socket {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  enum class State { kConnecting, kOpen, kFailed };

  // Begins to look the host up, and then to connect.
  Socket(const Address& address, TimePoint now);
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // Of the connection, or of the last attempt at one; -1 where there is none.
  int descriptor() const { return descriptor_ < 0 && !attempts_.empty() ? attempts_.back() : descriptor_; }
  State state() const { return state_; }
  const std::string& problem() const { return problem_; }
  // What it waits for while it connects.
  const char* awaited() const { return lookup_->is_over() ? "answer" : "address"; }

  // Looks whether the host is found, and then whether the connection stands. The host's next address is tried where one
  // refuses, and beside one that does not answer soon: a firewall may drop what goes to the first.
  void advance(TimePoint now);

  // Bytes read or written; 0 where it would block; below 0 once the connection is gone.
  long read(char* bytes, std::size_t size);
  long write(const char* bytes, std::size_t size);

 private:
  void attempt(const Endpoint& endpoint);
  bool is_settled(int attempt);
  void fail(const std::string& problem);

  std::shared_ptr<const Lookup> lookup_;
  std::size_t n_tried_ = 0;  // of the lookup's endpoints
  TimePoint tried_at_;
  std::vector<int> attempts_;  // descriptors of connections that are being made
  int descriptor_ = -1;
  State state_ = State::kConnecting;
  std::string problem_;
};

}  // namespace deepmusic
