// A host's name, and a name server that is slow, or knows nothing.
#include "transport/lookup.h"

#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/check.h"
#include "tests/fake_server.h"
#include "tests/host.h"

using deepmusic::Link;
using deepmusic::Lookup;
using host::error;
using host::noise;
using host::play;
using host::Rig;
using host::spec;

namespace {

// The name server: names under slow.test are this machine, and are told once a test says so; under none.test is nothing.
// Names under two.test have two addresses, of which only the second one is the server's.
class NameServer {
 public:
  int ask(const char* name, const char* port, const addrinfo* hints, addrinfo** found) {
    std::unique_lock<std::mutex> lock(mutex_);
    ++n_asked_;
    if (ends_with(name, ".none.test")) return EAI_NONAME;
    if (ends_with(name, ".two.test")) {
      const int error = real()("127.0.0.2", port, hints, found);
      return error != 0 ? error : real()("127.0.0.1", port, hints, &(*found)->ai_next);
    }
    answering_.wait(lock, [this] { return is_answering_; });
    lock.unlock();
    return real()("127.0.0.1", port, hints, found);
  }
  void set_answering(bool is_answering) {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_answering_ = is_answering;
    answering_.notify_all();
  }
  int n_asked() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return n_asked_;
  }

  static bool ends_with(const std::string& name, const std::string& end) {
    return name.size() > end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
  }
  static bool knows(const std::string& name) {
    return ends_with(name, ".slow.test") || ends_with(name, ".none.test") || ends_with(name, ".two.test");
  }
  static decltype(&getaddrinfo) real() {
    return reinterpret_cast<decltype(&getaddrinfo)>(dlsym(RTLD_NEXT, "getaddrinfo"));
  }

 private:
  std::mutex mutex_;
  std::condition_variable answering_;
  bool is_answering_ = false;
  int n_asked_ = 0;
};

NameServer& name_server() {
  static NameServer server;
  return server;
}

// Slow for as long as it lives; whoever still waits is answered after it.
struct Slowness {
  Slowness() { name_server().set_answering(false); }
  ~Slowness() { name_server().set_answering(true); }
};

// An address that answers nobody, as behind a firewall that drops what it will not let through: its queue is full.
class Hole {
 public:
  explicit Hole(int port) {
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    here.sin_port = htons(static_cast<std::uint16_t>(port));
    descriptors_.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK(bind(descriptors_[0], reinterpret_cast<sockaddr*>(&here), sizeof here) == 0);
    CHECK(listen(descriptors_[0], 0) == 0);
    for (int i = 0; i < 4; ++i) {
      descriptors_.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      connect(descriptors_.back(), reinterpret_cast<sockaddr*>(&here), sizeof here);
    }
  }
  ~Hole() {
    for (const int descriptor : descriptors_) close(descriptor);
  }
  Hole(const Hole&) = delete;
  Hole& operator=(const Hole&) = delete;

 private:
  std::vector<int> descriptors_;
};

std::string at(const std::string& name, const fake::Server& server) { return name + ":" + std::to_string(server.port()); }

bool is(Rig& rig, Link link) {
  return check::within(5.0, [&rig, link] { return rig.bridge.snapshot().link == link; });
}

}  // namespace

extern "C" int getaddrinfo(const char* name, const char* port, const addrinfo* hints, addrinfo** found) {
  const bool is_name = (hints->ai_flags & AI_NUMERICHOST) == 0;
  if (is_name && NameServer::knows(name)) return name_server().ask(name, port, hints, found);
  return NameServer::real()(name, port, hints, found);
}

TEST("an address in digits is found at once, and no name server is asked") {
  const int before = name_server().n_asked();
  for (const char* const host : {"127.0.0.1", "::1"}) {
    const auto lookup = Lookup::begin(host, "50051");
    CHECK(lookup->is_over());
    CHECK_EQUAL(lookup->endpoints().size(), 1u);
  }
  CHECK_EQUAL(name_server().n_asked(), before);
}

TEST("a bridge whose name server does not answer plays dry at once, and goes at once") {
  check::in_real_time(10, [] {
    const Slowness slowness;
    host::check_that_nothing_waits_for("gone.slow.test:50051");
  });
}

TEST("a lookup that takes too long is a server that is away, and says that it has no address") {
  const Slowness slowness;
  Rig rig("late.slow.test:50051", spec(true));
  CHECK(is(rig, Link::kAway));
  CHECK(rig.bridge.snapshot().message.find("no address within 2 s") != std::string::npos);
}

TEST("another server that is named while a lookup hangs is played at once") {
  const Slowness slowness;
  fake::Server server({});
  Rig rig("hangs.slow.test:50051", spec(true));
  deepmusic::Settings settings;
  settings.server = server.address();
  settings.styles[0] = "brass";
  rig.bridge.configure(settings);
  CHECK(is(rig, Link::kStreaming));
}

TEST("an answer that comes after the bridge has stopped waiting is what its next try begins with") {
  fake::Server server({});
  std::unique_ptr<Rig> rig;
  {
    const Slowness slowness;
    rig = std::make_unique<Rig>(at("comes.slow.test", server), spec(false));
    CHECK(is(*rig, Link::kAway));
  }
  CHECK(is(*rig, Link::kStreaming));
}

TEST("a name is asked for once, however many bridges wait for it, and again only after a while") {
  fake::Server server({});
  const int before = name_server().n_asked();
  std::vector<std::unique_ptr<Rig>> rigs;
  {
    const Slowness slowness;
    for (int i = 0; i < 6; ++i) rigs.push_back(std::make_unique<Rig>(at("once.slow.test", server), spec(true)));
    CHECK(check::within(2.0, [before] { return name_server().n_asked() > before; }));
  }
  for (const auto& rig : rigs) CHECK(is(*rig, Link::kStreaming));
  Rig late(at("once.slow.test", server), spec(true));
  CHECK(is(late, Link::kStreaming));
  CHECK_EQUAL(name_server().n_asked(), before + 1);
}

TEST("an address of a name that does not answer is not waited for before the next one is tried") {
  fake::Server server({});
  const Hole hole(server.port());
  Rig rig(at("server.two.test", server), spec(true));
  CHECK(is(rig, Link::kStreaming));
}

TEST("an address of a name where nobody listens is passed over") {
  fake::Server server({});
  Rig rig(at("closed.two.test", server), spec(true));
  CHECK(is(rig, Link::kStreaming));
}

TEST("a name that nobody knows is a server that is away, and is asked for again") {
  const int before = name_server().n_asked();
  Rig rig("nobody.none.test:50051", spec(true));
  const host::Audio input = noise(2, 24000);
  const host::Run run = play(rig, input, {512});
  CHECK_EQUAL(error(run.heard, input, 1.0, rig.delay_samples(), 0, 24000), 0.0);
  CHECK(is(rig, Link::kAway));
  CHECK(rig.bridge.snapshot().message.find("no address for nobody.none.test") != std::string::npos);
  CHECK(check::within(5.0, [before] { return name_server().n_asked() > before + 1; }));
}

TEST("more names at a time than there are threads for are refused, and found once those are done") {
  const Slowness slowness;
  std::vector<std::shared_ptr<const Lookup>> lookups;
  for (int i = 0; i < 20; ++i) lookups.push_back(Lookup::begin("many-" + std::to_string(i) + ".slow.test", "1"));
  CHECK(lookups.back()->is_over());
  CHECK(lookups.back()->problem().find("is asked for others") != std::string::npos);
  name_server().set_answering(true);
  CHECK(check::within(5.0, [] {
    const auto last = Lookup::begin("many-19.slow.test", "1");
    return last->is_over() && !last->endpoints().empty();
  }));
}
