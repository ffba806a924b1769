// Sounds to log-mel spectra, and WAV files to samples.

const FLOOR = 1e-6;

export function logMelOf(entry, samples) {
  const numSamples = roundHalfEven(entry.rate * entry.seconds);
  const fitted = fitSound(samples, numSamples);
  const { window, hop, num_mels: numMels } = entry;
  const size = 1 << Math.ceil(Math.log2(window));
  const numFrames = 1 + Math.floor(Math.max(0, numSamples - window) / hop);
  const filters = melFilters(entry.rate, size, numMels, entry.low);
  const hann = Float64Array.from({ length: window }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / window));
  const values = new Float32Array(numMels * numFrames);
  const real = new Float64Array(size);
  const imaginary = new Float64Array(size);
  let loudest = -Infinity;
  for (let t = 0; t < numFrames; t++) {
    real.fill(0);
    imaginary.fill(0);
    for (let i = 0; i < window; i++) real[i] = fitted[t * hop + i] * hann[i];
    fourier(real, imaginary);
    for (let m = 0; m < numMels; m++) {
      let sum = 0;
      for (const [f, weight] of filters[m]) sum += (real[f] ** 2 + imaginary[f] ** 2) * weight;
      const value = Math.fround(Math.log(sum + FLOOR));
      values[m * numFrames + t] = value;
      loudest = Math.max(loudest, value);
    }
  }
  for (let i = 0; i < values.length; i++) {
    let value = values[i];
    if (entry.dynamic_range) value = Math.max(Math.fround(value - loudest), -entry.dynamic_range);
    values[i] = Math.fround(value - Math.fround(entry.mean)) / Math.fround(entry.std);
  }
  return { pixels: { type: "float32", data: values, dims: [1, 1, numMels, numFrames] } };
}

// Silence at the end of a short sound; of a long one the part with the most energy.
function fitSound(samples, length) {
  const made = new Float32Array(length);
  if (samples.length <= length) {
    made.set(samples);
    return made;
  }
  const energy = new Float64Array(samples.length + 1);
  for (let i = 0; i < samples.length; i++) energy[i + 1] = energy[i] + samples[i] * samples[i];
  let start = 0;
  for (let i = 1; i + length <= samples.length; i++) {
    if (energy[i + length] - energy[i] > energy[start + length] - energy[start]) start = i;
  }
  made.set(samples.subarray(start, start + length));
  return made;
}

// Triangles of equal area on the HTK mel scale, as [frequency, weight] where they aren't 0.
function melFilters(rate, size, numMels, low) {
  const toMel = (hz) => 2595 * Math.log10(1 + hz / 700);
  const [from, to] = [toMel(low), toMel(rate / 2)];
  const edges = Array.from({ length: numMels + 2 }, (_, i) => 700 * (10 ** ((from + ((to - from) * i) / (numMels + 1)) / 2595) - 1));
  return Array.from({ length: numMels }, (_, m) => {
    const [left, centre, right] = edges.slice(m, m + 3);
    const found = [];
    for (let f = 0; f <= size / 2; f++) {
      const hz = (f * rate) / size;
      const height = Math.max(0, Math.min((hz - left) / (centre - left), (right - hz) / (right - centre)));
      if (height) found.push([f, (height * 2) / (right - left)]);
    }
    return found;
  });
}

// In place, for a power of two (Cooley and Tukey 1965).
function fourier(real, imaginary) {
  const size = real.length;
  for (let i = 1, j = 0; i < size; i++) {
    let bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [real[i], real[j]] = [real[j], real[i]];
      [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
    }
  }
  for (let length = 2; length <= size; length <<= 1) {
    const half = length >> 1;
    for (let k = 0; k < half; k++) {
      const angle = (-2 * Math.PI * k) / length;
      const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
      for (let i = k; i < size; i += length) {
        const j = i + half;
        const r = real[j] * cosine - imaginary[j] * sine;
        const m = real[j] * sine + imaginary[j] * cosine;
        [real[j], imaginary[j]] = [real[i] - r, imaginary[i] - m];
        real[i] += r;
        imaginary[i] += m;
      }
    }
  }
}

function roundHalfEven(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 ? low + 1 : low;
}

// A PCM file of 16 bits as {rate, samples}, channels averaged; null for any other file.
export function readWav(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (at) => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (bytes.length < 44 || word(0) !== "RIFF" || word(8) !== "WAVE") return null;
  let format = null;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    if (word(at) === "fmt ") {
      format = { code: view.getUint16(at + 8, true), channels: view.getUint16(at + 10, true), rate: view.getUint32(at + 12, true), bits: view.getUint16(at + 22, true) };
    }
    if (word(at) === "data") {
      if (!format || format.code !== 1 || format.bits !== 16) return null;
      const end = Math.min(bytes.length, at + 8 + size);
      const count = Math.floor((end - at - 8) / 2 / format.channels);
      const samples = new Float32Array(count);
      for (let i = 0; i < count; i++) {
        let sum = 0;
        for (let c = 0; c < format.channels; c++) sum += view.getInt16(at + 8 + 2 * (i * format.channels + c), true) / 32768;
        samples[i] = sum / format.channels;
      }
      return { rate: format.rate, samples };
    }
    at += 8 + size + (size & 1);
  }
  return null;
}
