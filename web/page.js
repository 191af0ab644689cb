// A photo or the camera -> pixels -> ONNX Runtime -> pixels -> the screen, all in this page.

const RUNTIME = new URL("node_modules/onnxruntime-web/dist/", import.meta.url);
const NAMES = { webgpu: "WebGPU", wasm: "WebAssembly" };
const at = (id) => document.getElementById(id);

const state = {
  ort: null, // the runtime
  kind: null, // webgpu | wasm
  sessions: new Map(), // by the name of a model
  choice: null, // {model, style}
  photo: null, // {bitmap, name}
  image: null, // ImageData of the photo at the size that is painted
  kept: new Map(), // what models painted of this image, by what they were asked
  camera: null, // MediaStream
};

class Problem extends Error {} // whose message is a sentence for the user

function say(sentence) { at("status").textContent = sentence; }

function complain(error) {
  const sentence = error instanceof Problem ? error.message : `This did not work: ${error.message ?? error}.`;
  at("problem").textContent = sentence;
  at("problem").hidden = false;
}

// --- the runtime and its models

async function start(kind) {
  try {
    state.ort = await import(new URL(`ort.${kind}.min.mjs`, RUNTIME));
  } catch {
    throw new Problem("ONNX Runtime is not beside this page: run npm install in the folder web, then load this page again.");
  }
  state.ort.env.wasm.wasmPaths = RUNTIME.href;
  state.ort.env.wasm.numThreads = self.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  state.ort.env.wasm.proxy = kind === "wasm"; // in a worker, so that the page stays alive
  state.ort.env.logLevel = "error";
  state.kind = kind;
  state.sessions.clear();
}

async function bestRuntime() {
  const asked = new URLSearchParams(location.search).get("runtime");
  if (asked in NAMES) return asked;
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return adapter && !adapter.info?.isFallbackAdapter ? "webgpu" : "wasm";
}

async function listModels() {
  const answer = await fetch("models/models.json", { cache: "no-cache" }).catch(() => null);
  const models = answer?.ok ? await answer.json() : [];
  if (!models.length) throw new Problem("There are no models beside this page yet: run python scripts/web_models.py.");
  return models;
}

async function sessionOf(model) {
  if (!state.sessions.has(model.name)) {
    say(`Loading ${model.name} …`);
    const file = await fetch(`models/${model.name}.onnx`, { cache: "no-cache" });
    if (!file.ok) throw new Problem(`The file models/${model.name}.onnx is not beside this page.`);
    const options = { executionProviders: state.kind === "webgpu" ? ["webgpu", "wasm"] : ["wasm"], logSeverityLevel: 3 };
    state.sessions.set(model.name, await state.ort.InferenceSession.create(await file.arrayBuffer(), options));
  }
  return state.sessions.get(model.name);
}

// RGB of a picture, 3 bytes a pixel, as a model paints it; mixture: weights of its styles, if it has several.
// A session runs once at a time.
let turn = Promise.resolve();
function run(image, model, mixture) {
  turn = turn.catch(() => {}).then(() => runNow(image, model, mixture));
  return turn;
}

async function runNow(image, model, mixture) {
  const { width, height, data } = image;
  const pixels = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    pixels[to] = data[from]; pixels[to + 1] = data[from + 1]; pixels[to + 2] = data[from + 2];
  }
  try {
    const session = await sessionOf(model);
    const inputs = { images: new state.ort.Tensor("uint8", pixels, [1, height, width, 3]) };
    if (mixture) inputs.mixture = new state.ort.Tensor("float32", Float32Array.from(mixture), [mixture.length]);
    return (await session.run(inputs)).stylized.data;
  } catch (error) {
    if (error instanceof Problem || state.kind === "wasm") throw error;
    await start("wasm"); // a graphics driver that promised more than it does
    return runNow(image, model, mixture);
  }
}

async function runOnce(image, model, mixture) {
  const key = JSON.stringify([model.name, mixture]);
  if (!state.kept.has(key)) state.kept.set(key, await run(image, model, mixture));
  return state.kept.get(key);
}

// The pixels of an image in a style at a strength, RGBA. A model with an identity goes from it to the style and beyond,
// and what the identity loses of the photo comes back; of others photo and picture are blended pixel by pixel. As in
// fast_style/inference/blending.py, but that here what networks paint is never blacker than black.
async function painted(image, { model, style }, strength) {
  const one = model.styles.map((name) => Number(name === style));
  let picture, share, other;
  if (model.identity) {
    picture = await runOnce(image, model, [...one.map((weight) => weight * strength), 1 - strength]);
    other = strength < 1 ? await runOnce(image, model, [...one.map(() => 0), 1]) : null;
    share = 1;
  } else {
    picture = await runOnce(image, model, model.several ? one : null);
    share = strength;
  }
  const shown = new ImageData(image.width, image.height);
  for (let from = 0, to = 0; to < shown.data.length; to += 4) {
    for (let channel = 0; channel < 3; channel++, from++) {
      const photo = image.data[to + channel];
      const lost = other ? (1 - strength) * (photo - other[from]) : 0;
      shown.data[to + channel] = share * picture[from] + (1 - share) * photo + lost; // clamped, and rounded
    }
    shown.data[to + 3] = 255;
  }
  return shown;
}

// --- pictures

function pixelsOf(source, width, height) {
  const longest = Number(at("size").value);
  const scale = Math.min(1, longest / Math.max(width, height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff"; // what is transparent becomes paper
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

function draw(canvas, image) {
  if (canvas.width !== image.width || canvas.height !== image.height) Object.assign(canvas, { width: image.width, height: image.height });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function show(image, picture, choice) {
  draw(at("before"), image);
  draw(at("after"), picture);
  at("after").setAttribute("aria-label", `${state.photo.name}, painted in the style ${choice.style}`);
  delete at("view").dataset.empty;
  at("split").disabled = at("save").disabled = false;
}

function setImage(image) {
  state.image = image;
  state.kept.clear();
}

async function open(file) {
  stopCamera();
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Problem(`${file.name || "This"} is not a picture that this browser can read: choose a JPEG, PNG or WebP file.`);
  }
  state.photo?.bitmap.close();
  state.photo = { bitmap, name: (file.name || "photo").replace(/\.[^.]*$/, "") };
  setImage(pixelsOf(bitmap, bitmap.width, bitmap.height));
  await paintPhoto();
}

// One picture at a time: what is asked for meanwhile is painted after it, and only the last.
let painting = false, again = false;
async function paintPhoto() {
  if (!state.image || !state.choice || state.camera) return;
  if (painting) { again = true; return; }
  painting = true;
  try {
    do {
      again = false;
      const { image, choice } = state, begun = performance.now();
      say("Painting …");
      const share = strength(), picture = await painted(image, choice, share);
      if (image !== state.image || choice !== state.choice) { again = true; continue; }
      show(image, picture, choice);
      const seconds = ((performance.now() - begun) / 1000).toFixed(2);
      say(`${described(image, choice, share)}, ${seconds} s with ${NAMES[state.kind]}`);
    } while (again && state.image && !state.camera);
  } finally {
    painting = false;
  }
}

function described({ width, height }, { style }, share) {
  return `${style.replaceAll("_", " ")} at ${Math.round(100 * share)} %, ${width} × ${height} pixels`;
}

const strength = () => Number(at("strength").value) / 100;

// --- the camera

async function startCamera() {
  if (!navigator.mediaDevices) throw new Problem("Browsers give the camera only to pages from https or from localhost.");
  try {
    state.camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
  } catch (error) {
    throw new Problem(error.name === "NotFoundError" ? "There is no camera." : "The camera was not allowed, or is in use.");
  }
  const stream = state.camera, video = document.createElement("video");
  Object.assign(video, { srcObject: stream, muted: true, playsInline: true });
  at("camera").textContent = "Stop the camera";
  at("camera").setAttribute("aria-pressed", "true");
  state.photo = { bitmap: { close() {} }, name: "camera" };
  try {
    await video.play();
    let rate = 0;
    while (state.camera === stream) {
      const begun = performance.now(), choice = state.choice;
      const image = pixelsOf(video, video.videoWidth, video.videoHeight);
      setImage(image);
      const share = strength(), picture = await painted(image, choice, share);
      if (state.camera !== stream) break;
      show(image, picture, choice);
      await new Promise(requestAnimationFrame);
      const now = 1000 / (performance.now() - begun);
      rate = rate ? 0.8 * rate + 0.2 * now : now;
      say(`${described(image, choice, share)}, ${rate.toFixed(1)} frames a second with ${NAMES[state.kind]}`);
    }
  } finally {
    stopCamera(stream);
  }
}

function stopCamera(stream = state.camera) {
  stream?.getTracks().forEach((track) => track.stop());
  if (stream !== state.camera || !stream) return;
  state.camera = null;
  at("camera").textContent = "Use the camera";
  at("camera").setAttribute("aria-pressed", "false");
}

// --- the controls

function showStyles(models) {
  const choices = models.flatMap((model) => model.styles.map((style) => ({ model, style })));
  for (const choice of choices) {
    const label = document.createElement("label"), input = document.createElement("input");
    const picture = document.createElement("img"), name = document.createElement("span");
    label.className = "style";
    Object.assign(input, { type: "radio", name: "style" });
    input.addEventListener("change", attempt(() => choose(choice)));
    picture.src = `models/${choice.model.name}_${choice.style}.jpg`;
    picture.alt = `A cat in the style ${choice.style}`;
    name.textContent = choice.style.replaceAll("_", " ");
    label.append(input, picture, name);
    at("styles").append(label);
  }
  at("styles").querySelector("input").checked = true;
  return choices[0];
}

async function choose(choice) {
  state.choice = choice;
  at("strength").max = choice.model.identity ? 150 : 100;
  showStrength();
  await paintPhoto();
}

function showStrength() { at("strength-shown").textContent = `${at("strength").value} %`; }

function split() { at("view").style.setProperty("--split", `${at("split").value}%`); }

function drag(event) {
  if (event.buttons !== 1 || at("split").disabled) return;
  const box = at("view").getBoundingClientRect();
  at("split").value = (100 * (event.clientX - box.left)) / box.width;
  split();
}

async function save() {
  const blob = await new Promise((done) => at("after").toBlob(done, "image/png"));
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: `${state.photo.name}_${state.choice.style}.png` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// What an event does; what goes wrong is said on the page.
function attempt(work) {
  return async (event) => {
    at("problem").hidden = true;
    try {
      await work(event);
    } catch (error) {
      complain(error);
      say(state.choice ? "Ready." : "");
    }
  };
}

function listen() {
  at("file").addEventListener("change", attempt(async ({ target }) => {
    const [file] = target.files;
    target.value = ""; // so that the same file can be chosen again
    if (file) await open(file);
  }));
  at("camera").addEventListener("click", attempt(() => (state.camera ? stopCamera() : startCamera())));
  at("save").addEventListener("click", attempt(save));
  at("strength").addEventListener("input", attempt(() => { showStrength(); return paintPhoto(); }));
  at("size").addEventListener("change", attempt(() => {
    if (!state.photo?.bitmap.width) return null;
    setImage(pixelsOf(state.photo.bitmap, state.photo.bitmap.width, state.photo.bitmap.height));
    return paintPhoto();
  }));
  at("split").addEventListener("input", split);
  at("view").addEventListener("pointerdown", drag);
  at("view").addEventListener("pointermove", drag);
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      at("view").toggleAttribute("data-over", name === "dragover");
    });
  }
  document.addEventListener("drop", attempt(({ dataTransfer }) => {
    if (!dataTransfer.files.length) throw new Problem("That was no file: drop a photo from a folder.");
    return open(dataTransfer.files[0]);
  }));
  document.addEventListener("paste", attempt(({ clipboardData }) => clipboardData.files.length && open(clipboardData.files[0])));
}

await attempt(async () => {
  const models = await listModels();
  await start(await bestRuntime());
  listen();
  await choose(showStyles(models));
  say("Ready: choose a photo.");
})();
