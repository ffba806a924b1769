// Written by `potstill export --sample swift` from the manifest of this bundle. Package:
//     https://github.com/microsoft/onnxruntime-swift-package-manager, version {{ORT}}
// It was written, and neither compiled nor run. Add model.onnx to the app's resources. {{PREPARE}}

import Foundation
import OnnxRuntimeBindings

final class Student {
    static let labels = [{{LABELS}}]
    static let temperature: Float = {{TEMPERATURE}}

    private let environment: ORTEnv
    private let session: ORTSession

    init() throws {
        environment = try ORTEnv(loggingLevel: .warning)
        let options = try ORTSessionOptions()
        try options.setIntraOpNumThreads(1)
        try options.addConfigEntry(withKey: "session.disable_quant_qdq", value: "{{DISABLE}}")
        let path = Bundle.main.path(forResource: "model", ofType: "onnx")!
        session = try ORTSession(env: environment, modelPath: path, sessionOptions: options)
    }

    /// Logits of one input: `values` is {{DTYPE}} of shape {{SHAPE}}.
    func logits(_ values: [{{SWIFT}}]) throws -> [Float] {
        let data = values.withUnsafeBytes { NSMutableData(bytes: $0.baseAddress!, length: $0.count) }
        let shape: [NSNumber] = [{{SHAPE_SWIFT}}]
        let tensor = try ORTValue(tensorData: data, elementType: .{{ELEMENT}}, shape: shape)
        let result = try session.run(withInputs: ["{{INPUT}}": tensor], outputNames: ["logits"], runOptions: nil)
        let found = try result["logits"]!.tensorData() as Data
        return found.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }

    /// The answer and its calibrated probability.
    func predict(_ values: [{{SWIFT}}]) throws -> (label: String, probability: Float) {
        let scaled = try logits(values).map { $0 / Student.temperature }
        let highest = scaled.max()!
        let exponents = scaled.map { exp($0 - highest) }
        let best = exponents.indices.max { exponents[$0] < exponents[$1] }!
        return (Student.labels[best], exponents[best] / exponents.reduce(0, +))
    }
{{PIXELS}}}
