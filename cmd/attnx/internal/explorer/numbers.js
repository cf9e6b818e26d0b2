"use strict";
const D = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
// A translator has two sides: 0 is what the decoder reads, 1 the source. Other networks
// have side 0 only. The selected tokens are at[0] and at[1]; side says which of them looks,
// or is looked at.
const state = { text: 0, layer: 0, head: 0, side: 0, at: [0, 0], hover: -1, hoverSide: 0, step: "A", columns: false, beside: false, rowAt: -1, columnAt: 0 };

// el makes an element. Texts become text nodes, never markup.
function el(tag, props, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(props || {})) {
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (k in e) e[k] = v;
    else e.setAttribute(k, v);
  }
  e.append(...children);
  return e;
}
const fill = (e, ...children) => e.replaceChildren(...children);
const percent = (x) => x >= 0.0995 || x === 0 ? Math.round(x * 100) + " %" : x >= 0.001 ? (x * 100).toFixed(1) + " %" : "< 0.1 %";
const capital = (s) => s[0].toUpperCase() + s.slice(1);
const clamp = (x, low, high) => Math.max(low, Math.min(high, x));
const sides = D.translates ? [1, 0] : [0]; // as the page shows them
const tokens = (text, side) => side ? text.source : text.tokens;
const label = (text, side, t) => tokens(text, side)[t][1];
// here is the current layer: tokens of its side "of" look at tokens of its side "to".
const here = () => D.layers[state.layer];
const crosses = (l) => l.of !== l.to;
const quoted = (s) => el("span", { className: "mono" }, "“" + s + "”");

// --- the numbers ---------------------------------------------------------

function bytes(base64) {
  const s = atob(base64), b = new Uint8Array(s.length);
  for (let i = 0; i < s.length; i++) b[i] = s.charCodeAt(i);
  return b;
}
async function inflate(base64) {
  const stream = new Blob([bytes(base64)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
// half returns the number of a float16.
function half(h) {
  const sign = h & 0x8000 ? -1 : 1, e = (h >> 10) & 31, m = h & 1023;
  if (e === 31) return m ? NaN : sign * Infinity;
  return sign * (e ? 2 ** (e - 15) * (1 + m / 1024) : 2 ** -14 * m / 1024);
}
const cache = new Map();
// cached returns what make returns, of which the latest few are kept. Of a promise
// it returns undefined until it is kept; the page is then drawn again.
function cached(key, make) {
  if (cache.has(key)) {
    const v = cache.get(key);
    if (v instanceof Promise) return undefined;
    cache.delete(key); // the newest is the last
    cache.set(key, v);
    return v;
  }
  if (cache.size > 48) for (const k of cache.keys()) if (!(cache.get(k) instanceof Promise)) { cache.delete(k); break; }
  const v = make();
  cache.set(key, v);
  if (v instanceof Promise) { v.then((x) => { cache.set(key, x); draw(); }); return undefined; }
  return v;
}
const at = (text, layer, t, s) => D.layers[layer].causal ? t * (t + 1) / 2 + s : t * tokens(text, D.layers[layer].to).length + s;
// weights returns the attention of a head as a function of two tokens, or undefined
// while it is unpacked.
function weights(i, layer, head) {
  const text = D.texts[i], causal = D.layers[layer].causal;
  const x = cached("a" + [i, layer, head], async () => {
    const b = await inflate(text.weights[layer][head]);
    if (text.bytes === 2) return Float32Array.from(new Uint16Array(b.buffer), (v) => v / 65535);
    return Float32Array.from(b, (v) => (v / 255) ** 2);
  });
  return x && ((t, s) => causal && s > t ? 0 : x[at(text, layer, t, s)]);
}
// matrix returns a value of a layer: {rows, columns, width, get(r, c)}. Columns are
// those that the page has, width is all.
function matrix(i, layer, head, symbol) {
  const text = D.texts[i], l = D.layers[layer], n = tokens(text, l.of).length, k = tokens(text, l.to).length;
  if (symbol === "A") {
    const w = weights(i, layer, head);
    return w && { rows: n, columns: k, width: k, get: (r, c) => l.causal && c > r ? null : w(r, c), tokens: true };
  }
  if (symbol === "S") {
    if (!text.scores) return null;
    const x = cached("s" + [i, layer, head], async () => Float32Array.from(new Uint16Array((await inflate(text.scores[layer][head])).buffer), half));
    return x && { rows: n, columns: k, width: k, tokens: true,
      get: (r, c) => { const v = l.causal && c > r ? -Infinity : x[at(text, layer, r, c)]; return v === -Infinity ? null : v; } };
  }
  const list = text.matrices[layer][symbol];
  if (!list) return null;
  const h = list.length === 1 ? 0 : symbol === "K" || symbol === "V" ? Math.floor(head * l.groups / l.heads) : head;
  const m = list[h];
  const x = cached("m" + [i, layer, h, symbol], () => Float32Array.from(new Uint16Array(bytes(m.data).buffer), (h) => half(h) * m.scale));
  return { rows: m.rows, columns: m.columns, width: m.width, get: (r, c) => x[r * m.columns + c] };
}

// other returns the text beside the current one, and the token there that stands
// where token t stands here: counted from the side on which the texts agree.
const others = D.texts.length > 1;
let beside = 1;
const other = () => state.text === beside ? (beside + 1) % D.texts.length : beside;
function partner(from, to, side, t) {
  const a = tokens(D.texts[from], side), b = tokens(D.texts[to], side);
  let head = 0, tail = 0;
  while (head < Math.min(a.length, b.length) && a[head][0] === b[head][0]) head++;
  while (tail < Math.min(a.length, b.length) - head && a[a.length - 1 - tail][0] === b[b.length - 1 - tail][0]) tail++;
  if (t >= a.length - tail) return b.length - (a.length - t);
  return clamp(t, 0, b.length - 1);
}
function differs(i, side, t) {
  const o = i === state.text ? other() : state.text;
  return tokens(D.texts[i], side)[t][0] !== tokens(D.texts[o], side)[partner(i, o, side, t)][0];
}
// alike says whether two texts have equally many tokens.
const alike = (a, b) => sides.every((side) => tokens(a, side).length === tokens(b, side).length);
// chosen is the token of a side that is selected in text i, or its partner there.
const chosen = (i, side) => i === state.text ? state.at[side] : partner(state.text, i, side, state.at[side]);
// focus is the token under the pointer, or else the selected one: its side and place in text i.
function focus(i) {
  const side = state.hover >= 0 ? state.hoverSide : state.side, t = state.hover >= 0 ? state.hover : state.at[side];
  return [side, i === state.text ? t : partner(state.text, i, side, t)];
}

