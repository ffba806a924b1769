// What Node makes of bundles: `node check.mjs RUNTIME INPUTS BUNDLE...` prints logits and CPU times as JSON.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { openStudent, probeInput } from "./student.mjs";

const [runtime, inputsFile, ...bundles] = process.argv.slice(2);
const ort = await import(pathToFileURL(join(runtime, "ort.wasm.bundle.min.mjs")));
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmBinary = (await readFile(join(runtime, "ort-wasm-simd-threaded.wasm"))).buffer;
const { inputs, folds } = JSON.parse(await readFile(inputsFile));
const values = inputs.map(probeInput);
const students = [];
for (const folder of bundles) students.push(await openStudent((name) => readFile(join(folder, name)), ort, folds));
const found = students.map(() => ({ logits: [], milliseconds: [] }));
for (const value of values) {
  for (const [i, student] of students.entries()) {
    found[i].logits.push(Array.from(await student.logits(value)));
    const before = process.cpuUsage();
    await student.logits(value);
    const { user, system } = process.cpuUsage(before);
    found[i].milliseconds.push((user + system) / 1000);
  }
}
console.log(JSON.stringify(found));
