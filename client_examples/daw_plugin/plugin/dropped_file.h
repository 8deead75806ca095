// A recording out of a file that was dropped on the window: WAV and AIFF, read by JUCE's own code.
#pragma once

#include <juce_audio_formats/juce_audio_formats.h>

#include <optional>
#include <vector>

#include "transport/board.h"

namespace deepmusic {

// Whether its name is that of a file that can be read here.
bool is_recording(const juce::String& path);

// What a server learns from: of a long file sixteen excerpts from all over it. Where there is nothing to read, `problem`
// says why.
std::optional<Recording> read_recording(const juce::File& file, juce::String& problem);

// A style's name out of a file's, which none of these has.
std::string style_name_for(const juce::File& file, const std::vector<wire::StyleListing>& taken);

}  // namespace deepmusic
