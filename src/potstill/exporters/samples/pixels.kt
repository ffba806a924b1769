    /** A picture of {{WIDTH}} x {{HEIGHT}} as Bitmap.getPixels gives it (0xAARRGGBB, row by row), as `values`. */
    fun pixels(argb: IntArray): FloatArray {
        val size = {{WIDTH}} * {{HEIGHT}}
        require(argb.size == size) { "expected $size pixels: scale the picture first" }
        val mean = floatArrayOf({{MEAN}})
        val std = floatArrayOf({{STD}})
        return FloatArray(3 * size) { i ->
            val channel = i / size
            val value = (argb[i % size] shr (16 - 8 * channel)) and 0xFF
            (value / {{SCALE}}f - mean[channel]) / std[channel]
        }
    }
