// A TCP connection that never blocks.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

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
  enum class State { kConnecting, kOpen, kFailed };

  // Begins to look the host up, and then to connect.
  explicit Socket(const Address& address);
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int descriptor() const { return descriptor_; }
  State state() const { return state_; }
  const std::string& problem() const { return problem_; }
  // What it waits for while it connects.
  const char* awaited() const { return lookup_->is_over() ? "answer" : "address"; }

  // Looks whether the host is found, and then whether the connection stands; tries the host's next address where not.
  void advance();

  // Bytes read or written; 0 where it would block; below 0 once the connection is gone.
  long read(char* bytes, std::size_t size);
  long write(const char* bytes, std::size_t size);

 private:
  void try_next();
  void fail(const std::string& problem);

  std::shared_ptr<const Lookup> lookup_;
  std::size_t n_tried_ = 0;  // of the lookup's endpoints
  int descriptor_ = -1;
  State state_ = State::kConnecting;
  std::string problem_;
};

}  // namespace deepmusic
