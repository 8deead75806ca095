#include "plugin/editor.h"

#include "plugin/dropped_file.h"
#include "plugin/processor.h"

namespace deepmusic {
namespace {

constexpr int kWidth = 640, kHeight = 420;
constexpr int kLooksPerSecond = 15;
constexpr double kLearned_s = 10.0;
constexpr float kFloor_db = -60.0f;
constexpr int kDeadlines_ms[] = {10, 21, 40, 80, 160, 320};

const char* name_of(Link link) {
  switch (link) {
    case Link::kConnecting:
    case Link::kOpening: return "connecting";
    case Link::kStreaming: return "streaming";
    case Link::kFull: return "the server is full";
    case Link::kAway: return "the server is away";
    case Link::kRefused: return "refused";
    case Link::kUntrusted: return "the server's certificate is not trusted";
    case Link::kPlainText: return "the server speaks plain text";
    case Link::kUnset: return "no style is chosen";
  }
  return "";
}

juce::Colour colour_of(Link link) {
  if (link == Link::kStreaming) return juce::Colours::lightgreen;
  return link == Link::kConnecting || link == Link::kOpening ? juce::Colours::lightyellow : juce::Colours::orange;
}

juce::String utf8(const std::string& text) { return juce::CharPointer_UTF8(text.c_str()); }

}  // namespace

Editor::Editor(Processor& processor)
    : AudioProcessorEditor(processor), processor_(processor), pad_(processor.parameters()) {
  for (juce::Component* const part : std::initializer_list<juce::Component*>{
           &server_, &deadline_, &browse_, &learn_, &other_, &state_, &facts_, &strength_, &mix_, &strength_label_, &mix_label_,
           &pad_, &resets_}) {
    addAndMakeVisible(part);
  }
  server_.setTooltip("HOST:PORT of the server, or https://HOST:PORT where it encrypts");
  server_.onReturnKey = server_.onFocusLost = [this] { choose_server(); };
  for (const int ms : kDeadlines_ms) deadline_.addItem(juce::String(ms) + " ms", ms);
  deadline_.setTooltip("What the server may take for a step: less is a shorter latency, more is fewer dropouts");
  deadline_.onChange = [this] { processor_.set_deadline(deadline_.getSelectedId()); };
  browse_.onClick = [this] { processor_.bridge().browse(); };
  learn_.setTooltip("Learns a style from ten seconds of the sidechain, or of the track where nothing sounds there");
  learn_.onClick = [this] { processor_.record(kLearned_s); };
  other_.onClick = [this] { processor_.swap_a_and_b(); };
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    addAndMakeVisible(slots_[slot]);
    addAndMakeVisible(styles_[slot]);
    slots_[slot].setButtonText(juce::String(static_cast<int>(slot) + 1));
    slots_[slot].onClick = [this, slot] { *processor_.parameters().slot() = static_cast<int>(slot) + 1; };
    styles_[slot].setEditableText(true);
    styles_[slot].onChange = [this, slot] { choose_style(slot); };
  }
  const auto attach = [this](juce::Slider& slider, juce::Label& label, const char* name, const char* text) {
    slider.setSliderStyle(juce::Slider::RotaryHorizontalVerticalDrag);
    slider.setTextBoxStyle(juce::Slider::TextBoxBelow, false, 60, 18);
    label.setText(text, juce::dontSendNotification);
    label.setJustificationType(juce::Justification::centred);
    auto attachment =
        std::make_unique<juce::SliderParameterAttachment>(*processor_.parameters().number(name), slider, nullptr);
    slider.textFromValueFunction = [](double value) { return juce::String(value, 2); };
    slider.updateText();
    return attachment;
  };
  strength_attachment_ = attach(strength_, strength_label_, "strength", "Strength");
  mix_attachment_ = attach(mix_, mix_label_, "mix", "Mix");
  resets_.setTooltip("Begin a stream anew where the host starts to play or jumps, so that each pass sounds alike");
  resets_attachment_ =
      std::make_unique<juce::ButtonParameterAttachment>(*processor_.parameters().resets_at_start(), resets_, nullptr);
  facts_.setJustificationType(juce::Justification::topLeft);
  facts_.setFont(juce::Font(12.5f));
  processor_.bridge().browse();
  setResizable(true, true);
  setResizeLimits(kWidth, kHeight, 2 * kWidth, 2 * kHeight);
  setSize(kWidth, kHeight);
  startTimerHz(kLooksPerSecond);
  timerCallback();
}

Editor::~Editor() { stopTimer(); }

void Editor::choose_server() {
  const auto typed = server_.getText().trim();
  if (typed == shown_server_) return;  // the project may have another one by now
  shown_server_ = typed;
  Project project = processor_.project();
  const auto server = typed.toStdString();
  if (server == project.settings.server) return;
  project.settings.server = server;
  project.settings.bundle.clear();  // it was another server's
  project.settings.bundle_digest.clear();
  processor_.change(project);
  processor_.bridge().browse();
}

void Editor::choose_style(std::size_t slot) {
  Project project = processor_.project();
  const auto style = styles_[slot].getText().trim().toStdString();
  if (style == project.settings.styles[slot]) return;
  project.settings.styles[slot] = style;
  project.settings.vectors[slot].clear();
  processor_.change(project);
}

bool Editor::isInterestedInFileDrag(const juce::StringArray& files) {
  return files.size() == 1 && is_recording(files[0]);
}

void Editor::filesDropped(const juce::StringArray& files, int x, int y) {
  auto slot = static_cast<std::size_t>(processor_.parameters().slot()->get() - 1);
  for (std::size_t i = 0; i < kSlots; ++i) {
    if (slots_[i].getBounds().getUnion(styles_[i].getBounds()).contains(x, y)) slot = i;
  }
  problem_ = processor_.learn(juce::File(files[0]), slot);
}

void Editor::timerCallback() {
  show(processor_.bridge().snapshot());
  repaint(meters_);
  pad_.repaint();
}

void Editor::show(const Snapshot& snapshot) {
  const juce::String why = utf8(snapshot.message.empty() ? snapshot.notice : snapshot.message);
  state_.setText(juce::String(name_of(snapshot.link)) + (why.isEmpty() ? "" : ": " + why), juce::dontSendNotification);
  state_.setColour(juce::Label::textColourId, colour_of(snapshot.link));
  learn_.setEnabled(!snapshot.is_learning && processor_.recorded() == 0.0);
  learn_.setButtonText(processor_.recorded() > 0.0 ? juce::String(100.0 * processor_.recorded(), 0) + " %"
                       : snapshot.is_learning      ? juce::String("learning")
                                                   : juce::String("Learn 10 s"));
  other_.setButtonText(processor_.project().is_b ? "B" : "A");
  show_settings();
  fill_slots(snapshot);

  juce::String text;
  text << "bundle " << utf8(snapshot.bundle.empty() ? processor_.project().settings.bundle : snapshot.bundle) << " "
       << utf8(snapshot.precision) << " " << utf8(snapshot.provider) << "\n"
       << latency_text() << "\n" << counters_text();
  if (problem_.isNotEmpty()) text << "\n" << problem_;
  if (!snapshot.learned.empty()) text << "\n" << utf8(snapshot.learned);
  facts_.setText(text, juce::dontSendNotification);
}

// A host may open another project, or go back to an earlier state, while the window is open.
void Editor::show_settings() {
  const Project project = processor_.project();
  deadline_.setSelectedId(juce::roundToInt(project.deadline_ms), juce::dontSendNotification);
  const juce::String server = utf8(project.settings.server);
  if (server == shown_server_ || server_.hasKeyboardFocus(true)) return;
  shown_server_ = server;
  server_.setText(server, false);
}

void Editor::fill_slots(const Snapshot& snapshot) {
  const Project project = processor_.project();
  const int chosen = processor_.parameters().slot()->get();
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    slots_[slot].setToggleState(static_cast<int>(slot) + 1 == chosen, juce::dontSendNotification);
  }
  if (snapshot.n_browsed != n_browsed_ || project.settings.styles != shown_styles_) {
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
      styles_[slot].clear(juce::dontSendNotification);
      int id = 1;
      for (const auto& style : snapshot.styles) styles_[slot].addItem(utf8(style.name), id++);
      styles_[slot].setText(utf8(project.settings.styles[slot]), juce::dontSendNotification);
    }
    n_browsed_ = snapshot.n_browsed;
    shown_styles_ = project.settings.styles;
  }
  std::array<juce::String, 4> corners;
  for (std::size_t i = 0; i < corners.size(); ++i) corners[i] = utf8(project.settings.styles[i]);
  pad_.name_corners(corners);
}

juce::String Editor::latency_text() const {
  const LineSpec& spec = processor_.spec();
  const double per_ms = spec.sample_rate_hz / 1000.0;
  const auto ms = [per_ms](std::uint32_t samples) { return juce::String(samples / per_ms, 1); };
  juce::String text;
  text << "latency " << ms(spec.latency_samples + spec.cushion_samples) << " ms = stream " << ms(spec.latency_samples)
       << " + block " << ms(spec.max_block_samples) << " + chunk and fade "
       << ms(spec.chunk_samples + spec.fade_samples) << "\n   + travel " << ms(spec.sample_rate_hz / 200)
       << " + server's deadline " << ms(spec.deadline_samples);
  return text;
}

juce::String Editor::counters_text() const {
  const Counters& counters = processor_.bridge().counters();
  const auto count = [](const std::atomic<std::uint64_t>& counter) {
    return juce::String(static_cast<juce::int64>(counter.load()));
  };
  const double ahead_ms = 1000.0 * static_cast<double>(counters.slack_samples.load()) / processor_.spec().sample_rate_hz;
  juce::String text;
  text << "ahead of its use " << juce::String(ahead_ms, 1) << " ms, model step "
       << juce::String(counters.inference_us.load() / 1000.0, 1) << " ms, queued "
       << juce::String(counters.queue_us.load() / 1000.0, 1) << " ms\n"
       << "ran dry " << count(counters.dry_outs) << ", late at the server " << count(counters.late_blocks)
       << ", streams " << count(counters.streams) << ", refused " << count(counters.refusals) << ", jumps "
       << count(counters.jumps);
  return text;
}

void Editor::paint(juce::Graphics& graphics) {
  graphics.fillAll(juce::Colour(0xff2b3038));
  const int half = meters_.getWidth() / 2;
  paint_meter(graphics, meters_.withWidth(half).reduced(4, 0), processor_.peak(false), "in");
  paint_meter(graphics, meters_.withTrimmedLeft(half).reduced(4, 0), processor_.peak(true), "out");
}

void Editor::paint_meter(juce::Graphics& graphics, juce::Rectangle<int> area, float peak, const char* name) const {
  graphics.setColour(juce::Colours::white);
  graphics.setFont(12.0f);
  graphics.drawText(name, area.removeFromBottom(16), juce::Justification::centred);
  graphics.setColour(juce::Colours::black.withAlpha(0.4f));
  graphics.fillRect(area);
  const float level = juce::jlimit(0.0f, 1.0f, 1.0f - juce::Decibels::gainToDecibels(peak, kFloor_db) / kFloor_db);
  graphics.setColour(peak > 1.0f ? juce::Colours::red : juce::Colours::lightgreen);
  graphics.fillRect(area.removeFromBottom(juce::roundToInt(level * static_cast<float>(area.getHeight()))));
}

void Editor::resized() {
  auto area = getLocalBounds().reduced(10);
  auto top = area.removeFromTop(26);
  other_.setBounds(top.removeFromRight(40));
  learn_.setBounds(top.removeFromRight(90).reduced(4, 0));
  browse_.setBounds(top.removeFromRight(80).reduced(4, 0));
  deadline_.setBounds(top.removeFromRight(90).withTrimmedLeft(4));
  server_.setBounds(top);
  auto below = area.removeFromTop(26);
  resets_.setBounds(below.removeFromRight(120));
  state_.setBounds(below);
  facts_.setBounds(area.removeFromBottom(100));
  auto left = area.removeFromLeft(area.getWidth() * 2 / 5);
  const int row = left.getHeight() / static_cast<int>(kSlots);
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    auto line = left.removeFromTop(row).reduced(0, 2);
    slots_[slot].setBounds(line.removeFromLeft(30));
    styles_[slot].setBounds(line.withTrimmedLeft(4));
  }
  meters_ = area.removeFromRight(70);
  auto knobs = area.removeFromRight(90);
  auto upper = knobs.removeFromTop(knobs.getHeight() / 2);
  strength_label_.setBounds(upper.removeFromTop(18));
  strength_.setBounds(upper);
  mix_label_.setBounds(knobs.removeFromTop(18));
  mix_.setBounds(knobs);
  pad_.setBounds(area.reduced(10, 4));
}

}  // namespace deepmusic
