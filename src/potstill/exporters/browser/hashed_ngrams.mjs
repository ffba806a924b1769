// Text as hashed word and character n-grams with TF-IDF weights. `folds` holds what Python's casefold makes of
// characters where lower case is something else; JavaScript has no casefold of its own.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let k = 0; k < 8; k++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});
// What Python's split takes for space: Unicode's white space and four separators of ASCII.
const SPACE = /[\p{White_Space}\x1c-\x1f]+/u;

function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = TABLE[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

export function makeHashedNgrams(entry, idf, folds) {
  const utf8 = new TextEncoder();
  const bucket = (gram) => 1 + (crc32(utf8.encode(gram)) % (entry.num_buckets - 1));

  return function encode(text) {
    let folded = "";
    for (const character of text.toWellFormed().normalize("NFC")) folded += folds[character] ?? character.toLowerCase();
    const words = folded.split(SPACE).filter(Boolean);
    const counts = new Map();
    const count = (gram) => {
      const id = bucket(gram);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    };
    for (let n = entry.word_ngrams[0]; n <= entry.word_ngrams[1]; n++) {
      for (let i = 0; i + n <= words.length; i++) count(`w:${words.slice(i, i + n).join(" ")}`);
    }
    for (const word of words) {
      const padded = [" ", ...word, " "];
      for (let n = entry.char_ngrams[0]; n <= entry.char_ngrams[1]; n++) {
        for (let i = 0; i < Math.max(1, padded.length - n + 1); i++) count(`c:${padded.slice(i, i + n).join("")}`);
      }
    }
    const ids = [...counts.keys()].sort((a, b) => a - b);
    if (!ids.length) return { ids: [0], weights: [0] };
    const raw = ids.map((id) => (1 + Math.log(counts.get(id))) * (idf ? idf[id] : 1));
    const norm = Math.max(Math.hypot(...raw), 1e-12);
    return { ids, weights: raw.map((value) => value / norm) };
  };
}
