#include "transport/lookup.h"

#include <dlfcn.h>
#include <netdb.h>

#include <chrono>
#include <cstring>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace deepmusic {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kKept = std::chrono::seconds(30);  // an answer; a host that has moved is found again after it
constexpr int kMostRunning = 8;                   // names, in the whole process

struct Asked {
  std::shared_ptr<const Lookup> lookup;
  Clock::time_point at;
};

// Of the whole process: many plug-ins have one server, and a lookup outlives the plug-in that began it. Never destroyed,
// since a lookup may outlive the process's destructors as well.
struct Names {
  std::mutex mutex;
  std::map<std::pair<std::string, std::string>, Asked> asked;
  std::atomic<int> n_running{0};
};

Names& names() {
  static Names& all = *new Names;
  return all;
}

// A host may unload the plug-in's code, and must not while a lookup runs on it.
void stay_loaded() {
  Dl_info here{};
  if (dladdr(reinterpret_cast<void*>(&stay_loaded), &here) != 0) {
    dlopen(here.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
  }
}

}  // namespace

std::shared_ptr<const Lookup> Lookup::begin(const std::string& host, const std::string& port) {
  auto lookup = std::make_shared<Lookup>();
  lookup->find(host, port, AI_NUMERICHOST);
  if (!lookup->endpoints_.empty()) {
    lookup->is_over_.store(true, std::memory_order_release);
    return lookup;
  }
  Names& all = names();
  const std::lock_guard<std::mutex> lock(all.mutex);
  Asked& asked = all.asked[{host, port}];
  if (asked.lookup != nullptr) {
    const bool is_found = asked.lookup->is_over() && !asked.lookup->endpoints().empty();
    if (!asked.lookup->is_over() || (is_found && Clock::now() - asked.at < kKept)) return asked.lookup;
  }
  lookup->problem_.clear();
  if (all.n_running.load() >= kMostRunning) {
    lookup->problem_ = "no address for " + host + ": the name server answers slowly, and is asked for others";
    lookup->is_over_.store(true, std::memory_order_release);
    return lookup;
  }
  asked = {lookup, Clock::now()};
  ++all.n_running;
  static const bool is_kept = (stay_loaded(), true);
  static_cast<void>(is_kept);
  try {
    std::thread([lookup, host, port] {
      lookup->find(host, port, 0);
      lookup->is_over_.store(true, std::memory_order_release);
      --names().n_running;
    }).detach();
  } catch (const std::system_error& error) {
    --all.n_running;
    lookup->problem_ = error.what();
    lookup->is_over_.store(true, std::memory_order_release);
  }
  return lookup;
}

void Lookup::find(const std::string& host, const std::string& port, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found)) {
    problem_ = "no address for " + host + ": " + gai_strerror(error);
    return;
  }
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    Endpoint endpoint;
    endpoint.family = at->ai_family;
    endpoint.size = at->ai_addrlen;
    std::memcpy(&endpoint.address, at->ai_addr, at->ai_addrlen);
    endpoints_.push_back(endpoint);
  }
  freeaddrinfo(found);
}

}  // namespace deepmusic
