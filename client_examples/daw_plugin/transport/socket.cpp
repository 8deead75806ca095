#include "transport/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace deepmusic {

std::optional<Address> Address::parse(const std::string& text) {
  constexpr std::string_view kPlain = "http://", kEncrypted = "https://";
  const bool is_encrypted = text.compare(0, kEncrypted.size(), kEncrypted) == 0;
  const bool is_plain = text.compare(0, kPlain.size(), kPlain) == 0;
  const std::string place = text.substr(is_encrypted ? kEncrypted.size() : is_plain ? kPlain.size() : 0);
  const std::size_t colon = place.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == place.size()) return std::nullopt;
  std::string host = place.substr(0, colon), port = place.substr(colon + 1);
  if (port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos || std::stoi(port) > 65535) {
    return std::nullopt;
  }
  if (host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find_first_of(":/") != std::string::npos) {
    return std::nullopt;
  }
  if (host.empty()) return std::nullopt;
  return Address{host, port, is_encrypted};
}

Socket::Socket(const Address& address) : lookup_(Lookup::begin(address.host, address.port)) { advance(); }

Socket::~Socket() {
  if (descriptor_ >= 0) close(descriptor_);
}

void Socket::try_next() {
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
  while (n_tried_ < lookup_->endpoints().size()) {
    const Endpoint& here = lookup_->endpoints()[n_tried_++];
    descriptor_ = socket(here.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor_ < 0) {
      problem_ = std::strerror(errno);
      continue;
    }
    const int on = 1;
    setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(descriptor_, reinterpret_cast<const sockaddr*>(&here.address), here.size) == 0) {
      state_ = State::kOpen;
      return;
    }
    if (errno == EINPROGRESS) return;
    problem_ = std::strerror(errno);
    close(descriptor_);
    descriptor_ = -1;
  }
  fail(lookup_->endpoints().empty() ? lookup_->problem() : problem_);
}

void Socket::advance() {
  if (state_ != State::kConnecting || !lookup_->is_over()) return;
  if (descriptor_ < 0) return try_next();
  pollfd ready{descriptor_, POLLOUT, 0};
  if (poll(&ready, 1, 0) <= 0) return;
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error == 0) {
    state_ = State::kOpen;
  } else {
    problem_ = std::strerror(error);
    try_next();
  }
}

long Socket::read(char* bytes, std::size_t size) {
  const ssize_t n = recv(descriptor_, bytes, size, 0);
  if (n > 0) return n;
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return 0;
  fail(n == 0 ? "the server closed the connection" : std::strerror(errno));
  return -1;
}

long Socket::write(const char* bytes, std::size_t size) {
  const ssize_t n = send(descriptor_, bytes, size, MSG_NOSIGNAL);
  if (n >= 0) return n;
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return 0;
  fail(std::strerror(errno));
  return -1;
}

void Socket::fail(const std::string& problem) {
  state_ = State::kFailed;
  problem_ = problem.empty() ? "cannot connect" : problem;
}

}  // namespace deepmusic
