"use strict";
(() => {
const D = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const state = { text: 0, layer: 0, head: 0, token: 0, hover: -1, step: "A", columns: false, beside: false, rowAt: -1, columnAt: 0 };

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
const clamp = (x, low, high) => Math.max(low, Math.min(high, x));
const label = (text, t) => text.tokens[t][1];
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
const at = (text, layer, t, s) => D.layers[layer].causal ? t * (t + 1) / 2 + s : t * text.tokens.length + s;
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
  const text = D.texts[i], n = text.tokens.length, l = D.layers[layer];
  if (symbol === "A") {
    const w = weights(i, layer, head);
    return w && { rows: n, columns: n, width: n, get: (r, c) => l.causal && c > r ? null : w(r, c), tokens: true };
  }
  if (symbol === "S") {
    if (!text.scores) return null;
    const x = cached("s" + [i, layer, head], async () => Float32Array.from(new Uint16Array((await inflate(text.scores[layer][head])).buffer), half));
    return x && { rows: n, columns: n, width: n, tokens: true,
      get: (r, c) => { const v = l.causal && c > r ? -Infinity : x[at(text, layer, r, c)]; return v === -Infinity ? null : v; } };
  }
  const list = text.matrices[layer][symbol];
  if (!list) return null;
  const k = list.length === 1 ? 0 : symbol === "K" || symbol === "V" ? Math.floor(head * l.groups / l.heads) : head;
  const m = list[k];
  const x = cached("m" + [i, layer, k, symbol], () => Float32Array.from(new Uint16Array(bytes(m.data).buffer), (h) => half(h) * m.scale));
  return { rows: m.rows, columns: m.columns, width: m.width, get: (r, c) => x[r * m.columns + c] };
}

// other returns the text beside the current one, and the token there that stands
// where token t stands here: counted from the side on which the texts agree.
const others = D.texts.length > 1;
let beside = 1;
const other = () => state.text === beside ? (beside + 1) % D.texts.length : beside;
function partner(from, to, t) {
  const a = D.texts[from].tokens, b = D.texts[to].tokens;
  let head = 0, tail = 0;
  while (head < Math.min(a.length, b.length) && a[head][0] === b[head][0]) head++;
  while (tail < Math.min(a.length, b.length) - head && a[a.length - 1 - tail][0] === b[b.length - 1 - tail][0]) tail++;
  if (t >= a.length - tail) return b.length - (a.length - t);
  return clamp(t, 0, b.length - 1);
}
function differs(i, t) {
  const o = i === state.text ? other() : state.text;
  return D.texts[i].tokens[t][0] !== D.texts[o].tokens[partner(i, o, t)][0];
}

// --- drawing -------------------------------------------------------------

let colors;
function readColors() {
  const s = getComputedStyle(document.documentElement), get = (n) => s.getPropertyValue(n).trim();
  const three = (n) => get(n).split(" ").map(Number);
  const ground = get("--panel").match(/[0-9a-f]{2}/gi).map((h) => parseInt(h, 16));
  colors = { ground, heat: three("--heat"), plus: three("--plus"), minus: three("--minus"), ink: get("--ink"), soft: get("--soft"), accent: get("--accent"), line: get("--line") };
}
const mix = (color, x) => colors.ground.map((g, i) => Math.round(g + (color[i] - g) * x));
// shade is the colour of a weight. In a long text weights are small, so there the
// darkest colour begins at 32 in the number of tokens.
const gain = () => Math.max(1, D.texts[state.text].tokens.length / 32);
const shade = (x) => mix(colors.heat, clamp(x * gain(), 0, 1) ** (gain() > 1 ? 0.45 : 0.7));
const signed = (x, most) => mix(x < 0 ? colors.minus : colors.plus, most ? 0.75 * clamp(Math.abs(x) / most, 0, 1) : 0);
const tint = (c) => c.map((x, i) => Math.round(colors.ground[i] + (x - colors.ground[i]) * 0.55)); // behind text
const rgb = (c) => "rgb(" + c.join(" ") + ")";

let queued = false;
function draw() {
  if (queued) return;
  queued = true;
  requestAnimationFrame(() => { queued = false; drawSentences(); drawLists(); drawHeads(); drawMaps(); drawPath(); });
}

function select(change) {
  const text = D.texts[change.text ?? state.text];
  if (change.text !== undefined && change.text !== state.text && change.token === undefined) change.token = partner(state.text, change.text, state.token);
  if (change.text !== undefined && change.text !== state.text) beside = state.text;
  Object.assign(state, { hover: -1 }, change);
  state.token = clamp(state.token, 0, text.tokens.length - 1);
  if (change.token !== undefined || change.text !== undefined) state.rowAt = -1;
  draw();
}

// arrows moves within n things in rows of the given width.
function arrows(event, now, n, width, go) {
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -width, ArrowDown: width, Home: -now, End: n - 1 - now }[event.key];
  if (by === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const next = now + by;
  if (next >= 0 && next < n) go(next);
}

const chips = [], lists = [];
function buildSentences() {
  D.texts.forEach((text, i) => {
    const row = el("div", { className: "sentence", role: "listbox", "aria-label": "Tokens of text " + (i + 1) });
    chips.push(text.tokens.map((token, t) => el("button", { className: "chip", type: "button", role: "option", title: token[1] + " (id " + token[0] + ", token " + t + ")" }, token[1])));
    row.append(...chips[i]);
    const which = (e) => chips[i].indexOf(e.target.closest(".chip"));
    row.addEventListener("click", (e) => { const t = which(e); if (t >= 0) select({ text: i, token: t }); });
    row.addEventListener("pointerover", (e) => { const t = which(e); if (t >= 0 && i === state.text && e.pointerType === "mouse") { state.hover = t; drawSentences(); drawLists(); } });
    row.addEventListener("pointerleave", () => { if (state.hover >= 0) { state.hover = -1; drawSentences(); drawLists(); } });
    row.addEventListener("keydown", (e) => {
      const t = which(e);
      if (others && (e.key === "ArrowUp" || e.key === "ArrowDown")) {
        const next = i + (e.key === "ArrowUp" ? -1 : 1);
        e.preventDefault();
        if (next >= 0 && next < D.texts.length) { const to = partner(i, next, t); select({ text: next, token: to }); chips[next][to].focus(); }
        return;
      }
      arrows(e, t, text.tokens.length, 1, (next) => { select({ text: i, token: next }); chips[i][next].focus(); });
    });
    const box = el("div", { className: "text" });
    if (others) box.append(el("h3", {}, "Text " + (i + 1)));
    lists.push(el("div", { className: "columns" }));
    box.append(row, lists[i]);
    $("texts").append(box);
  });
}
function drawSentences() {
  D.texts.forEach((text, i) => {
    const mine = i === state.text, t = mine ? (state.hover >= 0 ? state.hover : state.token) : partner(state.text, i, state.hover >= 0 ? state.hover : state.token);
    const w = weights(i, state.layer, state.head);
    chips[i].forEach((chip, s) => {
      chip.style.background = w ? rgb(tint(shade(w(t, s)))) : "";
      chip.classList.toggle("selected", s === t);
      chip.classList.toggle("differs", others && differs(i, s));
      chip.setAttribute("aria-selected", mine && s === state.token);
      if (s === t) show(chip);
      chip.tabIndex = s === (mine ? state.token : t) ? 0 : -1;
    });
  });
}

// show scrolls a long text, and not the page, to a token.
function show(chip) {
  const row = chip.parentNode, top = chip.offsetTop - row.offsetTop;
  if (row.scrollHeight > row.clientHeight && state.hover < 0 && (top < row.scrollTop || top + chip.offsetHeight > row.scrollTop + row.clientHeight)) row.scrollTop = top - row.clientHeight / 2;
}

function bars(list) {
  return el("ul", { className: "bars" }, ...list.map(([word, x]) => {
    const bar = el("div", { className: "bar" });
    bar.style.width = 100 * clamp(x, 0, 1) + "%";
    return el("li", {}, el("span", { className: "word", title: word }, word), el("span", { className: "track" }, bar), el("span", { className: "number" }, percent(x)));
  }));
}
const highest = (list, n) => list.sort((a, b) => b[1] - a[1]).slice(0, n);
function drawLists() {
  const here = state.hover >= 0 ? state.hover : state.token;
  D.texts.forEach((text, i) => {
    const t = i === state.text ? here : partner(state.text, i, here), w = weights(i, state.layer, state.head), blocks = [];
    if (w) {
      const looks = [], looked = [];
      for (let s = 0; s < text.tokens.length; s++) { looks.push([label(text, s), w(t, s)]); if (s !== t) looked.push([label(text, s), w(s, t)]); }
      blocks.push(el("div", { className: "looks" }, el("h3", {}, quoted(label(text, t)), " looks at"), bars(highest(looks, 6).filter(([, x]) => x > 0))));
      if (!others) {
        const most = highest(looked, 6).filter(([, x]) => x > 0);
        blocks.push(el("div", {}, el("h3", {}, quoted(label(text, t)), " is looked at by"), most.length ? bars(most) : el("p", { className: "note" }, "No other token looks at it.")));
      }
    }
    const whole = text.top.length !== text.tokens.length, row = whole ? text.top[0] : text.top[t];
    if (row) {
      const head = whole ? ["Classes of the text"] : [D.classes ? "Class of " : D.next ? "After " : "In place of ", quoted(label(text, t))];
      blocks.push(el("div", { className: "says" }, el("h3", {}, ...head), bars(row.slice(0, 6).map((p) => [p[0], p[1]]))));
    }
    fill(lists[i], ...blocks);
  });
}

const headButtons = [];
function buildHeads() {
  const most = Math.max(...D.layers.map((l) => l.heads)), grid = $("heads");
  grid.style.gridTemplateColumns = "auto repeat(" + most + ", minmax(26px, 64px))";
  grid.append(el("span", {}));
  for (let h = 0; h < most; h++) grid.append(el("span", { role: "columnheader" }, String(h)));
  D.layers.forEach((l, layer) => {
    grid.append(el("span", { role: "rowheader", title: l.name }, "layer " + layer));
    headButtons.push([]);
    for (let h = 0; h < most; h++) {
      if (h >= l.heads) { grid.append(el("span", {})); continue; }
      const b = el("button", { type: "button", role: "gridcell", "aria-label": "layer " + layer + ", head " + h, title: "layer " + layer + ", head " + h, onclick: () => select({ layer, head: h }) }, el("canvas", {}));
      b.addEventListener("keydown", (e) => {
        const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[e.key];
        const next = move && headButtons[layer + move[0]]?.[h + move[1]];
        if (!move) return;
        e.preventDefault();
        if (next) { select({ layer: layer + move[0], head: h + move[1] }); next.focus(); }
      });
      headButtons[layer].push(b);
      grid.append(b);
    }
  });
}
let thumbsOf = -1;
function drawHeads() {
  headButtons.forEach((row, layer) => row.forEach((b, head) => {
    const on = layer === state.layer && head === state.head;
    b.classList.toggle("selected", on);
    b.setAttribute("aria-selected", on);
    b.tabIndex = on ? 0 : -1;
  }));
  if (thumbsOf === state.text) return;
  thumbsOf = state.text;
  const text = D.texts[state.text], n = text.thumb, all = cached("t" + state.text, () => bytes(text.thumbs));
  let k = 0;
  for (const row of headButtons) for (const b of row) {
    const canvas = b.firstChild, image = new ImageData(n, n);
    canvas.width = canvas.height = n;
    for (let p = 0; p < n * n; p++) image.data.set([...shade((all[k + p] / 255) ** 2), 255], 4 * p);
    canvas.getContext("2d").putImageData(image, 0, 0);
    k += n * n;
  }
  drawChanges();
}
// drawChanges lists the heads that the other text changes most, by their pictures.
function drawChanges() {
  if (!others) return;
  const a = D.texts[state.text], o = other(), b = D.texts[o];
  if (a.tokens.length !== b.tokens.length) {
    fill($("changes"), el("p", { className: "note" }, "Heads are compared where the texts have equally many tokens; these have " + a.tokens.length + " and " + b.tokens.length + "."));
    return;
  }
  const x = cached("t" + state.text, () => bytes(a.thumbs)), y = cached("t" + o, () => bytes(b.thumbs)), list = [];
  let k = 0;
  D.layers.forEach((l, layer) => {
    for (let head = 0; head < l.heads; head++, k += a.thumb ** 2) {
      let most = 0;
      for (let p = k; p < k + a.thumb ** 2; p++) most = Math.max(most, Math.abs((x[p] / 255) ** 2 - (y[p] / 255) ** 2));
      list.push([layer, head, most]);
    }
  });
  list.sort((p, q) => q[2] - p[2]);
  fill($("changes"), el("h3", {}, "Text " + (o + 1) + " changes most"), el("div", { className: "steps" }, ...list.slice(0, 5).map(([layer, head, most]) =>
    el("button", { type: "button", onclick: () => { select({ layer, head }); } }, "layer " + layer + ", head " + head + ": " + percent(most)))));
}

// --- the map of a head ---------------------------------------------------

const pixels = 560; // the widest map; of more tokens the largest weight in a pixel is drawn
// picture draws n × n weights as m × m pixels.
function picture(n, m, get, color, causal) {
  const image = new ImageData(m, m);
  for (let r = 0; r < m; r++) {
    const r0 = Math.floor(r * n / m), r1 = Math.max(r0 + 1, Math.floor((r + 1) * n / m));
    for (let s = 0; s < m; s++) {
      const s0 = Math.floor(s * n / m), s1 = Math.max(s0 + 1, Math.floor((s + 1) * n / m));
      let most = 0;
      for (let y = r0; y < r1; y++) for (let x = s0; x < s1; x++) { const v = get(y, x); if (Math.abs(v) > Math.abs(most)) most = v; }
      const p = 4 * (r * m + s), k = color(most);
      image.data[p] = k[0]; image.data[p + 1] = k[1]; image.data[p + 2] = k[2];
      image.data[p + 3] = causal && s0 > r0 ? 0 : 255;
    }
  }
  const small = new OffscreenCanvas(m, m);
  small.getContext("2d").putImageData(image, 0, 0);
  return small;
}
function drawMap(canvas, n, get, color, labels, causal, row) {
  // Two maps stand beside each other where there is room, and cells have a largest size.
  const ratio = Math.min(2, devicePixelRatio || 1), all = $("maps").clientWidth || 400, room = Math.min(pixels, maps.length > 1 && all >= 540 ? Math.floor((all - 16) / 2) : all);
  const named = n * 13 <= room - 60, names = named ? Math.round(Math.min(room * 0.26, 8 + 7.5 * Math.max(...labels.map((s) => Math.min(12, [...s].length))))) : 0;
  const wide = Math.min(room, names + n * 64), side = Math.round(wide * ratio), margin = Math.round(names * ratio);
  canvas.width = canvas.height = side;
  canvas.style.width = wide + "px";
  const c = canvas.getContext("2d");
  const cell = (side - margin) / n;
  canvas.margin = margin / ratio;
  canvas.cell = cell / ratio;
  c.clearRect(0, 0, side, side);
  const m = Math.min(n, pixels);
  if (canvas.of !== colors) { // the picture stays until the colours change
    canvas.of = colors;
    canvas.small = picture(n, m, get, color, causal);
  }
  c.imageSmoothingEnabled = m > side;
  c.drawImage(canvas.small, margin, margin, side - margin, side - margin);
  if (!named) return;
  c.font = Math.round(12 * ratio) + "px " + getComputedStyle(document.documentElement).getPropertyValue("--mono");
  const cut = (s) => { const r = [...s]; return r.length > 12 ? r.slice(0, 11).join("") + "…" : s; };
  const numbers = cell > 40 * ratio;
  labels.forEach((s, t) => {
    c.fillStyle = t === row ? colors.accent : colors.soft;
    c.textAlign = "right"; c.textBaseline = "middle";
    c.fillText(cut(s), margin - 4 * ratio, margin + (t + 0.5) * cell);
    c.save();
    c.translate(margin + (t + 0.5) * cell, margin - 4 * ratio);
    c.rotate(-Math.PI / 2);
    c.textAlign = "left";
    c.fillText(cut(s), 0, 0);
    c.restore();
    if (numbers) for (let x = 0; x < n; x++) {
      if (causal && x > t) continue;
      const v = get(t, x), k = color(v);
      c.fillStyle = k[0] * 0.3 + k[1] * 0.59 + k[2] * 0.11 > 140 ? "#111" : "#fff";
      c.textAlign = "center";
      c.fillText((color === shade ? "" : v > 0 ? "+" : "") + v.toFixed(2), margin + (x + 0.5) * cell, margin + (t + 0.5) * cell);
    }
  });
}
function mapOf(i, title, get, color, n, text) {
  const canvas = el("canvas", { tabIndex: 0, role: "img", "aria-label": title + ": " + n + " tokens. Arrow keys move." });
  const box = el("div", {}, el("h3", {}, title), canvas);
  const put = () => { if (cursor[0] !== row()) cursor = [row(), row()]; drawMap(canvas, n, get, color, text.tokens.map((k) => k[1]), D.layers[state.layer].causal, row()); mark(); };
  const row = () => i === state.text ? state.token : partner(state.text, i, state.token);
  let cursor = [row(), row()];
  const context = () => canvas.getContext("2d");
  function mark() {
    const ratio = canvas.width / (canvas.clientWidth || 400), c = context(), size = Math.max(1, canvas.cell * ratio);
    c.strokeStyle = colors.accent; c.lineWidth = 2;
    c.strokeRect(canvas.margin * ratio + 1, canvas.margin * ratio + row() * canvas.cell * ratio, canvas.width - canvas.margin * ratio - 2, size);
  }
  const say = () => fill($("readout"), quoted(label(text, cursor[0])), " (token " + cursor[0] + ") looks at ", quoted(label(text, cursor[1])), " (token " + cursor[1] + "): ",
    D.layers[state.layer].causal && cursor[1] > cursor[0] ? "it comes later and is hidden" : color === shade ? percent(get(...cursor)) : (get(...cursor) > 0 ? "+" : "") + get(...cursor).toFixed(3));
  const over = (e) => {
    const r = canvas.getBoundingClientRect(), y = Math.floor((e.clientY - r.top - canvas.margin) / canvas.cell), x = Math.floor((e.clientX - r.left - canvas.margin) / canvas.cell);
    if (x < 0 || y < 0 || x >= n || y >= n) return false;
    cursor = [y, x];
    return true;
  };
  canvas.addEventListener("pointermove", (e) => { if (over(e)) say(); });
  canvas.addEventListener("click", (e) => { if (over(e)) { say(); select({ text: i, token: cursor[0] }); } });
  canvas.addEventListener("keydown", (e) => arrows(e, cursor[0] * n + cursor[1], n * n, n, (next) => {
    cursor = [Math.floor(next / n), next % n];
    say();
    if (cursor[0] !== row() || i !== state.text) select({ text: i, token: cursor[0] });
  }));
  return { box, put, canvas };
}
let mapKey = "", maps = [];
function drawMaps() {
  const o = other(), shown = others && state.beside ? [state.text, o].sort() : [state.text];
  $("h-map").textContent = "Layer " + state.layer + ", head " + state.head;
  const get = shown.map((i) => weights(i, state.layer, state.head));
  if (get.includes(undefined)) return;
  const key = [shown, state.layer, state.head].join();
  if (key !== mapKey) { // otherwise the maps stay, and with them the keyboard's focus
    mapKey = key;
    maps = shown.map((i, k) => mapOf(i, others ? "Text " + (i + 1) : "Rows look at columns", get[k], shade, D.texts[i].tokens.length, D.texts[i]));
    if (shown.length === 2 && D.texts[shown[0]].tokens.length === D.texts[shown[1]].tokens.length)
      maps.push(mapOf(state.text, "Text " + (shown[1] + 1) + " minus text " + (shown[0] + 1), (t, s) => get[1](t, s) - get[0](t, s), (x) => signed(x, 0.75), D.texts[shown[0]].tokens.length, D.texts[state.text]));
    fill($("maps"), ...maps.map((m) => m.box));
  }
  for (const m of maps) m.put();
  $("legend").textContent = gain() > 1 ? "The darkest colour is " + percent(1 / gain()) + " or more." : "";
}

// --- the path ------------------------------------------------------------

const names = {
  X: "embeddings of the tokens, as this layer reads them", Q: "queries: what each token looks for", K: "keys: what each token offers", V: "values: what each token passes on",
  S: "scores: how well each query fits each key", A: "attention: the softmax of the scores", "H′": "contextual embeddings of this head", H: "contextual embeddings of the layer",
  "Z¹": "inside of the feed-forward network", "Z²": "output of the feed-forward network", "ŷ": "argmax: the likeliest answer",
};
const before = { X: [], Q: ["X"], K: ["X"], V: ["X"], S: ["Q", "K"], A: ["S"], "H′": ["A", "V"], H: ["H′"], "Z¹": ["H"], "Z²": ["Z¹"], "ŷ": [] };
const ofHead = ["Q", "K", "V", "S", "A", "H′"];
function formula(symbol) {
  const l = D.layers[state.layer], find = (s) => l.steps.find((x) => x.s === s), step = find(symbol), c = state.columns;
  const layer = (out, x, i, st) => out + " = " + (c ? "W_" + i + " · " + x : x + " · W_" + i) + (st.b ? " + b_" + i : "");
  const scale = (l.scale * Math.sqrt(D.layers[state.layer].width) - 1) ** 2 < 1e-9 ? "√" + D.layers[state.layer].width : (1 / l.scale).toPrecision(4);
  switch (symbol) {
    case "X": return "X";
    case "Q": case "K": case "V": return step.w ? layer(symbol, "X", symbol, step) : symbol;
    case "S": return "S = " + (c ? "Kᵀ · Q" : "Q · Kᵀ") + " / " + scale;
    case "A": return "A = softmax(S), " + (c ? "column by column" : "row by row");
    case "H′": return "H′ = " + (c ? "V · A" : "A · V");
    case "H": return layer("H", l.heads > 1 ? "[H′_0 … H′_" + (l.heads - 1) + "]" : "H′", "O", step);
    case "Z¹": return "Z¹ = " + (step.w ? step.op + "(" + layer("", step.from === find("H")?.v ? "H" : "H⁺", "1", step).slice(3) + ")" : step.op);
    case "Z²": return layer("Z²", "Z¹", "2", step);
    default: return "ŷ = argmax " + (D.logits && l.steps.some((x) => x.v === D.logits.v) ? "Z²" : "of the logits");
  }
}
// subscripts returns a formula in which "W_Q" has a subscript.
const subscripts = (text) => text.split(/_(\w+)/).map((part, k) => k % 2 ? el("sub", {}, part) : part);
function remark(symbol) {
  const l = D.layers[state.layer], find = (s) => l.steps.find((x) => x.s === s), step = find(symbol), parts = [];
  if (step) parts.push("In the graph: ", el("code", {}, step.v), " (" + step.op + ")", ...(step.w ? [", weights ", el("code", {}, step.w)] : []), ". ");
  if (symbol === "X" && step.op !== "Add" && step.op !== "Gather") parts.push("It is the stream of embeddings, normalized. ");
  if ((symbol === "Q" || symbol === "K") && step.op === "RotaryEmbedding") parts.push("It is then rotated by the token's position. ");
  if ((symbol === "K" || symbol === "V") && l.groups < l.heads) parts.push(l.heads / l.groups + " heads share it. ");
  if ((symbol === "S" || symbol === "A") && l.causal) parts.push("A token sees itself and what comes before it" + (l.window ? ", at most " + l.window + " tokens" : "") + "; the rest is hidden. ");
  if (symbol === "Z¹" && step.w && step.from !== find("H")?.v) parts.push("H⁺ is H, added to the stream and normalized as this network does. ");
  if (symbol === "ŷ" && state.layer < D.layers.length - 1) parts.push(D.layers.length - 1 - state.layer + " more layers lie between this one and the answer. ");
  return parts;
}

const size = { rows: 12, columns: 10 };
function number(x, symbol) {
  if (x === null) return symbol === "S" ? "−∞" : "";
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "NaN" : x < 0 ? "−∞" : "∞";
  const a = Math.abs(x);
  return (a >= 1000 || a > 0 && a < 0.00005 ? x.toExponential(1) : a > 0 && a < 0.005 ? x.toFixed(4) : x.toFixed(2)).replace(/-/g, "−");
}
function pager(what, from, n, all, step, go) {
  if (n >= all) return "";
  const move = (by) => go(clamp(from + by, 0, Math.max(0, all - n)));
  return el("span", { className: "pager" },
    el("button", { type: "button", "aria-label": "earlier " + what, disabled: from === 0, onclick: () => move(-step) }, "‹"),
    what + " " + from + "–" + (from + n - 1) + " of " + all,
    el("button", { type: "button", "aria-label": "later " + what, disabled: from + n >= all, onclick: () => move(step) }, "›"));
}
// table draws a matrix around the selected token: some of its rows and columns.
function table(i, symbol, t) {
  const text = D.texts[i], title = el("h3", {}, el("b", { className: "mono" }, symbol), others ? " of text " + (i + 1) : "", ofHead.includes(symbol) && D.layers[state.layer].heads > 1 ? ", head " + state.head : "");
  if (symbol === "ŷ") return answers(i, t, title);
  const m = matrix(i, state.layer, state.head, symbol);
  if (m === undefined) return el("div", { className: "matrix" }, title, el("p", { className: "note" }, "…"));
  if (m === null) return el("div", { className: "matrix" }, title, el("p", { className: "note" }, symbol === "S" ? "The scores before softmax are left out of a page with so long a text." : "This network has no such step."));
  const nr = Math.min(size.rows, m.rows), rowAt = clamp(state.rowAt >= 0 ? state.rowAt : t - Math.floor(nr / 2), 0, m.rows - nr);
  const nc = Math.min(m.tokens ? size.rows : size.columns, m.columns), columnAt = clamp(m.tokens && state.rowAt < 0 ? t - Math.floor(nc / 2) : state.columnAt, 0, m.columns - nc);
  const last = D.layers[state.layer].steps.find((s) => s.s === symbol);
  const column = (c) => m.tokens ? label(text, c) : D.vocabulary && D.logits && last && last.v === D.logits.v ? D.vocabulary[c] : String(c);
  let most = 0;
  for (let r = rowAt; r < rowAt + nr; r++) for (let c = columnAt; c < columnAt + nc; c++) { const x = m.get(r, c); if (Number.isFinite(x)) most = Math.max(most, Math.abs(x ?? 0)); }
  const cell = (r, c) => {
    const x = m.get(r, c), td = el("td", { className: x === null ? "hidden" : "" }, number(x, symbol));
    if (x !== null) td.style.background = rgb(tint(symbol === "A" ? shade(x) : signed(x, most * 0.75)));
    return td;
  };
  const token = (r) => el("th", { scope: state.columns ? "col" : "row", className: r === t ? "here" : "", title: label(text, r) }, label(text, r));
  const feature = (c) => el("th", { scope: state.columns ? "row" : "col", className: m.tokens && c === t ? "here" : "", title: column(c) }, column(c));
  const across = [...Array(nc).keys()].map((k) => k + columnAt), down = [...Array(nr).keys()].map((k) => k + rowAt);
  const [heads, sides, first, second, get] = state.columns ? [down, across, token, feature, (a, b) => cell(b, a)] : [across, down, feature, token, cell];
  const body = el("table", {}, el("thead", {}, el("tr", {}, el("td", {}), ...heads.map(first))), el("tbody", {}, ...sides.map((a) => el("tr", {}, second(a), ...heads.map((b) => get(a, b))))));
  const rest = [];
  if (m.columns < m.width) rest.push("the first " + m.columns + " of " + m.width + " columns are in this page");
  if (m.rows < text.tokens.length) rest.push("so are the first " + m.rows + " tokens");
  return el("div", { className: "matrix" }, title, el("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": symbol }, body),
    pager("tokens", rowAt, nr, m.rows, nr, (x) => { state.rowAt = x; draw(); }),
    m.tokens && state.rowAt < 0 ? "" : pager(m.tokens ? "looked at" : "numbers", columnAt, nc, m.columns, nc, (x) => { state.columnAt = x; draw(); }),
    el("p", { className: "note" }, (state.columns ? m.width + " × " + text.tokens.length : text.tokens.length + " × " + m.width) + (rest.length ? ": " + rest.join(", ") : "")));
}
// answers draws the likeliest tokens at each position.
function answers(i, t, title) {
  const text = D.texts[i], whole = text.top.length !== text.tokens.length;
  if (!text.top.length) return el("div", { className: "matrix" }, title, el("p", { className: "note" }, "This network gives hidden states and no scores."));
  const n = Math.min(size.rows, text.top.length), from = whole ? 0 : clamp(state.rowAt >= 0 ? state.rowAt : t - Math.floor(n / 2), 0, text.top.length - n);
  const most = Math.min(5, text.top[0].length), rows = [];
  for (let r = from; r < from + n; r++) rows.push(el("tr", {}, el("th", { scope: "row", className: r === t ? "here" : "" }, whole ? "text" : label(text, r)),
    ...text.top[r].slice(0, most).map((p) => { const td = el("td", { className: "left", title: "logit " + p[2] }, p[0] + "  " + percent(p[1])); td.style.background = rgb(tint(mix(colors.heat, p[1]))); return td; })));
  const head = el("thead", {}, el("tr", {}, el("td", {}), ...[...Array(most).keys()].map((k) => el("th", { scope: "col" }, k ? String(k + 1) + "." : "argmax"))));
  return el("div", { className: "matrix" }, title, el("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "predictions" }, el("table", {}, head, el("tbody", {}, ...rows))),
    pager("tokens", from, n, text.top.length, n, (x) => { state.rowAt = x; draw(); }));
}
function stepsHere() {
  const l = D.layers[state.layer].steps.map((s) => s.s);
  return D.texts[0].top.length ? [...l, "ŷ"] : l;
}
function drawPath() {
  const steps = stepsHere();
  if (!steps.includes(state.step)) state.step = "A";
  const go = (s) => { state.step = s; state.columnAt = 0; draw(); };
  const tabs = $("steps"), focused = tabs.contains(document.activeElement);
  fill(tabs, ...steps.map((s, k) => el("button", { type: "button", role: "tab", id: "step-" + k, "aria-selected": s === state.step, "aria-controls": "panel", tabIndex: s === state.step ? 0 : -1, title: names[s], onclick: () => go(s),
    onkeydown: (e) => arrows(e, k, steps.length, steps.length, (next) => go(steps[next])) }, s)));
  if (focused) tabs.querySelector("[aria-selected=true]").focus();
  $("whose").textContent = "Layer " + state.layer + (D.layers[state.layer].heads > 1 ? ", head " + state.head : "");
  const scrolled = $("panel").contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
  const shown = others && state.beside ? [state.text, other()].sort() : [state.text];
  const groups = [];
  for (const s of [...before[state.step].filter((b) => steps.includes(b)), state.step]) groups.push(el("div", { className: "matrices" }, ...shown.map((i) => table(i, s, i === state.text ? state.token : partner(state.text, i, state.token)))));
  fill($("panel"), el("p", { className: "formula" }, ...subscripts(formula(state.step))), el("p", {}, names[state.step][0].toUpperCase() + names[state.step].slice(1) + ". "),
    el("p", { className: "note" }, ...remark(state.step)), el("div", { className: "matrices" }, ...groups));
  if (scrolled) for (const e of $("panel").querySelectorAll("[aria-label]")) if (e.getAttribute("aria-label") === scrolled) { e.focus(); break; }
}

// --- start ---------------------------------------------------------------

function start() {
  if (typeof DecompressionStream === "undefined") {
    fill($("main"), el("section", {}, "This browser is too old for the page: it cannot unpack what is in it. Chromium 103, Firefox 113 and Safari 16.4 can."));
    $("main").hidden = false;
    return;
  }
  readColors();
  $("about").textContent = D.about;
  $("how").textContent = "Choose a token: the others are coloured by how much it looks at them, in the chosen head. Hover, click, or use the arrow keys." + (others ? " Underlined tokens differ between the texts; up and down go from text to text." : "");
  state.text = 0;
  state.token = D.texts[0].tokens.length - 1;
  if (others) {
    $("compare").append(el("label", {}, el("input", { type: "checkbox", id: "beside", onchange: (e) => { state.beside = e.target.checked; draw(); } }), "two texts side by side"));
    state.beside = $("beside").checked = true;
  }
  for (const r of document.querySelectorAll("input[name=form]")) r.addEventListener("change", () => { state.columns = document.querySelector("input[name=form]:checked").value === "columns"; draw(); });
  buildSentences();
  buildHeads();
  $("main").hidden = false;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColors(); thumbsOf = -1; draw(); });
  let wide = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== wide) { wide = innerWidth; draw(); } });
  draw();
}
start();
})();
