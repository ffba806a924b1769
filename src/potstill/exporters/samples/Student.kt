// Written by `potstill export --sample android` from the manifest of this bundle. Gradle:
//     implementation("com.microsoft.onnxruntime:onnxruntime-android:{{ORT}}")
// It was written, and neither compiled nor run. Copy model.onnx into src/main/assets. {{PREPARE}}

package com.example.student

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import android.content.Context
import java.nio.{{BUFFER}}
import kotlin.math.exp

class Student(context: Context) {
    private val environment = OrtEnvironment.getEnvironment()
    private val session: OrtSession

    init {
        val options = OrtSession.SessionOptions()
        options.setIntraOpNumThreads(1)
        options.addConfigEntry("session.disable_quant_qdq", "{{DISABLE}}")
        session = environment.createSession(context.assets.open("model.onnx").readBytes(), options)
    }

    /** Logits of one input: `values` is {{DTYPE}} of shape {{SHAPE}}. */
    fun logits(values: {{ARRAY}}): FloatArray {
        val shape = longArrayOf({{SHAPE_LONG}})
        OnnxTensor.createTensor(environment, {{BUFFER}}.wrap(values), shape).use { tensor ->
            session.run(mapOf("{{INPUT}}" to tensor)).use { result ->
                @Suppress("UNCHECKED_CAST")
                return (result[0].value as Array<FloatArray>)[0]
            }
        }
    }

    /** The answer and its calibrated probability. */
    fun predict(values: {{ARRAY}}): Pair<String, Float> {
        val scaled = logits(values).map { it / TEMPERATURE }
        val exponents = scaled.map { exp(it - scaled.max()) }
        val best = exponents.indices.maxBy { exponents[it] }
        return LABELS[best] to exponents[best] / exponents.sum()
    }
{{PIXELS}}
    companion object {
        const val TEMPERATURE = {{TEMPERATURE}}f
        val LABELS = listOf({{LABELS}})
    }
}
