"use strict";
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
const gain = () => Math.max(1, tokens(D.texts[state.text], here().to).length / 32);
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

// select changes the state. change.token is a token of change.side.
function select(change) {
  const to = change.text ?? state.text, from = state.text;
  if (to !== from) {
    state.at = sides.length > 1 ? [partner(from, to, 0, state.at[0]), partner(from, to, 1, state.at[1])] : [partner(from, to, 0, state.at[0]), 0];
    beside = from;
    state.text = to;
  }
  if (change.layer !== undefined) {
    state.layer = change.layer;
    state.side = here().of;
  }
  if (change.head !== undefined) state.head = change.head;
  if (change.token !== undefined) {
    const side = change.side ?? here().of;
    if (!crosses(here()) && side !== here().of) state.layer = lastCross; // the other side is seen by attention to the source
    state.head = Math.min(state.head, here().heads - 1);
    state.side = side;
    state.at[side] = change.token;
  }
  if (crosses(here())) lastCross = state.layer;
  for (const side of sides) state.at[side] = clamp(state.at[side], 0, tokens(D.texts[state.text], side).length - 1);
  state.hover = -1;
  if (change.token !== undefined || change.text !== undefined) state.rowAt = -1;
  draw();
}
let lastCross = D.layers.findLastIndex(crosses);

// arrows moves within n things in rows of the given width.
function arrows(event, now, n, width, go) {
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -width, ArrowDown: width, Home: -now, End: n - 1 - now }[event.key];
  if (by === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const next = now + by;
  if (next >= 0 && next < n) go(next);
}

const rows = [], lists = []; // rows: {text, side, chips}, in the order of the page
function buildSentences() {
  D.texts.forEach((text, i) => {
    const box = el("div", { className: "text" });
    if (others) box.append(el("h3", {}, "Text " + (i + 1)));
    for (const side of sides) buildRow(box, text, i, side);
    lists.push(el("div", { className: "columns" }));
    box.append(lists[i]);
    $("texts").append(box);
  });
}
function buildRow(box, text, i, side) {
  const name = D.translates ? side ? "Source" : "Translation" : "Tokens", list = tokens(text, side), at = rows.length;
  const row = el("div", { className: "sentence", role: "listbox", "aria-label": name + " of text " + (i + 1) });
  const chips = list.map((token, t) => el("button", { className: "chip", type: "button", role: "option", title: token[1] + " (id " + token[0] + ", token " + t + ")" }, token[1]));
  row.append(...chips);
  rows.push({ text: i, side, chips });
  const which = (e) => chips.indexOf(e.target.closest(".chip"));
  row.addEventListener("click", (e) => { const t = which(e); if (t >= 0) select({ text: i, side, token: t }); });
  row.addEventListener("pointerover", (e) => {
    const t = which(e);
    if (t >= 0 && i === state.text && e.pointerType === "mouse" && (crosses(here()) || side === here().of)) { state.hover = t; state.hoverSide = side; drawSentences(); drawLists(); }
  });
  row.addEventListener("pointerleave", () => { if (state.hover >= 0) { state.hover = -1; drawSentences(); drawLists(); } });
  row.addEventListener("keydown", (e) => {
    const t = which(e);
    if (rows.length > 1 && (e.key === "ArrowUp" || e.key === "ArrowDown")) { // from row to row
      const next = rows[at + (e.key === "ArrowUp" ? -1 : 1)];
      e.preventDefault();
      if (!next) return;
      const to = next.side === side ? partner(i, next.text, side, t) : next.text === i ? state.at[next.side] : partner(i, next.text, next.side, state.at[next.side]);
      select({ text: next.text, side: next.side, token: to });
      next.chips[to].focus();
      return;
    }
    arrows(e, t, list.length, 1, (next) => { select({ text: i, side, token: next }); chips[next].focus(); });
  });
  if (D.translates) box.append(el("p", { className: "note side" }, name));
  box.append(row);
}
function drawSentences() {
  const l = here();
  for (const { text: i, side, chips } of rows) {
    const mine = i === state.text, w = weights(i, state.layer, state.head), [from, t] = focus(i);
    // The colours of a side: how much the focus looks at it, or how much it looks at the focus.
    const shown = !w ? null : from === l.of && side === l.to ? (s) => w(t, s) : from === l.to && side === l.of ? (s) => w(s, t) : null;
    const pick = side === from ? t : chosen(i, side);
    chips.forEach((chip, s) => {
      chip.style.background = shown ? rgb(tint(shade(shown(s)))) : "";
      chip.classList.toggle("selected", side === from && s === t);
      chip.classList.toggle("differs", others && differs(i, side, s));
      chip.setAttribute("aria-selected", mine && side === state.side && s === state.at[side]);
      if (s === pick && side === from) show(chip);
      chip.tabIndex = s === (mine ? state.at[side] : pick) ? 0 : -1;
    });
  }
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
  const l = here();
  D.texts.forEach((text, i) => {
    const [side, t] = focus(i), w = weights(i, state.layer, state.head), blocks = [], name = quoted(label(text, side, t));
    if (w && side === l.of) {
      const looks = tokens(text, l.to).map((token, s) => [token[1], w(t, s)]);
      blocks.push(el("div", { className: "looks" }, el("h3", {}, name, " looks at"), bars(highest(looks, 6).filter(([, x]) => x > 0))));
    }
    if (w && side === l.to && (crosses(l) || !others)) {
      const looked = [];
      tokens(text, l.of).forEach((token, s) => { if (crosses(l) || s !== t) looked.push([token[1], w(s, t)]); });
      const most = highest(looked, 6).filter(([, x]) => x > 0);
      blocks.push(el("div", { className: "looked" }, el("h3", {}, name.cloneNode(true), " is looked at by"), most.length ? bars(most) : el("p", { className: "note" }, "No other token looks at it.")));
    }
    const whole = text.top.length !== text.tokens.length, at = side === 0 ? t : chosen(i, 0), row = l.of ? null : whole ? text.top[0] : text.top[at];
    if (row) {
      const head = whole ? ["Classes of the text"] : [D.classes ? "Class of " : D.next ? "After " : "In place of ", quoted(label(text, 0, at))];
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
    grid.append(el("span", { role: "rowheader", title: l.name }, l.title));
    headButtons.push([]);
    for (let h = 0; h < most; h++) {
      if (h >= l.heads) { grid.append(el("span", {})); continue; }
      const b = el("button", { type: "button", role: "gridcell", "aria-label": l.title + ", head " + h, title: l.title + ", head " + h, onclick: () => select({ layer, head: h }) }, el("canvas", {}));
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
// thumb is the size of a head's picture: rows and columns.
const thumb = (text, l) => [Math.min(text.thumb, tokens(text, l.of).length), Math.min(text.thumb, tokens(text, l.to).length)];
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
  const text = D.texts[state.text], all = cached("t" + state.text, () => bytes(text.thumbs));
  let k = 0;
  headButtons.forEach((row, layer) => {
    const [n, m] = thumb(text, D.layers[layer]);
    for (const b of row) {
      const canvas = b.firstChild, image = new ImageData(m, n);
      canvas.width = m;
      canvas.height = n;
      for (let p = 0; p < n * m; p++) image.data.set([...shade((all[k + p] / 255) ** 2), 255], 4 * p);
      canvas.getContext("2d").putImageData(image, 0, 0);
      k += n * m;
    }
  });
  drawChanges();
}
// drawChanges lists the heads that the other text changes most, by their pictures.
function drawChanges() {
  if (!others) return;
  const a = D.texts[state.text], o = other(), b = D.texts[o];
  if (!alike(a, b)) {
    const side = sides.find((k) => tokens(a, k).length !== tokens(b, k).length);
    fill($("changes"), el("p", { className: "note" }, "Heads are compared where the texts have equally many tokens; these have " + tokens(a, side).length + " and " + tokens(b, side).length + "."));
    return;
  }
  const x = cached("t" + state.text, () => bytes(a.thumbs)), y = cached("t" + o, () => bytes(b.thumbs)), list = [];
  let k = 0;
  D.layers.forEach((l, layer) => {
    const [n, m] = thumb(a, l);
    for (let head = 0; head < l.heads; head++, k += n * m) {
      let most = 0;
      for (let p = k; p < k + n * m; p++) most = Math.max(most, Math.abs((x[p] / 255) ** 2 - (y[p] / 255) ** 2));
      list.push([layer, head, most]);
    }
  });
  list.sort((p, q) => q[2] - p[2]);
  fill($("changes"), el("h3", {}, "Text " + (o + 1) + " changes most"), el("div", { className: "steps" }, ...list.slice(0, 5).map(([layer, head, most]) =>
    el("button", { type: "button", onclick: () => { select({ layer, head }); } }, D.layers[layer].title + ", head " + head + ": " + percent(most)))));
}

// --- the map of a head ---------------------------------------------------

const pixels = 560; // the widest map; of more tokens the largest weight in a pixel is drawn
// picture draws n × k weights as at most pixels × pixels.
function picture(n, k, get, color, causal) {
  const high = Math.min(n, pixels), wide = Math.min(k, pixels), image = new ImageData(wide, high);
  for (let r = 0; r < high; r++) {
    const r0 = Math.floor(r * n / high), r1 = Math.max(r0 + 1, Math.floor((r + 1) * n / high));
    for (let s = 0; s < wide; s++) {
      const s0 = Math.floor(s * k / wide), s1 = Math.max(s0 + 1, Math.floor((s + 1) * k / wide));
      let most = 0;
      for (let y = r0; y < r1; y++) for (let x = s0; x < s1; x++) { const v = get(y, x); if (Math.abs(v) > Math.abs(most)) most = v; }
      const p = 4 * (r * wide + s), c = color(most);
      image.data[p] = c[0]; image.data[p + 1] = c[1]; image.data[p + 2] = c[2];
      image.data[p + 3] = causal && s0 > r0 ? 0 : 255;
    }
  }
  const small = new OffscreenCanvas(wide, high);
  small.getContext("2d").putImageData(image, 0, 0);
  return small;
}
function drawMap(canvas, get, color, down, across, causal, row) {
  // Two maps stand beside each other where there is room, and cells have a largest size.
  const n = down.length, k = across.length, most = Math.max(n, k);
  const ratio = Math.min(2, devicePixelRatio || 1), all = $("maps").clientWidth || 400, room = Math.min(pixels, maps.length > 1 && all >= 540 ? Math.floor((all - 16) / 2) : all);
  const longest = (list) => Math.round(Math.min(room * 0.26, 8 + 7.5 * Math.max(...list.map((s) => Math.min(12, [...s].length)))));
  const named = most * 13 <= room - 60, left = named ? longest(down) : 0, top = named ? longest(across) : 0;
  const cell = Math.min(64, (room - left) / most);
  const wide = Math.round((left + k * cell) * ratio), high = Math.round((top + n * cell) * ratio);
  canvas.width = wide;
  canvas.height = high;
  canvas.style.width = wide / ratio + "px";
  const c = canvas.getContext("2d"), x0 = Math.round(left * ratio), y0 = Math.round(top * ratio), size = cell * ratio;
  canvas.left = x0 / ratio;
  canvas.top = y0 / ratio;
  canvas.cell = cell;
  c.clearRect(0, 0, wide, high);
  if (canvas.of !== colors) { // the picture stays until the colours change
    canvas.of = colors;
    canvas.small = picture(n, k, get, color, causal);
  }
  c.imageSmoothingEnabled = canvas.small.width > wide || canvas.small.height > high;
  c.drawImage(canvas.small, x0, y0, wide - x0, high - y0);
  if (!named) return;
  c.font = Math.round(12 * ratio) + "px " + getComputedStyle(document.documentElement).getPropertyValue("--mono");
  const cut = (s) => { const r = [...s]; return r.length > 12 ? r.slice(0, 11).join("") + "…" : s; };
  const numbers = size > 40 * ratio;
  down.forEach((s, t) => {
    c.fillStyle = t === row ? colors.accent : colors.soft;
    c.textAlign = "right"; c.textBaseline = "middle";
    c.fillText(cut(s), x0 - 4 * ratio, y0 + (t + 0.5) * size);
    if (numbers) for (let x = 0; x < k; x++) {
      if (causal && x > t) continue;
      const v = get(t, x), ground = color(v);
      c.fillStyle = ground[0] * 0.3 + ground[1] * 0.59 + ground[2] * 0.11 > 140 ? "#111" : "#fff";
      c.textAlign = "center";
      c.fillText((color === shade ? "" : v > 0 ? "+" : "") + v.toFixed(2), x0 + (x + 0.5) * size, y0 + (t + 0.5) * size);
    }
  });
  across.forEach((s, t) => {
    c.fillStyle = !crosses(here()) && t === row ? colors.accent : colors.soft;
    c.save();
    c.translate(x0 + (t + 0.5) * size, y0 - 4 * ratio);
    c.rotate(-Math.PI / 2);
    c.textAlign = "left"; c.textBaseline = "middle";
    c.fillText(cut(s), 0, 0);
    c.restore();
  });
}
function mapOf(i, title, get, color, text) {
  const { of, to, causal } = here(), down = tokens(text, of), across = tokens(text, to), n = down.length, k = across.length;
  const canvas = el("canvas", { tabIndex: 0, role: "img", "aria-label": title + ": " + (n === k ? n : n + " × " + k) + " tokens. Arrow keys move." });
  const box = el("div", {}, el("h3", {}, title), canvas);
  const row = () => chosen(i, of), column = () => of === to ? row() : chosen(i, to);
  const put = () => {
    if (cursor[0] !== row() || of !== to && cursor[1] !== column()) cursor = [row(), column()];
    drawMap(canvas, get, color, down.map((x) => x[1]), across.map((x) => x[1]), causal, row());
    mark();
  };
  let cursor = [row(), column()];
  function mark() { // the row that looks, or the column that is looked at
    const ratio = canvas.width / parseFloat(canvas.style.width), c = canvas.getContext("2d"), size = Math.max(1, canvas.cell * ratio), x = canvas.left * ratio, y = canvas.top * ratio;
    c.strokeStyle = colors.accent; c.lineWidth = 2;
    if (state.side === of) c.strokeRect(x + 1, y + row() * size, canvas.width - x - 2, size);
    else c.strokeRect(x + column() * size, y + 1, size, canvas.height - y - 2);
  }
  const say = () => fill($("readout"), quoted(label(text, of, cursor[0])), " (token " + cursor[0] + ") looks at ", quoted(label(text, to, cursor[1])), " (token " + cursor[1] + "): ",
    causal && cursor[1] > cursor[0] ? "it comes later and is hidden" : color === shade ? percent(get(...cursor)) : (get(...cursor) > 0 ? "+" : "") + get(...cursor).toFixed(3));
  const over = (e) => {
    const r = canvas.getBoundingClientRect(), y = Math.floor((e.clientY - r.top - canvas.top) / canvas.cell), x = Math.floor((e.clientX - r.left - canvas.left) / canvas.cell);
    if (x < 0 || y < 0 || x >= k || y >= n) return false;
    cursor = [y, x];
    return true;
  };
  const choose = () => {
    if (of !== to) state.at[to] = i === state.text ? cursor[1] : partner(i, state.text, to, cursor[1]);
    select({ text: i, side: of, token: cursor[0] });
  };
  canvas.addEventListener("pointermove", (e) => { if (over(e)) say(); });
  canvas.addEventListener("click", (e) => { if (over(e)) { say(); choose(); } });
  canvas.addEventListener("keydown", (e) => arrows(e, cursor[0] * k + cursor[1], n * k, k, (next) => {
    cursor = [Math.floor(next / k), next % k];
    say();
    if (of !== to || cursor[0] !== row() || i !== state.text) choose();
  }));
  return { box, put, canvas };
}
let mapKey = "", maps = [];
function drawMaps() {
  const o = other(), shown = others && state.beside ? [state.text, o].sort() : [state.text];
  $("h-map").textContent = capital(here().title) + ", head " + state.head;
  const get = shown.map((i) => weights(i, state.layer, state.head));
  if (get.includes(undefined)) return;
  const key = [shown, state.layer, state.head].join();
  if (key !== mapKey) { // otherwise the maps stay, and with them the keyboard's focus
    mapKey = key;
    maps = shown.map((i, k) => mapOf(i, (others ? "Text " + (i + 1) : "Rows look at columns") + (crosses(here()) ? ": translation × source" : ""), get[k], shade, D.texts[i]));
    if (shown.length === 2 && alike(D.texts[shown[0]], D.texts[shown[1]]))
      maps.push(mapOf(state.text, "Text " + (shown[1] + 1) + " minus text " + (shown[0] + 1), (t, s) => get[1](t, s) - get[0](t, s), (x) => signed(x, 0.75), D.texts[state.text]));
    fill($("maps"), ...maps.map((m) => m.box));
  }
  for (const m of maps) m.put();
  $("legend").textContent = gain() > 1 ? "The darkest colour is " + percent(1 / gain()) + " or more." : "";
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
  $("how").textContent = "Choose a token: the others are coloured by how much it looks at them, in the chosen head. Hover, click, or use the arrow keys." + (D.translates ? " The decoder reads the translation behind the token that begins one; what it chooses next is in the list “After”. Up and down go from row to row." : "") +
    (others ? " Underlined tokens differ between the texts" + (D.translates ? "." : "; up and down go from text to text.") : "");
  state.at[0] = D.translates ? 0 : D.texts[0].tokens.length - 1;
  if (D.translates && lastCross >= 0) state.layer = lastCross;
  state.side = here().of;
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
