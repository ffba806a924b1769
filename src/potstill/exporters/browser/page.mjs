// The page: an input, an answer, and whether this browser computes what Python computed.

import { pictureOf } from "./pictures.mjs";
import { readWav } from "./sounds.mjs";
import { openStudent } from "./student.mjs";

const WORDS = {
  en: {
    loading: "Loading the student …",
    passed: "This browser gives the answers of the machine that made the student: {answers} probe inputs, largest difference of a logit {difference}.",
    failed: "This browser computes something else than the machine that made the student (a logit differs by {difference}). Don't trust its answers.",
    text: "A text", picture: "A picture", sound: "A sound (file)", camera: "Use the camera", take: "Take a picture",
    record: "Record {seconds} s", recording: "Recording …", outside: "looks like none of the classes", time: "{ms} ms on this device",
    nothing: "Everything runs in this page; nothing is sent anywhere.", error: "That could not be read: {message}",
  },
  ko: {
    loading: "학생 모델을 불러오는 중 …",
    passed: "이 브라우저는 학생 모델을 만든 기기와 같은 답을 냅니다: 확인용 입력 {answers}개, 로짓의 가장 큰 차이 {difference}.",
    failed: "이 브라우저의 계산이 학생 모델을 만든 기기와 다릅니다(로짓 차이 {difference}). 답을 믿지 마세요.",
    text: "텍스트", picture: "그림", sound: "소리 파일", camera: "카메라 쓰기", take: "사진 찍기",
    record: "{seconds}초 녹음", recording: "녹음 중 …", outside: "어느 클래스와도 닮지 않았습니다", time: "이 기기에서 {ms} ms",
    nothing: "모든 계산은 이 페이지 안에서 이루어지며 아무것도 전송되지 않습니다.", error: "읽을 수 없습니다: {message}",
  },
};
const KINDS = { pixels: "picture", log_mel: "sound" };
const NUM_SHOWN = 5;

const words = WORDS[document.documentElement.lang] ?? WORDS.en;
const say = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function fromBase64(text) {
  return Uint8Array.from(atob(text.trim()), (character) => character.charCodeAt(0));
}

// Files lie in the page itself, or beside it.
async function readFile(name) {
  const inside = document.getElementById(`file:${name}`);
  if (inside) return fromBase64(inside.textContent);
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function openRuntime(settings) {
  const inside = document.getElementById(`file:${settings.ort}`);
  const url = inside
    ? URL.createObjectURL(new Blob([fromBase64(inside.textContent)], { type: "text/javascript" }))
    : new URL(settings.ort, document.baseURI).href;
  const ort = await import(url);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = (await readFile(settings.wasm)).buffer;
  return ort;
}

async function start() {
  const settings = JSON.parse(document.getElementById("settings").textContent);
  const status = document.getElementById("status");
  status.textContent = say("loading");
  document.getElementById("nothing").textContent = say("nothing");
  const student = await openStudent(readFile, await openRuntime(settings), settings.folds);
  const test = await student.selfTest();
  status.textContent = say(test.passed ? "passed" : "failed", { answers: test.answers.length, difference: test.difference.toPrecision(2) });
  status.className = test.passed ? "good" : "bad";
  const kind = KINDS[student.manifest.preprocess.kind] ?? "text";
  const answer = async (value) => show(await timed(student, value));
  const guarded = (work) => async (...given) => {
    try {
      await work(...given);
    } catch (error) {
      document.getElementById("answer").replaceChildren(make("p", { className: "bad", textContent: say("error", { message: error.message }) }));
    }
  };
  ({ text: askText, picture: askPicture, sound: askSound })[kind](student, answer, guarded);
  // For whoever drives this page: tests, or an app that holds it.
  window.potstill = { student, test, pictureFromFile, soundFromFile };
  document.documentElement.dataset.ready = test.passed ? "passed" : "failed";
}

async function timed(student, value) {
  const begin = performance.now();
  const found = await student.predict(value);
  return { ...found, ms: performance.now() - begin };
}

function show({ label, probability, probabilities, in_scope: inScope, ms }) {
  const name = typeof label === "string" ? label : JSON.stringify(label);
  const parts = [make("p", { className: "label", textContent: `${name} (${(100 * probability).toFixed(1)} %)` })];
  if (inScope === false) parts.push(make("p", { className: "bad", textContent: say("outside") }));
  const flat = Object.entries(probabilities).flatMap(([key, value]) =>
    typeof value === "number" ? [[key, value]] : Object.entries(value).map(([inner, p]) => [`${key}: ${inner}`, p]));
  const list = make("ol");
  for (const [key, value] of flat.sort((a, b) => b[1] - a[1]).slice(0, NUM_SHOWN)) {
    list.append(make("li", {}, make("meter", { value, min: 0, max: 1 }), ` ${key} ${(100 * value).toFixed(1)} %`));
  }
  parts.push(list, make("p", { className: "quiet", textContent: say("time", { ms: ms.toFixed(1) }) }));
  document.getElementById("answer").replaceChildren(...parts);
}

function askText(student, answer, guarded) {
  const box = make("textarea", { id: "input", rows: 3 });
  box.addEventListener("input", guarded(async () => box.value.trim() && answer(box.value)));
  place(make("label", { htmlFor: "input", textContent: say("text") }), box);
}

function askFile(title, accept, use) {
  const box = make("input", { id: "input", type: "file", accept });
  box.addEventListener("change", () => box.files[0] && use(box.files[0]));
  return [make("label", { htmlFor: "input", textContent: title }), box];
}

function askPicture(student, answer, guarded) {
  const shown = make("canvas", { id: "shown", hidden: true });
  const use = guarded(async (source) => answer(await pictureFromFile(source, shown)));
  const button = make("button", { type: "button", textContent: say("camera") });
  const video = make("video", { hidden: true, playsInline: true, muted: true });
  button.addEventListener("click", guarded(async () => {
    if (video.hidden) {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      video.hidden = false;
      await video.play();
      button.textContent = say("take");
    } else await use(video);
  }));
  place(...askFile(say("picture"), "image/*", use), button, video, shown);
}

// A file, or the frame that a camera shows now.
async function pictureFromFile(source, shown) {
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(source, options);
  const canvas = shown ?? make("canvas");
  [canvas.width, canvas.height, canvas.hidden] = [bitmap.width, bitmap.height, false];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  return pictureOf(data, bitmap.height, bitmap.width);
}

function askSound(student, answer, guarded) {
  const { rate, seconds } = student.manifest.preprocess;
  const use = guarded(async (file) => answer(await soundFromFile(file, rate)));
  const button = make("button", { type: "button", textContent: say("record", { seconds }) });
  button.addEventListener("click", guarded(async () => {
    // As it is: what makes calls clear takes away what isn't speech.
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
    const recorder = new MediaRecorder(stream);
    const parts = [];
    recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    recorder.addEventListener("stop", () => {
      for (const track of stream.getTracks()) track.stop();
      button.textContent = say("record", { seconds });
      use(new Blob(parts));
    });
    recorder.start();
    button.textContent = say("recording");
    // What comes first is the click; the loudest part of the right length is looked at anyway.
    setTimeout(() => recorder.stop(), 1000 * seconds + 500);
  }));
  place(...askFile(say("sound"), "audio/*", use), button);
}

// A WAV file of the right rate is read sample by sample, everything else by the browser's decoder.
async function soundFromFile(file, rate) {
  const content = await file.arrayBuffer();
  const plain = readWav(new Uint8Array(content));
  if (plain?.rate === rate) return plain.samples;
  const decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(content);
  const samples = new Float32Array(decoded.length);
  for (let c = 0; c < decoded.numberOfChannels; c++) {
    decoded.getChannelData(c).forEach((value, i) => {
      samples[i] += value / decoded.numberOfChannels;
    });
  }
  return samples;
}

function place(...elements) {
  document.getElementById("ask").replaceChildren(...elements);
}

start().catch((error) => {
  document.getElementById("status").textContent = error.message;
  document.getElementById("status").className = "bad";
  document.documentElement.dataset.ready = "broken";
});
