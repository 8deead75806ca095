// Addresses of a host, found on threads of their own: a name server may take half a minute.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace deepmusic {

struct Endpoint {
  int family = 0;
  socklen_t size = 0;
  sockaddr_storage address{};
};

// One question to the name server. Whoever asks the same while it runs, or soon after it found something, shares it.
class Lookup {
 public:
  // Never waits. An address in digits is answered at once, and no name server is asked.
  static std::shared_ptr<const Lookup> begin(const std::string& host, const std::string& port);

  bool is_over() const { return is_over_.load(std::memory_order_acquire); }
  // Once it is over: where the host is, and why it is nowhere.
  const std::vector<Endpoint>& endpoints() const { return endpoints_; }
  const std::string& problem() const { return problem_; }

 private:
  void find(const std::string& host, const std::string& port, int flags);

  std::vector<Endpoint> endpoints_;
  std::string problem_;
  std::atomic<bool> is_over_{false};
};

}  // namespace deepmusic
