#include "plugin/project.h"

namespace deepmusic {
namespace {

constexpr int kFormat = 1;

const juce::Identifier kProject("deepmusic"), kValues("values"), kStyle("style"), kVector("vector");

// A message that a server gave, as text; a server bounds it by 64 KiB, and what is longer is none of ours.
constexpr std::size_t kMostMessageBytes = 70000;

juce::String as_text(const std::string& message) { return juce::Base64::toBase64(message.data(), message.size()); }

std::string as_message(const juce::String& text) {
  juce::MemoryOutputStream bytes;
  if (!juce::Base64::convertFromBase64(bytes, text) || bytes.getDataSize() > kMostMessageBytes) return {};
  return std::string(static_cast<const char*>(bytes.getData()), bytes.getDataSize());
}

}  // namespace

Project Project::from_environment() {
  const Environment environment = Environment::read();
  Project project;
  project.settings = environment.settings;
  project.deadline_ms = environment.deadline_ms;
  return project;
}

juce::ValueTree values_of(const Parameters& parameters) {
  juce::ValueTree values(kValues);
  for (juce::RangedAudioParameter* const parameter : parameters.all()) {
    values.setProperty(parameter->getParameterID(), parameter->convertFrom0to1(parameter->getValue()), nullptr);
  }
  return values;
}

void set_values(const Parameters& parameters, const juce::ValueTree& values) {
  for (juce::RangedAudioParameter* const parameter : parameters.all()) {
    if (!values.hasProperty(parameter->getParameterID())) continue;
    const float value = values.getProperty(parameter->getParameterID());
    parameter->setValueNotifyingHost(parameter->convertTo0to1(value));
  }
}

void Project::write(const Parameters& parameters, juce::MemoryBlock& bytes) const {
  juce::ValueTree tree(kProject);
  tree.setProperty("format", kFormat, nullptr);
  tree.setProperty("server", juce::String(settings.server), nullptr);
  tree.setProperty("bundle", juce::String(settings.bundle), nullptr);
  tree.setProperty("bundle_digest", juce::String(settings.bundle_digest), nullptr);
  tree.setProperty("deadline_ms", deadline_ms, nullptr);
  tree.setProperty("is_b", is_b, nullptr);
  if (!settings.statistics.empty()) tree.setProperty("statistics", as_text(settings.statistics), nullptr);
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    juce::ValueTree style(kStyle);
    style.setProperty("name", juce::String(juce::CharPointer_UTF8(settings.styles[slot].c_str())), nullptr);
    if (!settings.vectors[slot].empty()) style.setProperty(kVector, as_text(settings.vectors[slot]), nullptr);
    tree.appendChild(style, nullptr);
  }
  tree.appendChild(values_of(parameters), nullptr);
  if (other.isValid()) {
    juce::ValueTree hidden("other");
    hidden.appendChild(other.createCopy(), nullptr);
    tree.appendChild(hidden, nullptr);
  }
  juce::AudioProcessor::copyXmlToBinary(*tree.createXml(), bytes);
}

bool Project::read(const Parameters& parameters, const void* bytes, int size) {
  const auto xml = juce::AudioProcessor::getXmlFromBinary(bytes, size);
  if (xml == nullptr || !xml->hasTagName(kProject.toString())) return false;
  const auto tree = juce::ValueTree::fromXml(*xml);
  const auto text = [&tree](const char* name) { return tree.getProperty(name).toString().toStdString(); };
  settings.server = text("server");
  settings.bundle = text("bundle");
  settings.bundle_digest = text("bundle_digest");
  deadline_ms = juce::jlimit(kLeastDeadline_ms, kMostDeadline_ms,
                             static_cast<double>(tree.getProperty("deadline_ms", deadline_ms)));
  is_b = tree.getProperty("is_b", false);
  settings.statistics = as_message(tree.getProperty("statistics").toString());
  ++settings.n_opened;
  other = tree.getChildWithName("other").getChild(0).createCopy();
  std::size_t slot = 0;
  for (const auto& child : tree) {
    if (!child.hasType(kStyle) || slot >= kSlots) continue;
    settings.styles[slot] = child["name"].toString().toStdString();
    settings.vectors[slot++] = as_message(child[kVector].toString());
  }
  set_values(parameters, tree.getChildWithName(kValues));
  return true;
}

}  // namespace deepmusic
