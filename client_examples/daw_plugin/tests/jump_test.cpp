// A host that seeks and loops: how it is noticed, and what is heard of it.
#include <algorithm>
#include <cmath>

#include "tests/check.h"
#include "tests/fake_server.h"
#include "tests/host.h"
#include "transport/play_head.h"

using deepmusic::HostPosition;
using deepmusic::PlayHead;
using host::Audio;
using host::noise;
using host::play;
using host::Rig;
using host::spec;
using Move = deepmusic::PlayHead::Move;

namespace {

constexpr double kOnce = 1e-7;
constexpr std::uint32_t kFade = 240;  // 5 ms at 48 kHz

HostPosition at(std::int64_t sample) { return {true, sample}; }

Audio joined(const Audio& first, const Audio& second) {
  Audio audio = first;
  for (std::size_t channel = 0; channel < audio.size(); ++channel) {
    audio[channel].insert(audio[channel].end(), second[channel].begin(), second[channel].end());
  }
  return audio;
}

// What is to be heard of two parts that do not belong together: the quarter of a sine down to where they meet, and up.
Audio around(const Audio& input, std::uint64_t cut) {
  Audio expected = input;
  for (auto& channel : expected) {
    for (std::uint64_t i = cut - kFade; i < cut + kFade; ++i) {
      const double from_cut = std::abs(static_cast<double>(i) - static_cast<double>(cut));
      channel[i] *= static_cast<float>(std::sin(1.5707963267948966 * from_cut / kFade));
    }
  }
  return expected;
}

}  // namespace

TEST("a play head that goes on with each block has started once") {
  PlayHead head;
  CHECK(head.follow(at(1000), 512) == Move::kStart);
  for (int i = 1; i < 100; ++i) CHECK(head.follow(at(1000 + 512 * i), 512) == Move::kNone);
  CHECK(head.follow(HostPosition{}, 512) == Move::kNone);
  CHECK(head.follow(at(7), 512) == Move::kStart);
}

TEST("a seek and a loop's return are jumps, forward and back, one block after another") {
  PlayHead head;
  head.follow(at(0), 480);
  CHECK(head.follow(at(48000), 480) == Move::kJump);
  CHECK(head.follow(at(48480), 480) == Move::kNone);
  CHECK(head.follow(at(0), 480) == Move::kJump);
  CHECK(head.follow(at(480), 480) == Move::kNone);
  CHECK(head.follow(at(0), 480) == Move::kJump);
}

TEST("a play head that stands or is none never jumps") {
  PlayHead head;
  for (int i = 0; i < 10; ++i) {
    CHECK(head.follow(std::nullopt, 512) == Move::kNone);
    CHECK(head.follow(HostPosition{false, i * 77777}, 512) == Move::kNone);
  }
}

TEST("a host that says its position only when it changes is followed in between") {
  PlayHead head;
  CHECK(head.follow(at(0), 512) == Move::kStart);
  for (int i = 0; i < 9; ++i) CHECK(head.follow(std::nullopt, 512) == Move::kNone);
  CHECK(head.follow(at(5120), 512) == Move::kNone);  // another tempo, say
  CHECK(head.follow(std::nullopt, 512) == Move::kNone);
  CHECK(head.follow(at(5120), 512) == Move::kJump);
}

TEST("a host whose positions keep another pace has jumped once, and one that rounds them not at all") {
  PlayHead head;
  int n_jumps = 0;
  for (int i = 0; i < 100; ++i) n_jumps += head.follow(at(1024 * i), 512) == Move::kJump;
  CHECK_EQUAL(n_jumps, 1);
  head.reset();
  for (int i = 0; i < 100; ++i) CHECK(head.follow(at(512 * i + i % 3), 512) != Move::kJump);
}

TEST("wet sound fades out and in where a jump is heard, and is itself everywhere else") {
  fake::Server server({});
  for (const std::uint32_t n_block : {32u, 480u, 2048u}) {
    Rig rig(server.address(), spec(true, 2, n_block));
    const std::uint64_t cut = 10ull * 2048 / n_block * n_block;
    const Audio first = noise(2, cut, 1), second = noise(2, 30000, 2);
    const Audio heard = play(rig, first, {n_block}).heard;
    rig.bridge.jump();
    const Audio all = joined(heard, play(rig, second, {n_block}).heard);
    CHECK_LESS(host::error(all, around(joined(first, second), cut), 0.5, rig.delay_samples(), 0, cut + 30000), kOnce);
    CHECK_EQUAL(rig.bridge.counters().streams.load(), 1u);
    CHECK_EQUAL(rig.bridge.counters().jumps.load(), 1u);
    CHECK_EQUAL(rig.bridge.counters().dry_outs.load(), 0u);
  }
}

TEST("the delayed input fades out and in where a jump is heard") {
  int port = 0;
  { port = fake::Server({}).port(); }  // a port where nobody listens
  Rig rig("127.0.0.1:" + std::to_string(port), spec(false));
  const Audio first = noise(1, 20480, 1), second = noise(1, 30000, 2);
  const auto both = [](const Audio& one) { return Audio{one[0], one[0]}; };
  const Audio heard = play(rig, both(first), {512}).heard;
  rig.bridge.jump();
  const Audio all = joined(heard, play(rig, both(second), {512}).heard);
  CHECK_LESS(host::error(all, around(joined(both(first), both(second)), 20480), 1.0, rig.delay_samples(), 0, 50480), kOnce);
}

TEST("a jump out of silence leaves the attack that follows it whole") {
  fake::Server server({});
  Rig rig(server.address(), spec(true));
  const Audio silence(2, std::vector<float>(24000, 0.0f)), input = noise(2, 24000, 2);
  play(rig, silence, {480});
  rig.bridge.jump();
  CHECK_LESS(host::error(play(rig, input, {480}).heard, input, 0.5, rig.delay_samples(), 0, 24000), kOnce);
  CHECK_EQUAL(rig.bridge.counters().jumps.load(), 1u);
}

TEST("a jump from one end of a wave to the other is no click") {
  fake::Server server({});
  Rig rig(server.address(), spec(true));
  const Audio up = host::tone(2, 24000 + 50, 0.005);  // ends at its highest
  Audio down = host::tone(2, 24000, 0.005);
  for (auto& channel : down) {
    std::rotate(channel.begin(), channel.begin() + 150, channel.end());  // begins at its lowest
  }
  const Audio heard = play(rig, up, {481}).heard;
  rig.bridge.jump();
  const Audio all = joined(heard, play(rig, down, {481}).heard);
  // The tone's own steepest step is 0.25 * 2 pi * 0.005 = 0.0079; a fade over 240 samples adds 0.25 * pi / 2 / 240.
  CHECK_LESS(host::steepest(joined(all, Audio(2, {all[0].back()}))), 0.0079 + 0.0017);
}

TEST("jumps that lie closer together than two fades are one pause, however many they are") {
  fake::Server server({});
  Rig rig(server.address(), spec(true, 2, 64));
  play(rig, noise(2, 9600, 1), {64});
  for (int i = 0; i < 1000; ++i) {
    rig.bridge.jump();
    play(rig, noise(2, 64, 3), {64});
  }
  const Audio input = noise(2, 24000, 2);
  const Audio heard = play(rig, input, {64}).heard;
  const std::uint64_t delay = rig.delay_samples();
  // 64000 samples since the first jump: all that the delay still holds lies between two of them.
  CHECK_EQUAL(host::error(heard, input, 0.0, 0, 0, delay - 64), 0.0);
  CHECK_LESS(host::error(heard, input, 0.5, delay, delay + kFade, 24000), kOnce);
}

TEST("jumps a tenth of a second apart are heard each, and nothing is kept of them for long") {
  fake::Server server({});
  Rig rig(server.address(), spec(true));
  Audio all(2), input(2);
  for (unsigned i = 0; i < 40; ++i) {
    const Audio part = noise(2, 4800, i + 1);
    if (i != 0) rig.bridge.jump();
    all = joined(all, play(rig, part, {480}).heard);
    input = joined(input, part);
  }
  for (std::uint64_t cut = 4800; cut < 4800 * 39; cut += 4800) input = around(input, cut);
  CHECK_LESS(host::error(all, input, 0.5, rig.delay_samples(), 0, 4800 * 39), kOnce);
}

TEST("a start that begins anew plays what came before it to its end, and then the new stream from its first sample") {
  fake::Server server({});
  Rig rig(server.address(), spec(true));
  const Audio before = host::tone(2, 24050, 0.005), after = noise(2, 24000, 2);
  const Audio heard = play(rig, before, {481}).heard;
  rig.bridge.begin_anew();
  const Audio rest = play(rig, after, {480}).heard;
  const std::uint32_t delay = rig.delay_samples();
  CHECK_LESS(host::error(rest, after, 0.5, delay, delay, 24000), kOnce);
  Audio ringing = rest;
  for (auto& channel : ringing) channel.resize(delay);
  // Wet goes over into dry, and the louder dry out: its own steepest step is 0.0157, and a fade adds 0.0066 at most.
  CHECK_LESS(host::steepest(joined(heard, ringing)), 0.0157 + 0.0066);
  CHECK_LESS(std::abs(ringing[0].back()), 0.005);
  CHECK_LESS(0.49, *std::max_element(ringing[0].end() - 1000, ringing[0].end() - 500));
  CHECK_EQUAL(rig.bridge.counters().streams.load(), 2u);
  CHECK_EQUAL(rig.bridge.counters().dry_outs.load(), 0u);
}

TEST("a jump that begins anew opens a stream and fades in") {
  fake::Server server({});
  Rig rig(server.address(), spec(true));
  const Audio before = noise(2, 24000, 1), after = noise(2, 24000, 2);
  play(rig, before, {480});
  rig.bridge.jump();
  rig.bridge.begin_anew();
  const Audio heard = play(rig, after, {480}).heard;
  const std::uint32_t delay = rig.delay_samples();
  const Audio expected = around(joined(before, after), 24000);
  const Audio faded(2, std::vector<float>(expected[0].begin() + 24000, expected[0].end()));
  CHECK_LESS(host::error(Audio{heard[0]}, Audio{faded[0]}, 0.5, delay, delay, 24000), kOnce);
  CHECK_EQUAL(rig.bridge.counters().streams.load(), 2u);
}

TEST("live, jumps that begin anew over and over end in wet sound") {
  check::in_real_time(10, [] {
    fake::Server server({});
    Rig rig(server.address(), spec(false, 2, 512, host::kLong_s));
    play(rig, noise(2, 9600), {480}, 1.0);
    for (int i = 0; i < 8; ++i) {
      rig.bridge.jump();
      rig.bridge.begin_anew();
      play(rig, noise(2, 960u * static_cast<unsigned>(i % 3 + 1)), {480}, 1.0);
    }
    rig.bridge.jump();
    rig.bridge.begin_anew();
    const Audio input = noise(2, 48000, 2);
    const Audio heard = play(rig, input, {480}, 1.0).heard;
    const std::uint32_t delay = rig.delay_samples();
    CHECK_LESS(host::error(heard, input, 0.5, delay, delay + 2 * kFade, 48000), kOnce);
  });
}

TEST("a reset after a jump forgets it") {
  fake::Server server({});
  Rig rig(server.address(), spec(true));
  play(rig, noise(2, 24000, 1), {480});
  rig.bridge.jump();
  play(rig, noise(2, 960, 1), {480});
  rig.bridge.reset();
  rig.bridge.jump();
  const Audio input = noise(2, 24000, 2);
  CHECK_LESS(host::error(play(rig, input, {480}).heard, input, 0.5, rig.delay_samples(), 0, 24000), kOnce);
}
