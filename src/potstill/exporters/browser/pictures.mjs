// Pictures to arrays: the same sums as Pillow's bilinear `resize`, in whole numbers, so that equal pixels give equal
// pixels. A picture is {height, width, data: Uint8, RGB row by row}.

const SHIFT = 22;
export const WORKING_SIDE = 256;

// For each place of the result: where its pixels start, and their weights as whole numbers.
function weights(from, to) {
  const scale = from / to;
  const reach = Math.max(1, scale);
  const found = [];
  for (let place = 0; place < to; place++) {
    const centre = (place + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(from, Math.trunc(centre + reach + 0.5));
    const shares = [];
    let sum = 0;
    for (let i = start; i < end; i++) {
      const share = Math.max(0, 1 - Math.abs((i - centre + 0.5) / reach));
      shares.push(share);
      sum += share;
    }
    found.push({ start, shares: shares.map((share) => Math.trunc(0.5 + (share / sum) * 2 ** SHIFT)) });
  }
  return found;
}

function along(source, height, width, to, isHorizontal) {
  const from = isHorizontal ? width : height;
  if (from === to) return source;
  const places = weights(from, to);
  const rows = isHorizontal ? height : to;
  const columns = isHorizontal ? to : width;
  const made = new Uint8Array(rows * columns * 3);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const { start, shares } = places[isHorizontal ? x : y];
      for (let c = 0; c < 3; c++) {
        let sum = 1 << (SHIFT - 1);
        for (let k = 0; k < shares.length; k++) {
          const at = isHorizontal ? y * width + start + k : (start + k) * width + x;
          sum += source[at * 3 + c] * shares[k];
        }
        made[(y * columns + x) * 3 + c] = Math.min(255, Math.max(0, Math.floor(sum / 2 ** SHIFT)));
      }
    }
  }
  return made;
}

export function resizePicture({ height, width, data }, toHeight, toWidth) {
  const narrow = along(data, height, width, toWidth, true);
  return { height: toHeight, width: toWidth, data: along(narrow, height, toWidth, toHeight, false) };
}

// As `read_picture` does after decoding: on white where it is transparent, the longer side at most 256.
export function pictureOf(rgba, height, width) {
  const data = new Uint8Array(height * width * 3);
  for (let i = 0; i < height * width; i++) {
    const alpha = rgba[4 * i + 3];
    for (let c = 0; c < 3; c++) {
      const value = rgba[4 * i + c];
      data[3 * i + c] = alpha === 255 ? value : Math.round((value * alpha + 255 * (255 - alpha)) / 255);
    }
  }
  const longest = Math.max(height, width);
  const picture = { height, width, data };
  if (longest <= WORKING_SIDE) return picture;
  const side = (length) => Math.max(1, roundHalfToEven((length * WORKING_SIDE) / longest));
  return resizePicture(picture, side(height), side(width));
}

function roundHalfToEven(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 ? low + 1 : low;
}

// (value / scale - mean) / std, channel by channel. `values` is height x width x channels.
export function pixelsOf(entry, { height, width, data }) {
  const { channels } = entry;
  let values = data;
  if (height !== entry.height || width !== entry.width) {
    if (channels !== 3) throw new Error(`this model reads arrays of ${entry.height} x ${entry.width}`);
    values = resizePicture({ height, width, data }, entry.height, entry.width).data;
  }
  const area = entry.height * entry.width;
  const made = new Float32Array(channels * area);
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < area; i++) {
      const scaled = Math.fround(Math.fround(values[i * channels + c]) / Math.fround(entry.scale));
      made[c * area + i] = Math.fround(scaled - Math.fround(entry.mean[c])) / Math.fround(entry.std[c]);
    }
  }
  return { pixels: { type: "float32", data: made, dims: [1, channels, entry.height, entry.width] } };
}
