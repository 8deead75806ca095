// The plug-in itself under a host with a play head, as JUCE's wrappers give it one.
#include <cmath>
#include <cstdlib>
#include <set>

#include "plugin/dropped_file.h"
#include "plugin/processor.h"
#include "tests/check.h"
#include "tests/fake_server.h"
#include "tests/host.h"

namespace {

constexpr int kBlock = 480;
constexpr double kOnce = 1e-7;

// A play head that a script moves.
class ScriptedHead final : public juce::AudioPlayHead {
 public:
  juce::Optional<PositionInfo> getPosition() const override {
    if (!is_there) return juce::nullopt;
    PositionInfo info;
    info.setIsPlaying(is_playing);
    info.setTimeInSamples(sample);
    return info;
  }
  bool is_there = true, is_playing = true;
  juce::int64 sample = 0;
};

// What a host is told, and whether it could be recorded: a value that changes has to be in somebody's hand.
struct Listener final : juce::AudioProcessorListener {
  explicit Listener(juce::AudioProcessor& watched) : processor(watched) { processor.addListener(this); }
  ~Listener() override { processor.removeListener(this); }
  void audioProcessorParameterChanged(juce::AudioProcessor*, int index, float) override {
    ++n_values;
    if (held.count(index) == 0) ++n_out_of_hand;
  }
  void audioProcessorChanged(juce::AudioProcessor*, const ChangeDetails& details) override {
    if (details.nonParameterStateChanged) ++n_changes;
  }
  void audioProcessorParameterChangeGestureBegin(juce::AudioProcessor*, int index) override { held.insert(index); }
  void audioProcessorParameterChangeGestureEnd(juce::AudioProcessor*, int index) override { held.erase(index); }
  juce::AudioProcessor& processor;
  std::set<int> held;
  int n_values = 0, n_out_of_hand = 0, n_changes = 0;
};

// The plug-in on a fake server, rendering; and its host.
struct Host {
  explicit Host(const fake::Server& server) {
    setenv("DEEPMUSIC_SERVER", server.address().c_str(), 1);
    setenv("DEEPMUSIC_STYLES", "brass", 1);
    processor = std::make_unique<deepmusic::Processor>();
    processor->setPlayHead(&head);
    processor->setNonRealtime(true);
    processor->setRateAndBufferSizeDetails(48000.0, kBlock);
    processor->prepareToPlay(48000.0, kBlock);
  }

  host::Audio play(const host::Audio& input) {
    host::Audio heard = input;
    juce::MidiBuffer midi;
    for (std::size_t first = 0; first < input[0].size(); first += kBlock) {
      float* const channels[] = {heard[0].data() + first, heard[1].data() + first};
      juce::AudioBuffer<float> block(channels, 2, kBlock);
      processor->processBlock(block, midi);
      if (head.is_playing) head.sample += kBlock;
    }
    return heard;
  }

  std::uint32_t delay_samples() const {
    return processor->bridge().latency_samples() + processor->cushion_samples();
  }

  ScriptedHead head;
  std::unique_ptr<deepmusic::Processor> processor;
};

}  // namespace

TEST("a host without a play head, one that stands and one that goes on hear the same, bit for bit") {
  fake::Server server({});
  const host::Audio input = host::noise(2, 48000);
  std::vector<host::Audio> heard;
  for (int kind = 0; kind < 3; ++kind) {
    Host daw(server);
    daw.head.is_there = kind != 0;
    daw.head.is_playing = kind == 2;
    heard.push_back(daw.play(input));
    CHECK_EQUAL(daw.processor->bridge().counters().jumps.load(), 0u);
    CHECK_LESS(host::error(heard[0], input, 0.5, daw.delay_samples(), 0, 48000), kOnce);
  }
  CHECK(heard[0] == heard[1] && heard[0] == heard[2]);
}

TEST("a loop's return is silent where it is heard, and the stream goes on") {
  fake::Server server({});
  Host daw(server);
  daw.play(host::noise(2, 24000, 1));
  daw.head.sample = 0;
  const host::Audio input = host::noise(2, 24000, 2);
  const host::Audio heard = daw.play(input);
  const std::uint32_t delay = daw.delay_samples();
  CHECK_EQUAL(heard[0][delay], 0.0f);
  CHECK_LESS(host::error(heard, input, 0.5, delay, delay + 240, 24000), kOnce);
  CHECK_EQUAL(daw.processor->bridge().counters().streams.load(), 1u);
}

TEST("with reset at start a start and a jump begin a stream anew, and a host's stop does not") {
  fake::Server server({});
  Host daw(server);
  *daw.processor->parameters().resets_at_start() = true;
  const auto n_streams = [&daw] { return daw.processor->bridge().counters().streams.load(); };
  daw.play(host::noise(2, 24000, 1));  // a start with the first block has nothing to begin anew
  CHECK_EQUAL(n_streams(), 1u);
  daw.head.is_playing = false;
  daw.play(host::noise(2, 24000, 1));
  CHECK_EQUAL(n_streams(), 1u);
  daw.head.is_playing = true;
  const host::Audio input = host::noise(2, 24000, 2);
  const host::Audio heard = daw.play(input);
  const std::uint32_t delay = daw.delay_samples();
  CHECK_LESS(host::error(heard, input, 0.5, delay, delay, 24000), kOnce);
  CHECK_EQUAL(n_streams(), 2u);
  daw.head.sample = 0;
  daw.play(host::noise(2, 24000, 1));
  CHECK_EQUAL(n_streams(), 3u);
}

TEST("a project keeps whether it resets at start") {
  fake::Server server({});
  Host daw(server);
  *daw.processor->parameters().resets_at_start() = true;
  juce::MemoryBlock bytes;
  daw.processor->getStateInformation(bytes);
  Host other(server);
  CHECK(!other.processor->parameters().resets_at_start()->get());
  other.processor->setStateInformation(bytes.getData(), static_cast<int>(bytes.getSize()));
  CHECK(other.processor->parameters().resets_at_start()->get());
}

TEST("a render is aligned by the latency that the server has said before, whatever layouts the host asks for") {
  fake::Server server({});  // has another latency than the plug-in's table
  Host daw(server);
  daw.play(host::noise(2, 24000));
  daw.processor->releaseResources();
  daw.processor->prepareToPlay(48000.0, kBlock);
  daw.processor->checkBusesLayoutSupported(daw.processor->getBusesLayout());
  const auto reported = static_cast<std::uint32_t>(daw.processor->getLatencySamples());
  CHECK_EQUAL(reported, daw.delay_samples());
  const host::Audio input = host::noise(2, 24000);
  CHECK_LESS(host::error(daw.play(input), input, 0.5, reported, 0, 24000), kOnce);
}

TEST("a project that is opened is not one that was changed") {
  fake::Server server({});
  Host daw(server);
  juce::MemoryBlock bytes;
  daw.processor->getStateInformation(bytes);
  const Listener listener(*daw.processor);
  daw.processor->setStateInformation(bytes.getData(), static_cast<int>(bytes.getSize()));
  CHECK_EQUAL(listener.n_changes, 0);
  daw.processor->change(daw.processor->project());
  CHECK_EQUAL(listener.n_changes, 1);
}

TEST("what A and B turn can be recorded and undone by the host") {
  fake::Server server({});
  Host daw(server);
  daw.processor->swap_a_and_b();
  *dynamic_cast<juce::AudioParameterFloat*>(daw.processor->parameters().number("strength")) = 0.25f;
  const Listener listener(*daw.processor);
  daw.processor->swap_a_and_b();
  CHECK_LESS(0, listener.n_values);
  CHECK_EQUAL(listener.n_out_of_hand, 0);
  CHECK(listener.held.empty());
}

TEST("of a file that has more samples than the server takes, whole excerpts are read") {
  constexpr int kRate_hz = 192000, kChannels = 8, kLength_s = 14;
  const juce::TemporaryFile file(".wav");
  {
    juce::WavAudioFormat format;
    const std::unique_ptr<juce::AudioFormatWriter> writer(
        format.createWriterFor(new juce::FileOutputStream(file.getFile()), kRate_hz, kChannels, 16, {}, 0));
    juce::AudioBuffer<float> second(kChannels, kRate_hz);
    second.clear();
    for (int i = 0; i < kLength_s; ++i) writer->writeFromAudioSampleBuffer(second, 0, kRate_hz);
  }
  juce::String problem;
  const auto recording = deepmusic::read_recording(file.getFile(), problem);
  CHECK(recording.has_value());
  CHECK_EQUAL(recording->samples.size(), 2u * 6u * kRate_hz * kChannels);
}

TEST("a window that is open brings no server back when a project with another one is opened") {
  const juce::ScopedJuceInitialiser_GUI juce_lives;
  fake::Server server({});
  Host daw(server);
  const std::unique_ptr<juce::AudioProcessorEditor> window(daw.processor->createEditor());
  juce::TextEditor* field = nullptr;
  for (auto* const child : window->getChildren()) {
    if (auto* const text = dynamic_cast<juce::TextEditor*>(child)) field = text;
  }
  CHECK(field != nullptr);
  auto project = daw.processor->project();
  project.settings.server = "127.0.0.1:1";
  juce::MemoryBlock bytes;
  project.write(daw.processor->parameters(), bytes);
  daw.processor->setStateInformation(bytes.getData(), static_cast<int>(bytes.getSize()));
  field->onFocusLost();
  CHECK_EQUAL(daw.processor->project().settings.server, "127.0.0.1:1");
  field->setText("127.0.0.1:2", false);
  field->onFocusLost();
  CHECK_EQUAL(daw.processor->project().settings.server, "127.0.0.1:2");
}
