    /// A picture of {{WIDTH}} x {{HEIGHT}} as red, green and blue, row by row, as `values`.
    func pixels(_ rgb: [UInt8]) -> [Float] {
        let size = {{WIDTH}} * {{HEIGHT}}
        precondition(rgb.count == 3 * size, "scale the picture first")
        let mean: [Float] = [{{MEAN}}]
        let std: [Float] = [{{STD}}]
        return (0..<(3 * size)).map { i in
            let channel = i / size
            return (Float(rgb[3 * (i % size) + channel]) / {{SCALE}} - mean[channel]) / std[channel]
        }
    }
