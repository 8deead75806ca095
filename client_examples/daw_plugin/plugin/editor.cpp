#include "plugin/editor.h"
#include "plugin/processor.h"
namespace deepmusic {
Editor::Editor(Processor& processor) : GenericAudioProcessorEditor(processor) {}
}  // namespace deepmusic
