// Predicts with the bundle beside this file: `npm install`, then `node main.mjs "a text"` (or a WAV file, or nothing
// for the bundle's own probe inputs).

import { readFile } from "node:fs/promises";

import * as ort from "onnxruntime-web/wasm";

import { readWav } from "./sounds.mjs";
import { openStudent } from "./student.mjs";

ort.env.wasm.numThreads = 1;
const wasm = import.meta.resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm");
ort.env.wasm.wasmBinary = (await readFile(new URL(wasm))).buffer;
const here = (name) => new URL(name, import.meta.url);
const folds = JSON.parse(await readFile(here("case_folds.json")));
const student = await openStudent((name) => readFile(here(`bundle/${name}`)), ort, folds);
const [input] = process.argv.slice(2);
if (input === undefined) {
  const found = await student.selfTest();
  console.log(JSON.stringify(found));
  process.exitCode = found.passed ? 0 : 1;
} else {
  const kind = student.manifest.preprocess.kind;
  if (kind === "pixels") throw new Error("Node decodes no pictures; pass {height, width, data} to student.predict");
  const value = kind === "log_mel" ? readWav(await readFile(input)).samples : input;
  console.log(JSON.stringify(await student.predict(value)));
}
