#include "plugin/parameters.h"

#include <cmath>
#include <iterator>

#include "registry.h"

namespace deepmusic {
namespace {

constexpr int kVersion = 1;  // of each parameter, for hosts that keep an order

static_assert(std::size(registry::kParameters) <= kMaxParameters, "raise kMaxParameters");

// "output_gain_db" is "Output gain" with the unit dB.
juce::String title(const registry::Parameter& parameter) {
  juce::String text(parameter.name);
  for (const char* unit : {"_db", "_hz"}) {
    if (text.endsWith(unit)) text = text.dropLastCharacters(3);
  }
  text = text.replaceCharacter('_', ' ');
  return text.substring(0, 1).toUpperCase() + text.substring(1);
}

juce::NormalisableRange<float> range(const registry::Parameter& parameter) {
  juce::NormalisableRange<float> linear(parameter.minimum, parameter.maximum);
  if (juce::String(parameter.unit) == "Hz") linear.setSkewForCentre(std::sqrt(parameter.minimum * parameter.maximum));
  return linear;
}

// Of a broken automation or project, what is no number counts as the default: a server refuses it, and a value that differs
// from itself would be sent anew with every block.
float number_of(const juce::RangedAudioParameter& parameter) {
  const float value = parameter.getValue();
  return std::isfinite(value) ? value : parameter.getDefaultValue();
}

}  // namespace

Parameters::Parameters(juce::AudioProcessor& processor) {
  const auto add = [this, &processor](auto* parameter) {
    processor.addParameter(parameter);
    all_.push_back(parameter);
    return parameter;
  };
  slot_ = add(new juce::AudioParameterInt({"style_slot", kVersion}, "Style slot", 1, static_cast<int>(kSlots), 1));
  for (const registry::Parameter& parameter : registry::kParameters) {
    const juce::ParameterID id(parameter.name, kVersion);
    if (parameter.is_switch) {
      auto* const added = add(new juce::AudioParameterBool(id, title(parameter), parameter.default_value >= 0.5f));
      if (id.getParamID() == "bypass") bypass_ = added;
      numbers_.push_back(added);
    } else {
      const auto attributes = juce::AudioParameterFloatAttributes().withLabel(parameter.unit);
      numbers_.push_back(add(new juce::AudioParameterFloat(id, title(parameter), range(parameter),
                                                           parameter.default_value, attributes)));
    }
  }
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    const juce::String number(static_cast<int>(slot) + 1);
    weights_[slot] =
        add(new juce::AudioParameterFloat({"morph_" + number, kVersion}, "Morph " + number, 0.0f, 1.0f, 0.0f));
  }
  resets_at_start_ = add(new juce::AudioParameterBool({"reset_at_start", kVersion}, "Reset at start", false));
}

Values Parameters::values() const {
  Values values;
  for (std::size_t i = 0; i < numbers_.size(); ++i) {
    // A value that has passed through a host's 0 to 1 may lie a rounding outside its range, which a config refuses.
    const auto& range = numbers_[i]->getNormalisableRange();
    values.numbers[i] = juce::jlimit(range.start, range.end, numbers_[i]->convertFrom0to1(number_of(*numbers_[i])));
  }
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    values.weights[slot] = weights_[slot]->convertFrom0to1(number_of(*weights_[slot]));
  }
  values.default_to(static_cast<std::size_t>(slot_->get() - 1));
  return values;
}

std::vector<std::string> Parameters::names() {
  std::vector<std::string> names;
  for (const registry::Parameter& parameter : registry::kParameters) names.emplace_back(parameter.name);
  return names;
}

juce::RangedAudioParameter* Parameters::number(const juce::String& name) const {
  for (juce::RangedAudioParameter* const parameter : all_) {
    if (parameter->getParameterID() == name) return parameter;
  }
  return nullptr;
}

}  // namespace deepmusic
