// Draws the editor into a file, without a screen: for the documents, and to see that it can be opened.
//
//   DEEPMUSIC_SERVER=HOST:PORT DEEPMUSIC_STYLES="a;b" deepmusic_picture OUT.png [SCALE]
#include <cstdlib>
#include <vector>

#include "plugin/processor.h"

namespace {

// Plays noise through the plug-in for a while, so that there is something to see.
void play(deepmusic::Processor& processor, int n_blocks) {
  juce::AudioBuffer<float> audio(2, 512);
  juce::MidiBuffer midi;
  juce::Random random(1);
  for (int i = 0; i < n_blocks; ++i) {
    for (int channel = 0; channel < 2; ++channel) {
      for (int n = 0; n < 512; ++n) audio.setSample(channel, n, random.nextFloat() - 0.5f);
    }
    processor.processBlock(audio, midi);
    juce::Thread::sleep(10);
  }
}

}  // namespace

int main(int n_arguments, char** arguments) {
  if (n_arguments < 2) return 2;
  const juce::ScopedJuceInitialiser_GUI juce_lives;
  deepmusic::Processor processor;
  processor.setRateAndBufferSizeDetails(48000.0, 512);
  processor.prepareToPlay(48000.0, 512);
  *processor.parameters().weight(0) = 0.7f;
  *processor.parameters().weight(1) = 0.3f;
  processor.bridge().browse();
  play(processor, 150);
  const std::unique_ptr<juce::AudioProcessorEditor> editor(processor.createEditor());
  const float scale = n_arguments > 2 ? std::strtof(arguments[2], nullptr) : 1.0f;
  const juce::Image image = editor->createComponentSnapshot(editor->getLocalBounds(), true, scale);
  const juce::File file = juce::File::getCurrentWorkingDirectory().getChildFile(arguments[1]);
  file.deleteFile();
  juce::FileOutputStream out(file);
  return out.openedOk() && juce::PNGImageFormat().writeImageToStream(image, out) ? 0 : 1;
}
