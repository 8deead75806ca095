#include "plugin/morph_pad.h"

namespace deepmusic {

void MorphPad::name_corners(const std::array<juce::String, 4>& names) {
  if (names == names_) return;
  names_ = names;
  repaint();
}

void MorphPad::paint(juce::Graphics& graphics) {
  const auto area = getLocalBounds().toFloat().reduced(1.0f);
  graphics.setColour(juce::Colours::black.withAlpha(0.25f));
  graphics.fillRoundedRectangle(area, 4.0f);
  graphics.setColour(juce::Colours::white.withAlpha(0.6f));
  graphics.drawRoundedRectangle(area, 4.0f, 1.0f);
  graphics.setFont(12.0f);
  const juce::Justification corners[] = {juce::Justification::topLeft, juce::Justification::topRight,
                                         juce::Justification::bottomLeft, juce::Justification::bottomRight};
  for (std::size_t i = 0; i < names_.size(); ++i) {
    graphics.drawText(names_[i].isEmpty() ? "(empty)" : names_[i], area.reduced(6.0f), corners[i]);
  }
  const auto shares = weights();
  const float sum = shares[0] + shares[1] + shares[2] + shares[3];
  if (sum <= 0.0f) {
    graphics.drawText("drag to morph", area, juce::Justification::centred);
    return;
  }
  const juce::Point<float> dot(area.getX() + area.getWidth() * (shares[1] + shares[3]) / sum,
                               area.getY() + area.getHeight() * (shares[2] + shares[3]) / sum);
  graphics.setColour(juce::Colours::orange);
  graphics.fillEllipse(juce::Rectangle<float>(14.0f, 14.0f).withCentre(dot));
}

std::array<float, 4> MorphPad::weights() const {
  std::array<float, 4> shares;
  for (std::size_t i = 0; i < shares.size(); ++i) shares[i] = parameters_.weight(i)->get();
  return shares;
}

void MorphPad::mouseDown(const juce::MouseEvent& event) {
  for (std::size_t i = 0; i < names_.size(); ++i) parameters_.weight(i)->beginChangeGesture();
  move_to(event.position);
}

void MorphPad::mouseDrag(const juce::MouseEvent& event) { move_to(event.position); }

void MorphPad::mouseUp(const juce::MouseEvent&) {
  for (std::size_t i = 0; i < names_.size(); ++i) parameters_.weight(i)->endChangeGesture();
}

void MorphPad::mouseDoubleClick(const juce::MouseEvent&) {
  for (std::size_t i = 0; i < kSlots; ++i) parameters_.weight(i)->setValueNotifyingHost(0.0f);
  repaint();
}

void MorphPad::move_to(juce::Point<float> place) {
  const float x = juce::jlimit(0.0f, 1.0f, place.x / static_cast<float>(getWidth()));
  const float y = juce::jlimit(0.0f, 1.0f, place.y / static_cast<float>(getHeight()));
  const float shares[] = {(1.0f - x) * (1.0f - y), x * (1.0f - y), (1.0f - x) * y, x * y};
  for (std::size_t i = 0; i < names_.size(); ++i) parameters_.weight(i)->setValueNotifyingHost(shares[i]);
  repaint();
}

}  // namespace deepmusic
