"use strict";
// --- the path ------------------------------------------------------------

const names = {
  X: "embeddings of the tokens, as this layer reads them", E: "states of the source, which the encoder computed", Q: "queries: what each token looks for", K: "keys: what each token offers", V: "values: what each token passes on",
  S: "scores: how well each query fits each key", A: "attention: the softmax of the scores", "H′": "contextual embeddings of this head", H: "contextual embeddings of the layer",
  "Z¹": "inside of the feed-forward network", "Z²": "output of the feed-forward network", "ŷ": "argmax: the likeliest answer",
};
const before = { X: [], E: [], Q: ["X"], K: ["E", "X"], V: ["E", "X"], S: ["Q", "K"], A: ["S"], "H′": ["A", "V"], H: ["H′"], "Z¹": ["H"], "Z²": ["Z¹"], "ŷ": [] };
const ofHead = ["Q", "K", "V", "S", "A", "H′"];
// rowsOf is the side whose tokens are the rows of a value.
const rowsOf = (symbol) => ["E", "K", "V"].includes(symbol) ? here().to : here().of;
function formula(symbol) {
  const l = here(), find = (s) => l.steps.find((x) => x.s === s), step = find(symbol), c = state.columns;
  const layer = (out, x, i, st) => out + " = " + (c ? "W_" + i + " · " + x : x + " · W_" + i) + (st.b ? " + b_" + i : "");
  const scale = l.scale === 1 ? "" : " / " + ((l.scale * Math.sqrt(l.width) - 1) ** 2 < 1e-9 ? "√" + l.width : (1 / l.scale).toPrecision(4));
  switch (symbol) {
    case "X": case "E": return symbol;
    case "Q": case "K": case "V": return step.w ? layer(symbol, symbol !== "Q" && find("E") ? "E" : "X", symbol, step) : symbol;
    case "S": return "S = " + (c ? "Kᵀ · Q" : "Q · Kᵀ") + scale + (l.biased ? " + B" : "");
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
  const l = here(), find = (s) => l.steps.find((x) => x.s === s), step = find(symbol), parts = [];
  if (step) parts.push("In the graph: ", el("code", {}, step.v), " (" + step.op + ")", ...(step.w ? [", weights ", el("code", {}, step.w)] : []), ". ");
  if (symbol === "X" && step.op !== "Add" && step.op !== "Gather") parts.push("It is the stream of embeddings, normalized. ");
  if ((symbol === "Q" || symbol === "K") && step.op === "RotaryEmbedding") parts.push("It is then rotated by the token's position. ");
  if ((symbol === "K" || symbol === "V") && l.groups < l.heads) parts.push(l.heads / l.groups + " heads share it. ");
  if (symbol === "S" && l.biased) parts.push("B is a bias for the distance between two tokens. ");
  if ((symbol === "S" || symbol === "A") && crosses(l)) parts.push("A row is a token of the translation, a column one of the source. ");
  if ((symbol === "S" || symbol === "A") && l.causal) parts.push("A token sees itself and what comes before it" + (l.window ? ", at most " + l.window + " tokens" : "") + "; the rest is hidden. ");
  if (symbol === "Z¹" && step.w && step.from !== find("H")?.v) parts.push("H⁺ is H, added to the stream and normalized as this network does. ");
  if (symbol === "ŷ" && state.layer < D.layers.length - 1) parts.push(D.layers.length - 1 - state.layer + (D.translates ? " more attentions" : " more layers") + " lie between this one and the answer. ");
  return parts;
}

const size = { rows: 12, columns: 10 };
function number(x, symbol) {
  if (x === null) return symbol === "S" ? "−∞" : "";
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "NaN" : x < 0 ? "−∞" : "∞";
  const a = Math.abs(x);
  return (a === 0 ? "0" : a >= 1000 || a > 0 && a < 0.00005 ? x.toExponential(1) : a > 0 && a < 0.005 ? x.toFixed(4) : x.toFixed(2)).replace(/-/g, "−");
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
function table(i, symbol) {
  const side = rowsOf(symbol), t = chosen(i, side), u = chosen(i, here().to); // the selected row, and column of tokens
  const text = D.texts[i], title = el("h3", {}, el("b", { className: "mono" }, symbol), others ? " of text " + (i + 1) : "", ofHead.includes(symbol) && here().heads > 1 ? ", head " + state.head : "");
  if (symbol === "ŷ") return answers(i, chosen(i, 0), title);
  const m = matrix(i, state.layer, state.head, symbol);
  if (m === undefined) return el("div", { className: "matrix" }, title, el("p", { className: "note" }, "…"));
  if (m === null) return el("div", { className: "matrix" }, title, el("p", { className: "note" }, symbol === "S" ? "The scores before softmax are left out of a page with so long a text." : "This network has no such step."));
  const nr = Math.min(size.rows, m.rows), rowAt = clamp(state.rowAt >= 0 ? state.rowAt : t - Math.floor(nr / 2), 0, m.rows - nr);
  const nc = Math.min(m.tokens ? size.rows : size.columns, m.columns), columnAt = clamp(m.tokens && state.rowAt < 0 ? u - Math.floor(nc / 2) : state.columnAt, 0, m.columns - nc);
  const last = here().steps.find((s) => s.s === symbol);
  const column = (c) => m.tokens ? label(text, here().to, c) : D.vocabulary && D.logits && last && last.v === D.logits.v ? D.vocabulary[c] : String(c);
  let most = 0;
  for (let r = rowAt; r < rowAt + nr; r++) for (let c = columnAt; c < columnAt + nc; c++) { const x = m.get(r, c); if (Number.isFinite(x)) most = Math.max(most, Math.abs(x ?? 0)); }
  const cell = (r, c) => {
    const x = m.get(r, c), td = el("td", { className: x === null ? "hidden" : "" }, number(x, symbol));
    if (x !== null) td.style.background = rgb(tint(symbol === "A" ? shade(x) : signed(x, most * 0.75)));
    return td;
  };
  const token = (r) => el("th", { scope: state.columns ? "col" : "row", className: r === t ? "here" : "", title: label(text, side, r) }, label(text, side, r));
  const feature = (c) => el("th", { scope: state.columns ? "row" : "col", className: m.tokens && c === u ? "here" : "", title: column(c) }, column(c));
  const across = [...Array(nc).keys()].map((k) => k + columnAt), down = [...Array(nr).keys()].map((k) => k + rowAt);
  const [heads, sides, first, second, get] = state.columns ? [down, across, token, feature, (a, b) => cell(b, a)] : [across, down, feature, token, cell];
  const body = el("table", {}, el("thead", {}, el("tr", {}, el("td", {}), ...heads.map(first))), el("tbody", {}, ...sides.map((a) => el("tr", {}, second(a), ...heads.map((b) => get(a, b))))));
  const rest = [];
  if (m.columns < m.width) rest.push("the first " + m.columns + " of " + m.width + " columns are in this page");
  const all = tokens(text, side).length;
  if (m.rows < all) rest.push("so are the first " + m.rows + " tokens");
  return el("div", { className: "matrix" }, title, el("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": symbol }, body),
    pager("tokens", rowAt, nr, m.rows, nr, (x) => { state.rowAt = x; draw(); }),
    m.tokens && state.rowAt < 0 ? "" : pager(m.tokens ? "looked at" : "numbers", columnAt, nc, m.columns, nc, (x) => { state.columnAt = x; draw(); }),
    el("p", { className: "note" }, (state.columns ? m.width + " × " + all : all + " × " + m.width) + (rest.length ? ": " + rest.join(", ") : "")));
}
// answers draws the likeliest tokens at each position.
function answers(i, t, title) {
  const text = D.texts[i], whole = text.top.length !== text.tokens.length;
  if (!text.top.length) return el("div", { className: "matrix" }, title, el("p", { className: "note" }, "This network gives hidden states and no scores."));
  const n = Math.min(size.rows, text.top.length), from = whole ? 0 : clamp(state.rowAt >= 0 ? state.rowAt : t - Math.floor(n / 2), 0, text.top.length - n);
  const most = Math.min(5, text.top[0].length), rows = [];
  for (let r = from; r < from + n; r++) rows.push(el("tr", {}, el("th", { scope: "row", className: r === t ? "here" : "" }, whole ? "text" : label(text, 0, r)),
    ...text.top[r].slice(0, most).map((p) => { const td = el("td", { className: "left", title: "logit " + p[2] }, p[0] + "  " + percent(p[1])); td.style.background = rgb(tint(mix(colors.heat, p[1]))); return td; })));
  const head = el("thead", {}, el("tr", {}, el("td", {}), ...[...Array(most).keys()].map((k) => el("th", { scope: "col" }, k ? String(k + 1) + "." : "argmax"))));
  return el("div", { className: "matrix" }, title, el("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "predictions" }, el("table", {}, head, el("tbody", {}, ...rows))),
    pager("tokens", from, n, text.top.length, n, (x) => { state.rowAt = x; draw(); }));
}
function stepsHere() {
  const l = here().steps.map((s) => s.s);
  return D.texts[0].top.length && !here().of ? [...l, "ŷ"] : l;
}
function drawPath() {
  const steps = stepsHere();
  if (!steps.includes(state.step)) state.step = "A";
  const go = (s) => { state.step = s; state.columnAt = 0; draw(); };
  const tabs = $("steps"), focused = tabs.contains(document.activeElement);
  fill(tabs, ...steps.map((s, k) => el("button", { type: "button", role: "tab", id: "step-" + k, "aria-selected": s === state.step, "aria-controls": "panel", tabIndex: s === state.step ? 0 : -1, title: names[s], onclick: () => go(s),
    onkeydown: (e) => arrows(e, k, steps.length, steps.length, (next) => go(steps[next])) }, s)));
  if (focused) tabs.querySelector("[aria-selected=true]").focus();
  $("whose").textContent = capital(here().title) + (here().heads > 1 ? ", head " + state.head : "");
  const scrolled = $("panel").contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
  const shown = others && state.beside ? [state.text, other()].sort() : [state.text];
  const groups = [];
  const made = before[state.step].filter((b) => steps.includes(b)), from = made.includes("E") ? ["E"] : made;
  for (const s of [...from, state.step]) groups.push(el("div", { className: "matrices" }, ...shown.map((i) => table(i, s))));
  fill($("panel"), el("p", { className: "formula" }, ...subscripts(formula(state.step))), el("p", {}, capital(names[state.step]) + ". "),
    el("p", { className: "note" }, ...remark(state.step)), el("div", { className: "matrices" }, ...groups));
  if (scrolled) for (const e of $("panel").querySelectorAll("[aria-label]")) if (e.getAttribute("aria-label") === scrolled) { e.focus(); break; }
}
