// What a host hears from a bridge, whatever the server does.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>

#include "tests/check.h"
#include "tests/fake_server.h"
#include "tests/host.h"

using deepmusic::Link;
using host::error;
using host::kLongestBlock_s;
using host::noise;
using host::play;
using host::Rig;
using host::spec;

namespace {

constexpr double kOnce = 1e-7;  // one multiplication by 0.5 and none by 1 is exact; fades are judged apart

// Takes connections and says nothing.
class Silence {
 public:
  Silence() : listener_(fake::listen_on_loopback(port_)) {}
  ~Silence() { close(listener_); }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int port_ = 0;
  int listener_;
};

bool is_streaming(Rig& rig) {
  return check::within(3.0, [&rig] { return rig.bridge.snapshot().link == Link::kStreaming; });
}

}  // namespace

TEST("offline, everything is wet and aligned by the reported latency, at any and changing block sizes") {
  fake::Server server({});
  const std::vector<std::vector<std::uint32_t>> sizes = {{32}, {512}, {8192}, {1, 7, 480, 31, 4096, 64}};
  for (const auto& block_sizes : sizes) {
    for (const std::uint32_t n_channels : {1u, 2u}) {
      Rig rig(server.address(), spec(true, n_channels, *std::max_element(block_sizes.begin(), block_sizes.end())));
      const host::Audio input = noise(n_channels, 60000);
      const host::Run run = play(rig, input, block_sizes);
      CHECK_LESS(error(run.heard, input, 0.5, rig.delay_samples(), 0, 60000), kOnce);
    }
  }
}

TEST("with no server the input comes back delayed, bit for bit, and no block takes long") {
  check::in_real_time(50, [] {
    int port = 0;
    { port = fake::Server({}).port(); }  // a port where nobody listens
    for (const bool is_offline : {true, false}) {
      Rig rig("127.0.0.1:" + std::to_string(port), spec(is_offline));
      const host::Audio input = noise(2, 48000);
      const host::Run run = play(rig, input, {512});
      CHECK_EQUAL(error(run.heard, input, 1.0, rig.delay_samples(), 0, 48000), 0.0);
      CHECK_LESS(run.longest_block_s, kLongestBlock_s);
      CHECK(check::within(1.0, [&rig] { return rig.bridge.snapshot().link == Link::kAway; }));
      CHECK_EQUAL(rig.bridge.counters().wet_samples.load(), 0u);
    }
  });
}

TEST("a server that speaks something else is a server that is away") {
  fake::Terms terms;
  terms.speaks_nonsense = true;
  fake::Server server(terms);
  Rig rig(server.address(), spec(true));
  const host::Audio input = noise(2, 48000);
  const host::Run run = play(rig, input, {512});
  CHECK_EQUAL(error(run.heard, input, 1.0, rig.delay_samples(), 0, 48000), 0.0);
}

TEST("a server in plain text where TLS was asked for is told from one that is away, and plays dry") {
  fake::Server server({});
  Rig rig("https://" + server.address(), spec(true));
  const host::Audio input = noise(2, 48000);
  const host::Run run = play(rig, input, {512});
  CHECK_EQUAL(error(run.heard, input, 1.0, rig.delay_samples(), 0, 48000), 0.0);
  // The fake may hang up before it has said what gives it away, and is then tried again.
  CHECK(check::within(10.0, [&rig] { return rig.bridge.snapshot().link == Link::kPlainText; }));
}

TEST("a handshake that is never answered keeps no block and no end waiting, and is given up") {
  check::in_real_time(10, [] {
    const Silence silence;
    host::check_that_nothing_waits_for("https://" + silence.address());
  });
  const Silence silence;
  Rig rig("https://" + silence.address(), spec(true));
  CHECK(check::within(5.0, [&rig] { return rig.bridge.snapshot().link == Link::kAway; }));
  CHECK(rig.bridge.snapshot().message.find("no TLS within 2 s") != std::string::npos);
}

TEST("live, the stream becomes wet and stays it") {
  check::in_real_time(10, [] {
    fake::Server server({});
    Rig rig(server.address(), spec(false, 2, 512, host::kLong_s));
    const host::Audio input = noise(2, 96000);
    const host::Run run = play(rig, input, {64, 128, 512}, 1.0);
    CHECK_LESS(error(run.heard, input, 0.5, rig.delay_samples(), 48000, 96000), kOnce);
    CHECK_EQUAL(rig.bridge.counters().lost_samples.load(), 0u);
    CHECK(server.configs().at(0).is_live);
    CHECK_EQUAL(server.configs().at(0).deadline_samples, rig.spec.deadline_samples);
  });
}

TEST("a server that is killed gives dry sound without a click, and wet sound within a second of its return") {
  check::in_real_time(10, [] {
    auto server = std::make_unique<fake::Server>(fake::Terms{});
    const int port = server->port();
    Rig rig(server->address(), spec(false, 2, 512, host::kLong_s));
    const host::Audio input = host::tone(2, 480, 0.005);
    const auto beat = [&](double seconds) {
      host::Audio part = host::tone(2, static_cast<std::uint64_t>(seconds * 48000) / 200 * 200, 0.005);
      return play(rig, part, {200}, 1.0).heard;
    };
    beat(0.5);
    CHECK(is_streaming(rig));
    const std::uint32_t delay = rig.delay_samples();
    server.reset();
    const host::Audio falling = beat(0.8);
    CHECK(rig.bridge.snapshot().link == Link::kAway);
    server = std::make_unique<fake::Server>(fake::Terms{}, port);
    const std::uint64_t wet_before = rig.bridge.counters().wet_samples.load();
    const host::Audio rising = beat(1.0);
    CHECK_LESS(wet_before, rig.bridge.counters().wet_samples.load());
    const host::Audio wet = beat(0.1);
    CHECK_EQUAL(rig.delay_samples(), delay);
    // The tone's own steepest step is 0.5 * 2 pi * 0.005 = 0.0157; a fade over 240 samples adds 0.5 * pi / 2 / 240.
    for (const host::Audio& part : {falling, rising, wet}) CHECK_LESS(host::steepest(part), 0.0157 + 0.0066);
    const auto loudest = [](const host::Audio& audio) {
      return *std::max_element(audio[0].end() - 2400, audio[0].end());
    };
    CHECK_LESS(0.49, loudest(falling));
    CHECK_LESS(loudest(wet), 0.26);
  });
}

TEST("offline, a server at a third of the host's speed is waited for and everything is wet") {
  fake::Terms terms;
  terms.samples_per_s = 48000;
  fake::Server server(terms);
  Rig rig(server.address(), spec(true));
  const host::Audio input = noise(2, 48000);
  const host::Run run = play(rig, input, {512});
  CHECK_LESS(error(run.heard, input, 0.5, rig.delay_samples(), 0, 48000), kOnce);
  CHECK_EQUAL(rig.bridge.counters().dry_outs.load(), 0u);
}

TEST("live, a server at half of real time dries out, is counted, and costs no block its time") {
  check::in_real_time(10, [] {
    fake::Terms terms;
    terms.samples_per_s = 24000;
    fake::Server server(terms);
    Rig rig(server.address(), spec(false));
    const host::Audio input = noise(2, 72000);
    const host::Run run = play(rig, input, {512}, 1.0);
    CHECK_LESS(run.longest_block_s, kLongestBlock_s);
    CHECK_LESS(rig.bridge.counters().wet_samples.load(), 36000u);
    CHECK_EQUAL(error(run.heard, input, 1.0, rig.delay_samples(), 60000, 72000), 0.0);
  });
}

TEST("a server without room plays live hosts dry, and offline ones when room comes") {
  check::in_real_time(10, [] {
    fake::Terms terms;
    terms.max_streams = 1;
    fake::Server server(terms);
    const host::Audio input = noise(2, 24000);
    auto first = std::make_unique<Rig>(server.address(), spec(false));
    CHECK(is_streaming(*first));
    Rig live(server.address(), spec(false));
    const host::Run dry = play(live, input, {512}, 1.0);
    CHECK_EQUAL(error(dry.heard, input, 1.0, live.delay_samples(), 0, 24000), 0.0);
    CHECK(live.bridge.snapshot().link == Link::kFull);
    CHECK_EQUAL(live.bridge.snapshot().message, "because of NO_CAPACITY");
    live.bridge.rest();

    Rig offline(server.address(), spec(true));
    CHECK(check::within(2.0, [&offline] { return offline.bridge.snapshot().link == Link::kFull; }));
    std::thread leaving([&first] {
      std::this_thread::sleep_for(std::chrono::milliseconds(2500));  // longer than a render may stand still
      first.reset();
    });
    const host::Run wet = play(offline, input, {512});
    leaving.join();
    CHECK_LESS(error(wet.heard, input, 0.5, offline.delay_samples(), 0, 24000), kOnce);
  });
}

TEST("a render that is over gives its slot back by itself") {
  fake::Server server({});
  Rig rig(server.address(), spec(true));
  play(rig, noise(2, 24000), {512});
  CHECK_EQUAL(server.n_open_streams(), 1);
  CHECK(check::within(4.0, [&server] { return server.n_open_streams() == 0; }));
}

TEST("what the server refuses is dry, says why, and is tried again when something is changed") {
  fake::Terms terms;
  terms.refusal_code = 5;
  terms.refusal_reason = "STYLE_NOT_FOUND";
  fake::Server server(terms);
  Rig rig(server.address(), spec(true));
  const host::Audio input = noise(2, 24000);
  const host::Run run = play(rig, input, {512});
  CHECK_EQUAL(error(run.heard, input, 1.0, rig.delay_samples(), 0, 24000), 0.0);
  CHECK(rig.bridge.snapshot().link == Link::kRefused);
  server.set_terms({});
  deepmusic::Settings settings;
  settings.server = server.address();
  settings.styles[0] = "strings";
  rig.bridge.configure(settings);
  CHECK(is_streaming(rig));
  CHECK_EQUAL(server.configs().at(0).styles.at(0), "strings");
}

TEST("without a style nothing is asked of the server, and the input comes back") {
  fake::Server server({});
  Rig rig(server.address(), spec(true));
  deepmusic::Settings settings;
  settings.server = server.address();
  rig.bridge.configure(settings);
  rig.bridge.prepare(rig.spec, rig.values);
  const host::Audio input = noise(2, 24000);
  const host::Run run = play(rig, input, {512});
  CHECK_EQUAL(error(run.heard, input, 1.0, rig.delay_samples(), 0, 24000), 0.0);
  CHECK(rig.bridge.snapshot().link == Link::kUnset);
}

TEST("a reset begins a stream at sample 0, and nothing from before it is heard") {
  fake::Server server({});
  Rig rig(server.address(), spec(true));
  play(rig, noise(2, 24000, 1), {512});
  rig.bridge.reset();
  const host::Audio input = noise(2, 24000, 2);
  const host::Run run = play(rig, input, {480});
  CHECK_LESS(error(run.heard, input, 0.5, rig.delay_samples(), 0, 24000), kOnce);
  CHECK_EQUAL(rig.bridge.counters().streams.load(), 2u);
  CHECK_EQUAL(rig.bridge.counters().dry_outs.load(), 0u);
}

TEST("a parameter that moves reaches the server at its block's first sample, and a morph as a mix of styles") {
  fake::Server server({});
  Rig rig(server.address(), spec(true));
  play(rig, noise(2, 5000), {500});
  rig.values.numbers[1] = 0.25f;
  rig.values.weights[1] = 0.5f;
  play(rig, noise(2, 5000), {500});
  const auto changes = server.changes();
  CHECK_EQUAL(changes.size(), 2u);
  CHECK_EQUAL(changes[0].name, "mix");
  CHECK_EQUAL(changes[0].number, 0.25);
  CHECK(changes[0].has_at && changes[1].has_at);
  CHECK_EQUAL(changes[0].at_sample, 5000u);
  CHECK_EQUAL(changes[1].name, "style_weights");
  CHECK(changes[1].mix == (std::vector<std::pair<std::string, double>>{{"brass", 1.0}, {"strings", 0.5}}));
  CHECK_EQUAL(server.configs().at(0).settings.at(1).second, 1.0);
}

TEST("a morph that moves with every block sends its changes a sixteenth of a second apart, and the last one") {
  fake::Server server({});
  Rig rig(server.address(), spec(true));
  for (int i = 0; i < 100; ++i) {
    rig.values.weights[1] = static_cast<float>(i) / 99.0f;
    play(rig, noise(2, 480), {480});
  }
  play(rig, noise(2, 9600), {480});
  const auto changes = server.changes();
  CHECK_LESS(changes.size(), 20u);
  CHECK_EQUAL(changes.back().mix.back().second, 1.0);
}

TEST("a new style in a slot that sounds is changed to while it plays") {
  fake::Server server({});
  Rig rig(server.address(), spec(true));
  play(rig, noise(2, 5000), {500});
  deepmusic::Settings settings;
  settings.server = server.address();
  settings.styles[0] = "voice";
  rig.bridge.configure(settings);
  CHECK(check::within(2.0, [&server] { return !server.changes().empty(); }));
  CHECK_EQUAL(server.changes().at(0).mix.at(0).first, "voice");
  CHECK_EQUAL(rig.bridge.counters().streams.load(), 1u);
}

TEST("silence beyond a second is not sent, and is silence") {
  fake::Server server({});
  Rig rig(server.address(), spec(true));
  host::Audio input = noise(1, 240000);
  input.push_back(input[0]);
  for (auto& channel : input) std::fill(channel.begin() + 30000, channel.begin() + 200000, 0.0f);
  const host::Run run = play(rig, input, {512});
  // The fake forgets nothing over a gap; ours begins anew behind it. Either way rests are silent and sound is exact.
  CHECK_LESS(error(run.heard, input, 0.5, rig.delay_samples(), 0, 240000), kOnce);
  CHECK_LESS(100000u, rig.bridge.counters().skipped_samples.load());
  CHECK_EQUAL(server.longest_gap_samples(), rig.bridge.counters().skipped_samples.load());
}

TEST("a live host that calls far faster than time is held back, dries out, and recovers") {
  check::in_real_time(10, [] {
    fake::Terms terms;
    terms.credit_samples = 48000;
    fake::Server server(terms);
    Rig rig(server.address(), spec(false, 2, 512, host::kLong_s));
    CHECK(is_streaming(rig));
    const host::Audio burst = noise(2, 480000);
    play(rig, burst, {512}, 20.0);
    const host::Audio input = noise(2, 144000, 2);
    const host::Run run = play(rig, input, {512}, 1.0);
    CHECK(!server.was_overrun());
    CHECK_LESS(0u, rig.bridge.counters().lost_samples.load());
    CHECK_LESS(error(run.heard, input, 0.5, rig.delay_samples(), 96000, 144000), kOnce);
  });
}

TEST("a server that asks its clients to leave is left without a word, and come back to") {
  fake::Server server({});
  Rig rig(server.address(), spec(true));
  const host::Audio input = noise(2, 24000);
  play(rig, input, {512});
  server.go_away();
  rig.bridge.prepare(rig.spec, rig.values);
  const host::Run run = play(rig, input, {512});
  CHECK_LESS(error(run.heard, input, 0.5, rig.delay_samples(), 0, 24000), kOnce);
}

TEST("a window of a thousand bytes slows nothing but the speed") {
  fake::Terms terms;
  terms.window_bytes = 1000;
  fake::Server server(terms);
  Rig rig(server.address(), spec(true, 2, 8192));
  const host::Audio input = noise(2, 48000);
  const host::Run run = play(rig, input, {8192});
  CHECK_LESS(error(run.heard, input, 0.5, rig.delay_samples(), 0, 48000), kOnce);
}

TEST("a latency other than expected is taken from the server, and its next rendering is aligned by it") {
  fake::Terms terms;
  terms.latency_samples = 1855;
  fake::Server server(terms);
  Rig rig(server.address(), spec(true));
  const host::Audio input = noise(2, 24000);
  play(rig, input, {512});
  CHECK_EQUAL(rig.bridge.latency_samples(), 1855u);
  rig.spec.latency_samples = 1855;
  rig.bridge.prepare(rig.spec, rig.values);
  const host::Run run = play(rig, input, {512});
  CHECK_LESS(error(run.heard, input, 0.5, 1855 + rig.spec.cushion_samples, 0, 24000), kOnce);
}

TEST("a segment bundle's sound is heard to its end, more than a second after its input has ended") {
  fake::Terms terms;
  terms.latency_samples = 60000;
  fake::Server server(terms);
  deepmusic::LineSpec late = spec(true);
  late.latency_samples = terms.latency_samples;
  Rig rig(server.address(), late);
  host::Audio input = noise(2, 192000);
  for (auto& channel : input) std::fill(channel.begin() + 24000, channel.end(), 0.0f);
  const host::Run run = play(rig, input, {4096});
  CHECK_LESS(error(run.heard, input, 0.5, rig.delay_samples(), 0, 192000), kOnce);
  CHECK_LESS(0u, rig.bridge.counters().skipped_samples.load());
}

TEST("a latency of four seconds delays the input by as much") {
  deepmusic::LineSpec late = spec(true);
  late.latency_samples = 192000;
  Rig rig("127.0.0.1:1", late);
  const host::Audio input = noise(2, 288000);
  const host::Run run = play(rig, input, {8192});
  CHECK_EQUAL(error(run.heard, input, 1.0, rig.delay_samples(), 0, 288000), 0.0);
}

TEST("a latency that a line was not made for gives silence where its input is gone, and never other input") {
  fake::Terms terms;
  terms.latency_samples = 300000;
  auto server = std::make_unique<fake::Server>(terms);
  Rig rig(server->address(), spec(true));
  play(rig, noise(2, 4096), {512});
  CHECK_EQUAL(rig.bridge.latency_samples(), 300000u);
  server.reset();
  CHECK(check::within(5.0, [&rig] { return rig.bridge.snapshot().link == Link::kAway; }));
  const host::Run run = play(rig, noise(2, 400000), {8192});
  for (const float sample : run.heard[0]) CHECK_EQUAL(sample, 0.0f);
}

TEST("a host that prepares without a rate, at an odd one or for blocks without end is not brought down") {
  constexpr std::uint32_t kMost = std::numeric_limits<std::int32_t>::max();
  for (const auto& [rate_hz, max_block_samples] : std::vector<std::pair<std::uint32_t, std::uint32_t>>{
           {0, 512}, {1, 512}, {199, 1}, {8000, 512}, {768000, 8192}, {48000, kMost}}) {
    const auto odd = deepmusic::LineSpec::made_for(rate_hz, 2, max_block_samples, 0.02, 1000, true);
    Rig rig("127.0.0.1:1", odd);
    const host::Run run = play(rig, noise(2, 4096), {512});
    for (const float sample : run.heard[0]) CHECK(std::isfinite(sample));
  }
}

TEST("samples of the server that are no numbers are never heard: the input is, and they are counted") {
  fake::Terms terms;
  terms.gain = std::numeric_limits<float>::quiet_NaN();
  fake::Server server(terms);
  Rig rig(server.address(), spec(true));
  const host::Audio input = noise(2, 24000);
  const host::Run run = play(rig, input, {512});
  for (const float sample : run.heard[0]) CHECK(std::isfinite(sample));
  CHECK_EQUAL(error(run.heard, input, 1.0, rig.delay_samples(), rig.delay_samples(), 24000), 0.0);
  CHECK_LESS(0u, rig.bridge.counters().late_blocks.load());
}

TEST("a stream of a server that ends idle ones soon is kept alive in time") {
  fake::Terms terms;
  terms.idle_limit_s = 0.6;
  fake::Server server(terms);
  Rig rig(server.address(), spec(false));
  CHECK(is_streaming(rig));
  CHECK(check::within(5.0, [&server] { return server.n_keep_alives() >= 3; }));
}

TEST("a server that tells every connection to leave is not asked over and over without a pause") {
  fake::Terms terms;
  terms.is_leaving = true;
  terms.refusal_code = 14;  // UNAVAILABLE
  fake::Server server(terms);
  Rig rig(server.address(), spec(false));
  check::within(1.0, [] { return false; });
  CHECK_LESS(server.n_connections(), 10);
  CHECK(rig.bridge.snapshot().link == Link::kAway);
  server.set_terms({});
  CHECK(is_streaming(rig));
}

TEST("what was turned while the server was away is where a stream begins, and not told it one by one") {
  int port = 0;
  { port = fake::Server({}).port(); }  // a port where nobody listens
  Rig rig("127.0.0.1:" + std::to_string(port), spec(false));
  for (int i = 0; i < 400; ++i) {
    rig.values.numbers[1] = static_cast<float>(i % 2);
    rig.values.weights[1] = static_cast<float>(i) / 399.0f;
    play(rig, noise(2, 480), {480});
  }
  fake::Server server({}, port);
  CHECK(is_streaming(rig));
  play(rig, noise(2, 4800), {480});
  CHECK(check::within(2.0, [&rig] { return rig.bridge.snapshot().link == Link::kStreaming; }));
  CHECK_EQUAL(server.configs().at(0).settings.at(1).second, 1.0);
  CHECK_EQUAL(server.configs().at(0).styles.size(), 2u);
  CHECK_LESS(server.changes().size(), 3u);
}

TEST("an editor is told the styles of the server") {
  fake::Server server({});
  Rig rig(server.address(), spec(true));
  rig.bridge.browse();
  CHECK(check::within(2.0, [&rig] { return rig.bridge.snapshot().styles.size() == 2; }));
  CHECK_EQUAL(rig.bridge.snapshot().styles.at(1).name, "strings");
}

TEST("bridges that are made, prepared and dropped at any moment end cleanly") {
  fake::Server server({});
  for (int i = 0; i < 40; ++i) {
    Rig rig(server.address(), spec(i % 2 == 0));
    if (i % 3 != 0) play(rig, noise(2, 512u * (i % 5) + 1), {512});
    if (i % 4 == 0) rig.bridge.prepare(rig.spec, rig.values);
    if (i % 7 == 0) rig.bridge.rest();
  }
  CHECK(check::within(2.0, [&server] { return server.n_open_streams() == 0; }));
}

TEST("a host that begins to render gets a fast stream, waits for it, and goes back to a live one") {
  fake::Server server({});
  Rig rig(server.address(), spec(false));
  play(rig, noise(2, 9600), {480}, 1.0);
  rig.bridge.set_offline(true);
  const host::Audio input = noise(2, 48000);
  const host::Run run = play(rig, input, {480});
  CHECK_LESS(error(run.heard, input, 0.5, rig.delay_samples(), 0, 48000), kOnce);
  rig.bridge.set_offline(false);
  play(rig, noise(2, 9600), {480}, 1.0);
  CHECK(check::within(2.0, [&server] { return server.configs().size() == 3; }));
  CHECK(server.configs()[0].is_live && !server.configs()[1].is_live && server.configs()[2].is_live);
}

TEST("of thirty-two bridges in one process eight are wet live, the others are dry, and every render is wet in its turn") {
  fake::Terms terms;
  terms.max_streams = 8;
  fake::Server server(terms);
  std::vector<std::unique_ptr<Rig>> rigs;
  for (int i = 0; i < 32; ++i) rigs.push_back(std::make_unique<Rig>(server.address(), spec(false, 1)));
  const auto count = [&rigs](Link link) {
    return std::count_if(rigs.begin(), rigs.end(),
                         [link](const auto& rig) { return rig->bridge.snapshot().link == link; });
  };
  CHECK(check::within(10.0, [&count] { return count(Link::kStreaming) == 8 && count(Link::kFull) == 24; }));
  CHECK_EQUAL(server.n_open_streams(), 8);

  const host::Audio input = noise(1, 9600);
  for (const auto& rig : rigs) {
    rig->spec.is_offline = true;
    rig->bridge.rest();
  }
  for (const auto& rig : rigs) {
    rig->bridge.prepare(rig->spec, rig->values);
    const host::Run run = play(*rig, input, {512});
    CHECK_LESS(error(run.heard, input, 0.5, rig->delay_samples(), 0, 9600), kOnce);
  }
}

TEST("a server that is killed while nothing plays is waited for by the next render once it is back") {
  auto server = std::make_unique<fake::Server>(fake::Terms{});
  const int port = server->port();
  Rig rig(server->address(), spec(true));
  const host::Audio input = noise(2, 24000);
  play(rig, input, {512});
  CHECK(check::within(4.0, [&server] { return server->n_open_streams() == 0; }));
  server.reset();
  server = std::make_unique<fake::Server>(fake::Terms{}, port);
  rig.bridge.prepare(rig.spec, rig.values);
  const host::Run run = play(rig, input, {512});
  CHECK_LESS(error(run.heard, input, 0.5, rig.delay_samples(), 0, 24000), kOnce);
}
