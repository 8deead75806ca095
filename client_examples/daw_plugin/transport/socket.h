// A TCP connection that never blocks.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

struct addrinfo;

namespace deepmusic {

// HOST:PORT; an IPv6 host stands in brackets.
struct Address {
  std::string host;
  std::string port;

  static std::optional<Address> parse(const std::string& text);
};

class Socket {
 public:
  enum class State { kConnecting, kOpen, kFailed };

  // Looks the host up, which for a name may ask the network, and begins to connect.
  explicit Socket(const Address& address);
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int descriptor() const { return descriptor_; }
  State state() const { return state_; }
  const std::string& problem() const { return problem_; }

  // Looks whether the connection stands, once the descriptor is writable; tries the host's next address where not.
  void advance();

  // Bytes read or written; 0 where it would block; below 0 once the connection is gone.
  long read(char* bytes, std::size_t size);
  long write(const char* bytes, std::size_t size);

 private:
  void try_next();
  void fail(const std::string& problem);

  addrinfo* found_ = nullptr;
  addrinfo* next_ = nullptr;
  int descriptor_ = -1;
  State state_ = State::kConnecting;
  std::string problem_;
};

}  // namespace deepmusic
