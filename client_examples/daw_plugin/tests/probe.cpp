// Plays noise through a bridge, as a render, and prints how that went: for tests against the real server.
//
//   probe SERVER STYLE [ROOT_CERTIFICATE]
#include <cstdio>

#include "tests/check.h"
#include "tests/host.h"

namespace {

constexpr std::uint64_t kSamples = 24000;
constexpr double kPatience_s = 8.0;

const char* name_of(deepmusic::Link link) {
  switch (link) {
    case deepmusic::Link::kConnecting: return "connecting";
    case deepmusic::Link::kOpening: return "opening";
    case deepmusic::Link::kStreaming: return "streaming";
    case deepmusic::Link::kFull: return "full";
    case deepmusic::Link::kAway: return "away";
    case deepmusic::Link::kRefused: return "refused";
    case deepmusic::Link::kUntrusted: return "untrusted";
    case deepmusic::Link::kPlainText: return "plain text";
    case deepmusic::Link::kUnset: return "unset";
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  deepmusic::Settings settings;
  settings.server = argv[1];
  settings.styles[0] = argv[2];
  if (argc > 3) settings.root_certificates = argv[3];
  host::Rig rig(settings, host::spec(true));
  deepmusic::Snapshot now;
  check::within(kPatience_s, [&] {
    now = rig.bridge.snapshot();
    return now.link != deepmusic::Link::kConnecting && now.link != deepmusic::Link::kOpening;
  });
  if (now.link == deepmusic::Link::kStreaming) rig.bridge.prepare(rig.spec, rig.values);  // a render of its own
  play(rig, host::noise(2, kSamples), {512});
  now = rig.bridge.snapshot();
  std::printf("link: %s\nmessage: %s\nwet: %llu\n", name_of(now.link), now.message.c_str(),
              static_cast<unsigned long long>(rig.bridge.counters().wet_samples.load()));
}
