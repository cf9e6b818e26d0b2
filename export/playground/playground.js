// Training in a browser: the exported step is run again and again, and its outputs
// become its inputs.
const $ = (id) => document.getElementById(id);
const fetched = async (name) => {
  const r = await fetch(name);
  if (!r.ok) throw new Error(name + ": " + r.status + " " + r.statusText);
  return r;
};

let M, checkpoint, ids, starts, ort, onGPU = false;
let step, forward;  // sessions
let state;          // inputs of the step that it replaces, by name: tensors
let done = 0, losses = [], running = false, random;

// numbers returns a function that gives numbers from 0 to 1, the same ones for each
// seed: Mulberry32, by Tommy Ettinger.
function numbers(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// --- safetensors ---------------------------------------------------------

function parse(buffer) {
  const n = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, n)));
  const metadata = header.__metadata__ ?? {};
  delete header.__metadata__;
  const bytes = (name) => new Uint8Array(buffer, 8 + n + header[name].data_offsets[0], header[name].data_offsets[1] - header[name].data_offsets[0]);
  return { header, metadata, bytes };
}
// floats returns a copy of a float32 tensor.
const floats = (name) => new Float32Array(checkpoint.bytes(name).slice().buffer);

// file returns the checkpoint with other weights. It has no seal: that belongs to the
// bytes that it was made of.
async function file(weights) {
  const metadata = { ...checkpoint.metadata, "attnx.step": String(M.step + done) };
  for (const k of ["attnx.requires", "attnx.val_loss", "attnx.loss"]) delete metadata[k];
  if (losses.length) metadata["attnx.loss"] = String(losses.at(-1));
  const header = { __metadata__: metadata }, parts = [];
  let at = 0;
  for (const [name, t] of Object.entries(checkpoint.header)) {
    if (name === "attnx.seal" || name.startsWith("attnx.pad.")) continue;
    const data = weights[name] ? new Uint8Array(weights[name].buffer, weights[name].byteOffset, weights[name].byteLength) : checkpoint.bytes(name);
    header[name] = { dtype: t.dtype, shape: t.shape, data_offsets: [at, at + data.length] };
    parts.push(data);
    at += data.length;
  }
  let text = JSON.stringify(header);
  let head = new TextEncoder().encode(text);
  head = new TextEncoder().encode(text + " ".repeat((8 - head.length % 8) % 8));
  const size = new DataView(new ArrayBuffer(8));
  size.setBigUint64(0, BigInt(head.length), true);
  return new Blob([size.buffer, head, ...parts]);
}

// --- the model -----------------------------------------------------------

async function open(device) {
  onGPU = device === "webgpu";
  ort = await import(onGPU ? "./ort/ort.webgpu.min.mjs" : "./ort/ort.wasm.min.mjs");
  ort.env.wasm.wasmPaths = new URL("./ort/", location.href).href;
  ort.env.logLevel = "error";
  if (!crossOriginIsolated) ort.env.wasm.numThreads = 1; // threads share memory, which needs the server's headers
  const options = { executionProviders: [device], graphOptimizationLevel: "all" };
  const kept = onGPU ? Object.fromEntries(replaced().map((name) => [M.names.next + name, "gpu-buffer"])) : undefined;
  step = await ort.InferenceSession.create("step.onnx", { ...options, ...(kept && { preferredOutputLocation: kept }) });
  forward = await ort.InferenceSession.create("forward.onnx", options);
}
// replaced returns the names of the inputs that the step replaces.
const replaced = () => M.weights.flatMap((w) => [w.name, M.names.first + w.name, M.names.second + w.name]);

function begin(from) {
  drop();
  random = numbers(M.seed);
  const normal = numbers(M.seed + 1);
  state = {};
  for (const w of M.weights) {
    const n = w.shape.reduce((a, b) => a * b, 1);
    let x;
    if (from === "random") {
      x = new Float32Array(n);
      for (let i = 0; i < n; i++) x[i] = w.mean + (w.std ? w.std * Math.sqrt(-2 * Math.log(1 - normal())) * Math.cos(2 * Math.PI * normal()) : 0);
    } else x = floats(w.name);
    state[w.name] = new ort.Tensor("float32", x, w.shape);
    for (const prefix of [M.names.first, M.names.second]) state[prefix + w.name] = new ort.Tensor("float32", new Float32Array(n), w.shape);
  }
  done = 0;
  losses = [];
  show();
}
const drop = () => { if (state) for (const t of Object.values(state)) t.dispose?.(); };

// batch cuts sequences out of the text, at random places.
function batch() {
  const n = M.batch * M.length, x = new BigInt64Array(n), y = new BigInt64Array(n);
  for (let b = 0; b < M.batch; b++) {
    let at, end;
    if (M.lines) {
      const line = Math.floor(random() * (starts.length - 1));
      [at, end] = [starts[line], starts[line + 1]];
    } else [at, end] = [Math.floor(random() * (ids.length - M.length)), ids.length];
    for (let t = 0; t < M.length; t++) {
      x[b * M.length + t] = at + t < end ? BigInt(ids[at + t]) : 0n;
      y[b * M.length + t] = BigInt(at + t + 1 < end ? ids[at + t + 1] : M.ignore);
    }
  }
  const shape = [M.batch, M.length];
  return { [M.names.ids]: new ort.Tensor("int64", x, shape), [M.names.labels]: new ort.Tensor("int64", y, shape) };
}

async function once() {
  const rate = Number($("rate").value);
  const number = (x) => new ort.Tensor("float32", Float32Array.of(x), [1]), k = done + 1;
  const rates = { [M.names.rate]: number(rate), [M.names.first_rate]: number(rate / (1 - M.beta1 ** k)), [M.names.second_root]: number(1 / Math.sqrt(1 - M.beta2 ** k)) };
  const out = await step.run({ ...state, ...batch(), ...rates });
  const next = {};
  for (const name of replaced()) {
    next[name] = out[M.names.next + name];
    if (next[name] !== state[name]) state[name].dispose?.();
  }
  state = next;
  done++;
  losses.push(out[M.names.loss].data[0]);
}

// busy turns controls off while the page computes; Train becomes Pause while it trains.
function busy(on, training) {
  for (const id of ["fifty", "from", "device", "generate", "download"]) $(id).disabled = on;
  $("run").disabled = on && !training;
  $("run").textContent = training ? "Pause" : "Train";
}

async function train(most) {
  if (running) { running = false; return; }
  const rate = Number($("rate").value);
  if (!(rate > 0 && rate <= 1)) { say("The learning rate must be a number above 0, and at most 1."); return; }
  running = true;
  busy(true, true);
  say("");
  let began = performance.now(), from = done;
  try {
    for (let i = 0; running && i < most; i++) {
      await once();
      const now = performance.now();
      if (now - began > 200 || i === most - 1) {
        $("pace").textContent = Math.round((done - from) * M.batch * M.length / (now - began) * 1000).toLocaleString("en");
        [began, from] = [now, done];
        show();
        await new Promise((go) => setTimeout(go));
      }
      if (!Number.isFinite(losses.at(-1))) { say("The loss is not a number any more: begin again with a lower learning rate."); break; }
    }
  } catch (e) {
    say("The step failed: " + e.message);
  }
  running = false;
  busy(false);
  show();
}

// --- text ----------------------------------------------------------------

// encode splits a text into the longest tokens that there are.
function encode(text) {
  const out = [], of = new Map(M.tokens.map((t, id) => [t, id]).reverse()), longest = Math.max(...M.tokens.map((t) => t.length));
  for (const word of M.join ? text.split(M.join).filter(Boolean) : [text]) {
    for (let at = 0; at < word.length;) {
      let n = Math.min(longest, word.length - at);
      while (n > 0 && !of.has(word.slice(at, at + n))) n--;
      if (n === 0) { say("“" + word.slice(at) + "” is not in the vocabulary: it is left out."); break; }
      out.push(of.get(word.slice(at, at + n)));
      at += n;
    }
  }
  return out;
}

async function generate(prompt, most, temperature) {
  say("");
  let text = encode(prompt);
  if (!text.length) { say("The text has no tokens that the model knows."); return; }
  const n = text.length, chance = numbers(Date.now()), weights = Object.fromEntries(M.weights.map((w) => [w.name, state[w.name]]));
  for (let i = 0; i < most; i++) {
    const seen = text.slice(-M.context);
    const out = await forward.run({ ...weights, [M.names.ids]: new ort.Tensor("int64", BigInt64Array.from(seen, BigInt), [1, seen.length]) });
    const row = out[M.names.logits].data.slice(-M.vocabulary);
    text.push(temperature > 0 ? draw(row, temperature, chance()) : row.indexOf(Math.max(...row)));
    const put = (part) => part.map((id) => M.tokens[id] ?? "").join(M.join);
    const begun = document.createElement("b");
    begun.textContent = put(text.slice(0, n)) + M.join;
    $("answer").replaceChildren(begun, put(text.slice(n)));
  }
}
function draw(row, temperature, x) {
  const most = Math.max(...row), p = Array.from(row, (v) => Math.exp((v - most) / temperature));
  x *= p.reduce((a, b) => a + b);
  const at = p.findIndex((v) => (x -= v) < 0);
  return at < 0 ? p.length - 1 : at;
}

// --- the page ------------------------------------------------------------

const say = (text) => { $("state").textContent = text; };
function show() {
  $("steps").textContent = done.toLocaleString("en");
  $("loss").textContent = losses.length ? losses.at(-1).toFixed(3) : "–";
  const canvas = $("curve"), ratio = Math.min(2, devicePixelRatio || 1), w = canvas.clientWidth, h = canvas.clientHeight, css = getComputedStyle(document.documentElement);
  canvas.width = w * ratio;
  canvas.height = h * ratio;
  const c = canvas.getContext("2d");
  c.scale(ratio, ratio);
  const seen = losses.filter(Number.isFinite);
  canvas.setAttribute("aria-label", seen.length ? "Loss of " + done + " steps, from " + seen[0].toFixed(3) + " to " + seen.at(-1).toFixed(3) : "Loss of each step");
  const high = Math.max(1, ...seen.slice(-20000)), low = 0, left = 34, bottom = h - 20;
  c.font = "12px system-ui, sans-serif";
  c.fillStyle = css.getPropertyValue("--soft");
  c.strokeStyle = css.getPropertyValue("--line");
  for (let k = 0; k <= 4; k++) {
    const v = low + (high - low) * k / 4, y = bottom - (bottom - 8) * k / 4;
    c.beginPath(); c.moveTo(left, y); c.lineTo(w, y); c.stroke();
    c.fillText(v.toFixed(1), 4, y + 4);
  }
  c.fillText("step 1", left, h - 4);
  c.textAlign = "right";
  c.fillText(Math.max(1, done).toLocaleString("en"), w, h - 4);
  if (!seen.length) return;
  // Of more steps than pixels, the mean under each pixel.
  const n = Math.min(seen.length, Math.max(2, Math.floor(w - left)));
  c.strokeStyle = css.getPropertyValue("--accent");
  c.lineWidth = 2;
  c.beginPath();
  for (let i = 0; i < n; i++) {
    const part = seen.slice(Math.floor(i * seen.length / n), Math.max(Math.floor((i + 1) * seen.length / n), Math.floor(i * seen.length / n) + 1));
    const x = left + (n > 1 ? i / (n - 1) : 0) * (w - left - 2), y = bottom - (part.reduce((a, b) => a + b) / part.length - low) / (high - low) * (bottom - 8);
    if (i) c.lineTo(x, y); else c.moveTo(x, y);
  }
  c.stroke();
}

async function download() {
  const weights = {};
  for (const w of M.weights) weights[w.name] = await state[w.name].getData();
  const a = document.createElement("a");
  a.href = URL.createObjectURL(await file(weights));
  a.download = "playground.safetensors";
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 60000);
  say("playground.safetensors: step " + (M.step + done) + ".");
}

async function change(device) {
  busy(true);
  say("opening…");
  try {
    await open(device);
    begin($("from").value);
    say("");
    busy(false);
  } catch (e) {
    if (device === "wasm") { say("The model cannot be opened: " + e.message); return; }
    $("device").value = "wasm";
    await change("wasm");
    say("It cannot be opened on the GPU, so it stays on the CPU: " + e.message);
  }
}
async function answer() {
  if (running || $("generate").disabled) return;
  busy(true);
  try {
    await generate($("prompt").value, Math.min(1000, Number($("most").value) || 20), Number($("temperature").value) || 0);
  } catch (e) {
    say("It cannot continue the text: " + e.message);
  }
  busy(false);
}

async function start() {
  if (typeof WebAssembly === "undefined") return; // notice.js says so
  try {
    M = await (await fetched("manifest.json")).json();
    $("title").textContent = document.title = M.title;
    $("about").textContent = M.about;
    checkpoint = parse(await (await fetched("model.safetensors")).arrayBuffer());
    const data = await (await fetched("data.bin")).arrayBuffer();
    ids = M.bytes === 2 ? new Uint16Array(data) : new Uint32Array(data);
    if (M.lines) starts = new Uint32Array(await (await fetched("lines.bin")).arrayBuffer());
    $("rate").value = M.lr;
    $("prompt").value = M.prompt;
    $("most").max = 1000;
    if (await navigator.gpu?.requestAdapter().catch(() => null)) $("device").append(new Option("the GPU (WebGPU)", "webgpu"));
    $("notice").hidden = true;
    $("app").hidden = false;
    await change("wasm");
  } catch (e) {
    $("app").hidden = true;
    $("notice").hidden = false;
    $("notice").textContent = "The page could not start: " + e.message;
    return;
  }
  $("run").addEventListener("click", () => train(Infinity));
  $("fifty").addEventListener("click", () => train(50));
  $("from").addEventListener("change", () => begin($("from").value));
  $("device").addEventListener("change", () => change($("device").value));
  $("ask").addEventListener("submit", (e) => {
    e.preventDefault();
    answer();
  });
  $("download").addEventListener("click", download);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  addEventListener("resize", show);
}
start();
