// Text to the ids of its pieces, as Hugging Face's `tokenizers` cuts it, for the tokenizers that students have:
// WordPiece and whole characters. Whatever else a tokenizer.json asks for is refused, never guessed.

import { ACCENTS, CONTROLS, PUNCTUATION } from "./unicode.mjs";

const WHITE = /\p{White_Space}/u;
const CHINESE = [
  [0x4e00, 0x9fff], [0x3400, 0x4dbf], [0x20000, 0x2a6df], [0x2a700, 0x2b73f],
  [0x2b740, 0x2b81f], [0x2b920, 0x2ceaf], [0xf900, 0xfaff], [0x2f800, 0x2fa1f],
];
const LONGEST_WORD = 100;

export class UnknownTokenizer extends Error {}

// Whether a character lies in one of the ranges [first, last, first, last, ...].
function lies(character, ranges) {
  const code = character.codePointAt(0);
  let [low, high] = [0, ranges.length / 2];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[2 * middle + 1] < code) low = middle + 1;
    else high = middle;
  }
  return 2 * low < ranges.length && ranges[2 * low] <= code;
}

function withoutAccents(text) {
  let found = "";
  for (const character of text) if (!lies(character, ACCENTS)) found += character;
  return found;
}

export function makeTokenizer(content, maxLength) {
  const { model } = content;
  const kind = model.type ?? "WordPiece";
  if (!["WordPiece", "WordLevel"].includes(kind)) throw new UnknownTokenizer(`model ${kind}`);
  const vocabulary = new Map(Object.entries(model.vocab));
  const unknown = vocabulary.get(model.unk_token);
  const normalize = makeNormalizer(content.normalizer);
  const split = makeSplitter(content.pre_tokenizer);
  const [before, after] = ends(content.post_processor);
  const added = makeAdded(content.added_tokens ?? [], normalize);
  const remembered = new Map();

  function wordIds(word) {
    let ids = remembered.get(word);
    if (ids === undefined) {
      ids = kind === "WordPiece"
        ? wordPieces(word, vocabulary, unknown, model.continuing_subword_prefix ?? "##", model.max_input_chars_per_word ?? LONGEST_WORD)
        : [vocabulary.get(word) ?? unknown].filter((id) => id !== undefined);
      if (remembered.size < 50000) remembered.set(word, ids);
    }
    return ids;
  }

  return function encode(text) {
    const inner = [];
    for (const part of added(text.toWellFormed().normalize("NFC"))) {
      if (part.id !== undefined) inner.push(part.id);
      else for (const word of split(part.text)) inner.push(...wordIds(word));
    }
    const room = Math.max(0, maxLength - before.length - after.length);
    const ids = [...before, ...inner.slice(0, room), ...after];
    return ids.length ? ids : [0];
  };
}

function wordPieces(word, vocabulary, unknown, prefix, longest) {
  const characters = Array.from(word);
  if (characters.length > longest) return [unknown];
  const ids = [];
  for (let start = 0; start < characters.length; ) {
    let end = characters.length;
    let id;
    for (; end > start; end--) {
      const piece = (start ? prefix : "") + characters.slice(start, end).join("");
      id = vocabulary.get(piece);
      if (id !== undefined) break;
    }
    if (id === undefined) return [unknown];
    ids.push(id);
    start = end;
  }
  return ids;
}

// Special pieces that stand in a text as they are written are found before anything is normalized; the leftmost wins,
// and of several there the longest.
function makeAdded(tokens, normalize) {
  for (const token of tokens) {
    if (token.single_word || token.lstrip || token.rstrip || token.normalized) {
      throw new UnknownTokenizer(`added token ${token.content} with options`);
    }
  }
  const sorted = [...tokens].sort((a, b) => b.content.length - a.content.length);
  return function cut(text) {
    const parts = [];
    let rest = text;
    while (rest) {
      let best;
      for (const token of sorted) {
        const at = rest.indexOf(token.content);
        if (at >= 0 && (!best || at < best.at)) best = { at, token };
      }
      const plain = best ? rest.slice(0, best.at) : rest;
      if (plain) parts.push({ text: normalize(plain) });
      if (!best) break;
      parts.push({ id: best.token.id });
      rest = rest.slice(best.at + best.token.content.length);
    }
    return parts;
  };
}

function makeNormalizer(entry) {
  if (!entry) return (text) => text;
  switch (entry.type) {
    case "Sequence": {
      const steps = entry.normalizers.map(makeNormalizer);
      return (text) => steps.reduce((value, step) => step(value), text);
    }
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return (text) => text.normalize(entry.type);
    case "Lowercase":
      return lower;
    case "Strip":
      return (text) => strip(text, entry.strip_left !== false, entry.strip_right !== false);
    case "StripAccents":
      return withoutAccents;
    case "Replace":
      if (entry.pattern.Regex === "\\s+") return (text) => text.replace(/\p{White_Space}+/gu, entry.content);
      if (entry.pattern.String !== undefined) return (text) => text.replaceAll(entry.pattern.String, () => entry.content);
      throw new UnknownTokenizer(`pattern ${JSON.stringify(entry.pattern)}`);
    case "BertNormalizer":
      return (text) => bert(text, entry);
    default:
      throw new UnknownTokenizer(`normalizer ${entry.type}`);
  }
}

// Letter by letter: JavaScript's own toLowerCase looks at the neighbours of a capital sigma.
function lower(text) {
  let found = "";
  for (const character of text) found += character.toLowerCase();
  return found;
}

function strip(text, left, right) {
  if (left) text = text.replace(/^\p{White_Space}+/u, "");
  if (right) text = text.replace(/\p{White_Space}+$/u, "");
  return text;
}

function bert(text, options) {
  const isLower = options.lowercase !== false;
  if (options.clean_text !== false) text = cleaned(text);
  if (options.handle_chinese_chars !== false) text = spaced(text);
  if (options.strip_accents ?? isLower) text = withoutAccents(text.normalize("NFD"));
  return isLower ? lower(text) : text;
}

function cleaned(text) {
  let found = "";
  for (const character of text) {
    if (character === "\0" || character === "\ufffd" || lies(character, CONTROLS)) continue;
    found += WHITE.test(character) ? " " : character;
  }
  return found;
}

function spaced(text) {
  let found = "";
  for (const character of text) {
    const code = character.codePointAt(0);
    found += CHINESE.some(([low, high]) => code >= low && code <= high) ? ` ${character} ` : character;
  }
  return found;
}

function makeSplitter(entry) {
  if (!entry) return (text) => (text ? [text] : []);
  switch (entry.type) {
    case "BertPreTokenizer":
      return bertSplit;
    case "WhitespaceSplit":
      return (text) => text.split(/\p{White_Space}+/u).filter(Boolean);
    case "Split":
      if (entry.pattern.Regex === "." && entry.behavior === "Isolated" && !entry.invert) return characters;
      throw new UnknownTokenizer(`split ${JSON.stringify(entry)}`);
    default:
      throw new UnknownTokenizer(`pre-tokenizer ${entry.type}`);
  }
}

// `.` leaves out line feeds; what stands between matches is a piece too.
function characters(text) {
  return Array.from(text.matchAll(/\n+|[^\n]/gu), (match) => match[0]);
}

function bertSplit(text) {
  const words = [];
  let word = "";
  const finish = () => {
    if (word) words.push(word);
    word = "";
  };
  for (const character of text) {
    if (WHITE.test(character)) finish();
    else if (lies(character, PUNCTUATION)) {
      finish();
      words.push(character);
    } else word += character;
  }
  finish();
  return words;
}

// What stands before and after every text.
function ends(entry) {
  if (!entry) return [[], []];
  if (entry.type === "BertProcessing") return [[entry.cls[1]], [entry.sep[1]]];
  if (entry.type !== "TemplateProcessing") throw new UnknownTokenizer(`post-processor ${entry.type}`);
  const found = [[], []];
  let side = 0;
  for (const item of entry.single) {
    if (item.Sequence) side = 1;
    else found[side].push(...entry.special_tokens[item.SpecialToken.id].ids);
  }
  return found;
}
