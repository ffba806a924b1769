// A bundle opened with onnxruntime-web or onnxruntime-node: inputs in, labels with calibrated probabilities out.

import { makeHashedNgrams } from "./hashed_ngrams.mjs";
import { pixelsOf } from "./pictures.mjs";
import { logMelOf } from "./sounds.mjs";
import { makeTokenizer } from "./tokenizer.mjs";

// `read(name)` gives the bytes of a file of the bundle; `ort` is the runtime's module.
export async function openStudent(read, ort, folds = {}) {
  const json = async (name) => JSON.parse(new TextDecoder().decode(await read(name)));
  const manifest = await json("manifest.json");
  const entry = manifest.preprocess;
  const prepare = await makePrepare(entry, read, json, folds);
  // Weights that are stored as int8 become fp32 once, as in Python; networks for pictures compute in int8.
  const computes = manifest.model.precision === "int8" && ["pixels", "log_mel"].includes(entry.kind);
  const options = { executionProviders: ["wasm"], extra: { session: { disable_quant_qdq: computes ? "0" : "1" } } };
  const session = await ort.InferenceSession.create(await read(manifest.model.file), options);

  async function logits(value) {
    const feeds = {};
    for (const [name, { type, data, dims }] of Object.entries(prepare(value))) feeds[name] = new ort.Tensor(type, data, dims);
    return (await session.run(feeds)).logits.data;
  }
  const student = { manifest, logits, predict: async (value) => describe(manifest, await logits(value)) };
  student.selfTest = () => selfTest(student);
  return student;
}

async function makePrepare(entry, read, json, folds) {
  switch (entry.kind) {
    case "text_tokens": {
      const encode = makeTokenizer(await json(entry.file), entry.max_length);
      return (text) => ({ ids: int32(encode(text)) });
    }
    case "hashed_ngrams": {
      const bytes = entry.file ? await read(entry.file) : null;
      const idf = bytes && new Float32Array(bytes.slice().buffer);
      const encode = makeHashedNgrams(entry, idf, folds);
      return (text) => {
        const { ids, weights } = encode(text);
        return { ids: int32(ids), weights: { type: "float32", data: Float32Array.from(weights), dims: [1, weights.length] } };
      };
    }
    case "pixels":
      return (picture) => pixelsOf(entry, picture);
    case "log_mel":
      return (samples) => logMelOf(entry, samples);
    default:
      throw new Error(`this page doesn't know the preprocessing ${entry.kind}`);
  }
}

function int32(ids) {
  return { type: "int32", data: Int32Array.from(ids), dims: [1, ids.length] };
}

// label, probability, probabilities by class and in_scope, as `predict` gives them in Python.
export function describe(manifest, logits) {
  const labels = {};
  const probabilities = {};
  let joint = 1;
  let start = 0;
  let score = Infinity;
  manifest.schema.forEach((field, i) => {
    const raw = Array.from(logits.slice(start, start + field.classes.length));
    start += field.classes.length;
    const scaled = raw.map((value) => value / manifest.calibration.temperatures[i]);
    const part = field.multi ? scaled.map((value) => 1 / (1 + Math.exp(-value))) : softmax(scaled);
    probabilities[field.name] = Object.fromEntries(field.classes.map((name, k) => [name, part[k]]));
    if (field.multi) {
      labels[field.name] = field.classes.filter((_, k) => part[k] > 0.5);
      for (const p of part) joint *= Math.max(p, 1 - p);
    } else {
      const best = part.indexOf(Math.max(...part));
      labels[field.name] = field.classes[best];
      joint *= part[best];
    }
    score = Math.min(score, scopeScore(raw, manifest.threshold?.score, field.multi));
  });
  const only = manifest.schema.length === 1 ? manifest.schema[0].name : null;
  return {
    label: only === null ? labels : labels[only],
    probability: joint,
    probabilities: only === null ? probabilities : probabilities[only],
    in_scope: manifest.threshold ? score >= manifest.threshold.value : null,
  };
}

function softmax(values) {
  const highest = Math.max(...values);
  const exponents = values.map((value) => Math.exp(value - highest));
  const sum = exponents.reduce((a, b) => a + b);
  return exponents.map((value) => value / sum);
}

function scopeScore(values, kind, isMulti) {
  const highest = Math.max(...values);
  if (kind !== "energy" || isMulti) return highest;
  return highest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - highest), 0));
}

// The probe inputs of the bundle: do they give here what they gave where the student was made?
async function selfTest(student) {
  const { rows, tolerance } = student.manifest.probes;
  let difference = 0;
  const answers = [];
  for (const row of rows) {
    const found = await student.logits(probeInput(row.input));
    row.logits.forEach((value, i) => {
      difference = Math.max(difference, Math.abs(found[i] - value));
    });
    answers.push(describe(student.manifest, found).label);
  }
  return { passed: difference <= tolerance, difference, tolerance, answers };
}

const ARRAYS = { "|u1": Uint8Array, "<f4": Float32Array, "<f8": Float64Array, "<i2": Int16Array, "<i4": Int32Array };

export function probeInput(input) {
  if (typeof input === "string") return input;
  const made = ARRAYS[input.dtype];
  if (!made) throw new Error(`a probe of type ${input.dtype}`);
  const bytes = Uint8Array.from(atob(input.base64), (character) => character.charCodeAt(0));
  const data = new made(bytes.buffer);
  if (input.shape.length === 1) return Float32Array.from(data);
  return { height: input.shape[0], width: input.shape[1], data };
}
