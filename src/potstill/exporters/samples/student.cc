// Written by `potstill export --sample c` from the LiteRT export of this run, for LiteRT for Microcontrollers.
// model.h holds the model. {{PREPARE}}

#include "model.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {
// Raise it where AllocateTensors fails; arena_used_bytes() says what is needed.
constexpr int kArenaBytes = {{ARENA}};
alignas(16) uint8_t arena[kArenaBytes];
const char* const kLabels[] = {{{LABELS}}};
constexpr int kNumLabels = {{NUM_LABELS}};
}  // namespace

// `values` holds {{NUM_VALUES}} floats, shape {{SHAPE}}. Returns the answer, or nullptr where the model can't run.
extern "C" const char* student_predict(const float* values) {
  static tflite::MicroMutableOpResolver<{{NUM_OPS}}> resolver;
  static bool is_ready = false;
  if (!is_ready) {
{{ADD_OPS}}
    is_ready = true;
  }
  static tflite::MicroInterpreter interpreter(tflite::GetModel(student_model), resolver, arena, kArenaBytes);
  static const bool is_allocated = interpreter.AllocateTensors() == kTfLiteOk;
  if (!is_allocated) return nullptr;
  for (int i = 0; i < {{NUM_VALUES}}; i++) interpreter.input(0)->data.f[i] = values[i];
  if (interpreter.Invoke() != kTfLiteOk) return nullptr;
  const float* logits = interpreter.output(0)->data.f;
  int best = 0;
  for (int i = 1; i < kNumLabels; i++) best = logits[i] > logits[best] ? i : best;
  return kLabels[best];
}
