// The drawing surface. A mask is one byte a pixel of the photo, 0 or 1; what is seen of it is a canvas of the photo's
// size above the photo's own canvas. Strokes are drawn here, and only the finished mask goes to Python.

const HELP = "Draw with mouse, pen or finger. Keys: b brush, e eraser, m move, [ and ] size, + and - zoom, 0 fit, " +
  "Ctrl+Z undo, Ctrl+Shift+Z redo; arrows move the point (Shift: by 10), space draws there, Escape cancels.";
const ANSWER_MS = 30000;  // how long a save may take before the kernel is taken for gone
const STEPS = 200;  // strokes that can be undone
const sessions = new WeakMap();  // of each model, so that strokes survive when a view is made anew

function bytesOf(buffer) {
  return buffer instanceof DataView
    ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength) : new Uint8Array(buffer);
}

function unpack(bits, count) {
  const pixels = new Uint8Array(count);
  for (let i = 0; i < count; i++) pixels[i] = (bits[i >> 3] >> (7 - (i & 7))) & 1;
  return pixels;
}

function pack(pixels) {
  const bits = new Uint8Array(Math.ceil(pixels.length / 8));
  for (let i = 0; i < pixels.length; i++) if (pixels[i]) bits[i >> 3] |= 128 >> (i & 7);
  return bits;
}

// Each pixel whose centre is at most `size / 2` from the segment, and those that the segment itself runs through.
function drawSegment(pixels, width, height, from, to, size, value) {
  const radius = size / 2, dx = to.x - from.x, dy = to.y - from.y, length2 = dx * dx + dy * dy;
  const left = Math.max(0, Math.floor(Math.min(from.x, to.x) - radius));
  const right = Math.min(width - 1, Math.floor(Math.max(from.x, to.x) + radius));
  const top = Math.max(0, Math.floor(Math.min(from.y, to.y) - radius));
  const bottom = Math.min(height - 1, Math.floor(Math.max(from.y, to.y) + radius));
  if (left > right || top > bottom) return null;
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      const x = column + 0.5 - from.x, y = row + 0.5 - from.y;
      const along = length2 ? Math.max(0, Math.min(1, (x * dx + y * dy) / length2)) : 0;
      const offX = x - along * dx, offY = y - along * dy;
      if (offX * offX + offY * offY <= radius * radius) pixels[row * width + column] = value;
    }
  }
  const steps = Math.ceil(4 * Math.sqrt(length2));
  for (let i = 0; i <= steps; i++) {
    const share = steps ? i / steps : 0;
    const column = Math.floor(from.x + share * dx), row = Math.floor(from.y + share * dy);
    if (column >= 0 && column < width && row >= 0 && row < height) pixels[row * width + column] = value;
  }
  return { left, top, right, bottom };
}

function joined(a, b) {
  if (!a || !b) return a || b;
  return { left: Math.min(a.left, b.left), top: Math.min(a.top, b.top),
    right: Math.max(a.right, b.right), bottom: Math.max(a.bottom, b.bottom) };
}

function cropped(pixels, width, box) {
  const wide = box.right - box.left + 1, part = new Uint8Array(wide * (box.bottom - box.top + 1));
  for (let row = box.top; row <= box.bottom; row++) {
    const start = row * width + box.left;
    part.set(pixels.subarray(start, start + wide), (row - box.top) * wide);
  }
  return part;
}

function restore(pixels, width, box, part) {
  const wide = box.right - box.left + 1;
  for (let row = box.top; row <= box.bottom; row++) {
    pixels.set(part.subarray((row - box.top) * wide, (row - box.top + 1) * wide), row * width + box.left);
  }
}

// What is drawn on, apart from any view of it.
async function newSession(message, buffers) {
  const { width, height } = message;
  const photo = element("canvas", { width, height }), tint = element("canvas", { width, height });
  const picture = await createImageBitmap(new Blob([bytesOf(buffers[0])], { type: "image/jpeg" }));
  const context = photo.getContext("2d");
  context.drawImage(picture, 0, 0);
  picture.close();
  if (context.getImageData(0, 0, 1, 1).data[3] !== 255) {
    throw new Error(`this browser cannot draw on a photo of ${width} x ${height} pixels`);
  }
  const rgb = [1, 3, 5].map(at => parseInt(message.color.slice(at, at + 2), 16));
  const session = { width, height, photo, tint, rgb, name: message.name, pixels: unpack(bytesOf(buffers[1]), width * height),
    undo: [], redo: [], tool: "brush", size: Math.max(1, Math.round(width / 48)), opacity: message.opacity };
  paint(session, { left: 0, top: 0, right: width - 1, bottom: height - 1 });
  return session;
}

function paint(session, box) {
  if (!box) return;
  const wide = box.right - box.left + 1, high = box.bottom - box.top + 1, context = session.tint.getContext("2d");
  const image = context.createImageData(wide, high), colored = new Uint32Array(image.data.buffer);
  const [red, green, blue] = session.rgb, color = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  for (let row = 0; row < high; row++) {
    const start = (box.top + row) * session.width + box.left;
    for (let column = 0; column < wide; column++) {
      if (session.pixels[start + column]) colored[row * wide + column] = color;
    }
  }
  context.putImageData(image, box.left, box.top);
}

function show(session, model, el) {
  let stroke = null, point = { x: session.width / 2, y: session.height / 2 }, zoom = 1, drag = null, timer = null;
  const status = element("span", { role: "status" }), question = element("span", { className: "ask bar", hidden: true });
  const view = element("div", { className: "view" }), paper = element("div", { className: "paper" });
  const ring = element("div", { className: "ring", hidden: true }), surface = session.tint;
  surface.className = "surface";
  surface.tabIndex = 0;
  surface.setAttribute("role", "application");
  surface.setAttribute("aria-label", `mask of ${session.name}: drawing surface. ${HELP}`);
  paper.append(session.photo, surface, ring);
  view.append(paper);

  const button = (label, title, action) => element("button", { type: "button", textContent: label, title, onclick: action });
  const tools = Object.fromEntries([["brush", "add to the mask (b)"], ["eraser", "take from the mask (e)"],
    ["move", "drag the picture about (m)"]].map(([name, title]) => [name, button(name, title, () => setTool(name))]));
  const range = (name, min, max, step, value, action) => {
    const input = element("input", { type: "range", min, max, step, value, oninput: () => action(Number(input.value)) });
    return [element("label", {}, name, input), input];
  };
  const largest = Math.max(50, Math.round(session.width / 4));
  const [sizeLabel, sizeInput] = range("size", 1, largest, 1, session.size, size => setSize(size));
  const [opacityLabel] = range("opacity", 0, 1, 0.05, session.opacity, value => setOpacity(value));
  const undo = button("undo", "Ctrl+Z", () => step(session.undo, session.redo));
  const redo = button("redo", "Ctrl+Shift+Z", () => step(session.redo, session.undo));
  const save = button("save mask", "write a new mask beside the old one", send);
  const cancel = button("cancel", "back without a new mask (Escape)", askToCancel);
  const zooms = [button("zoom in", "+", () => setZoom(1.5 * zoom)), button("zoom out", "-", () => setZoom(zoom / 1.5)),
    button("fit", "0", () => setZoom(fitting()))];
  const root = element("div", { className: "carvana-editor" },
    element("div", { className: "bar" }, ...Object.values(tools), sizeLabel, opacityLabel, undo, redo),
    element("div", { className: "bar" }, ...zooms, save, cancel, status, question), view,
    element("div", { className: "bar", textContent: HELP }));
  root.setAttribute("data-lm-suppress-shortcuts", "true");  // else b would insert a cell

  function say(text) {
    const count = session.undo.length;
    status.textContent = text || `${session.tool}, ${session.size} px · ${count} ${count === 1 ? "stroke" : "strokes"}`;
    undo.disabled = !session.undo.length;
    redo.disabled = !session.redo.length;
  }

  function setTool(name) {
    session.tool = name;
    for (const [tool, control] of Object.entries(tools)) control.setAttribute("aria-pressed", String(tool === name));
    surface.classList.toggle("moving", name === "move");
    showRing();
    say();
  }

  function setSize(size) {
    session.size = Math.min(largest, Math.max(1, size));
    sizeInput.value = session.size;
    showRing();
    say();
  }

  function setOpacity(value) {
    session.opacity = value;
    surface.style.opacity = value;
  }

  function fitting() {
    const across = (view.clientWidth || 480) / session.width, down = 0.7 * window.innerHeight / session.height;
    return Math.max(0.05, Math.min(2, across, down));
  }

  function setZoom(value, clientX, clientY) {
    const before = surface.getBoundingClientRect(), frame = view.getBoundingClientRect();
    const x = clientX ?? frame.left + frame.width / 2, y = clientY ?? frame.top + frame.height / 2;
    const shareX = before.width ? (x - before.left) / before.width : 0;
    const shareY = before.height ? (y - before.top) / before.height : 0;
    zoom = Math.min(32, Math.max(0.05, value));
    paper.style.width = `${session.width * zoom}px`;
    paper.style.height = `${session.height * zoom}px`;
    paper.classList.toggle("sharp", zoom >= 2);
    view.scrollLeft = shareX * session.width * zoom - (x - frame.left);
    view.scrollTop = shareY * session.height * zoom - (y - frame.top);
    showRing();
  }

  function showRing() {
    ring.hidden = session.tool === "move";
    ring.style.left = `${point.x * zoom}px`;
    ring.style.top = `${point.y * zoom}px`;
    ring.style.width = ring.style.height = `${Math.max(4, session.size * zoom)}px`;
  }

  function pointOf(event) {  // in the photo's own pixels
    const box = surface.getBoundingClientRect();
    return { x: (event.clientX - box.left) * session.width / box.width,
      y: (event.clientY - box.top) * session.height / box.height };
  }

  function begin(at, value) {
    stroke = { before: session.pixels.slice(), box: null, value, last: at };
    extend(at);
  }

  function extend(at) {
    const box = drawSegment(session.pixels, session.width, session.height, stroke.last, at, session.size, stroke.value);
    stroke.box = joined(stroke.box, box);
    stroke.last = at;
    paint(session, box);
  }

  function end() {
    const { before, box } = stroke;
    stroke = null;
    if (!box) return;
    const old = cropped(before, session.width, box), drawn = cropped(session.pixels, session.width, box);
    if (old.every((pixel, i) => pixel === drawn[i])) return;
    session.undo.push({ box, old, drawn });
    if (session.undo.length > STEPS) session.undo.shift();
    session.redo.length = 0;
    say();
  }

  function step(from, to) {
    const change = from.pop();
    if (!change || stroke) return;
    restore(session.pixels, session.width, change.box, from === session.undo ? change.old : change.drawn);
    paint(session, change.box);
    to.push(change);
    say();
  }

  const drawsWith = event => session.tool === "eraser" || event.buttons & 32 ? 0 : 1;  // 32: a pen's other end

  surface.onpointerdown = event => {
    if (stroke || drag || ![0, 5].includes(event.button)) return;
    event.preventDefault();
    surface.focus({ preventScroll: true });
    surface.setPointerCapture(event.pointerId);
    if (session.tool === "move") {
      drag = { x: event.clientX + view.scrollLeft, y: event.clientY + view.scrollTop };
      return;
    }
    point = pointOf(event);
    begin(point, drawsWith(event));
  };
  surface.onpointermove = event => {
    if (drag) {
      view.scrollLeft = drag.x - event.clientX;
      view.scrollTop = drag.y - event.clientY;
      return;
    }
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const one of passed.length ? passed : [event]) {
      point = pointOf(one);
      if (stroke) extend(point);
    }
    showRing();
  };
  surface.onpointerup = surface.onpointercancel = () => {
    drag = null;
    if (stroke) end();
  };
  view.addEventListener("wheel", event => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    setZoom(event.deltaY < 0 ? 1.2 * zoom : zoom / 1.2, event.clientX, event.clientY);
  }, { passive: false });

  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  surface.addEventListener("keydown", event => {
    const way = arrows[event.key];
    if (way) {
      const by = event.shiftKey ? 10 : 1, inside = (value, most) => Math.min(most - 0.5, Math.max(0.5, value));
      point = { x: inside(Math.floor(point.x) + 0.5 + by * way[0], session.width),
        y: inside(Math.floor(point.y) + 0.5 + by * way[1], session.height) };
      if (stroke) extend(point);
      showRing();
    } else if (event.key === " " && session.tool !== "move") {
      if (!stroke && !event.repeat) begin(point, session.tool === "eraser" ? 0 : 1);
    } else return;
    event.preventDefault();
  });
  surface.addEventListener("keyup", event => {
    if (event.key === " " && stroke) end();
  });
  surface.addEventListener("blur", () => {
    if (stroke) end();
  });

  const keys = { b: () => setTool("brush"), e: () => setTool("eraser"), m: () => setTool("move"),
    "[": () => setSize(Math.min(session.size - 1, Math.floor(session.size / 1.15))),
    "]": () => setSize(Math.max(session.size + 1, Math.ceil(session.size * 1.15))),
    "+": () => setZoom(1.5 * zoom), "=": () => setZoom(1.5 * zoom), "-": () => setZoom(zoom / 1.5),
    0: () => setZoom(fitting()), Escape: askToCancel };
  root.addEventListener("keydown", event => {
    const control = event.ctrlKey || event.metaKey, key = event.key.toLowerCase();
    if (control && (key === "z" || key === "y")) {
      if (key === "y" || event.shiftKey) step(session.redo, session.undo);
      else step(session.undo, session.redo);
      event.preventDefault();
    } else if (!control && !event.altKey && (keys[event.key] || keys[key])) {
      (keys[event.key] || keys[key])();
      event.preventDefault();
    }
    event.stopPropagation();
  });

  function askToCancel() {
    if (!session.undo.length) {
      model.send({ kind: "cancel" });
      return;
    }
    const keep = button("keep drawing", "", () => {
      question.hidden = true;
      surface.focus({ preventScroll: true });
    });
    const discard = button("discard the strokes", "", () => model.send({ kind: "cancel" }));
    question.replaceChildren("The strokes are not saved.", keep, discard);
    question.hidden = false;
    keep.focus();
  }

  function send() {
    save.disabled = cancel.disabled = true;
    say("saving ...");
    timer = setTimeout(() => failed("no answer: the kernel is busy or gone; the strokes are still here, save again"), ANSWER_MS);
    model.send({ kind: "save" }, undefined, [pack(session.pixels).buffer]);
  }

  function failed(text) {
    clearTimeout(timer);
    save.disabled = cancel.disabled = false;
    say(text);
  }

  function answer(message) {
    if (message.kind === "failed") failed(message.text);
    if (message.kind === "saved") {
      clearTimeout(timer);
      say(message.text);
    }
  }

  const warn = event => {
    if (session.undo.length) event.preventDefault();
  };
  window.addEventListener("beforeunload", warn);
  model.on("msg:custom", answer);
  el.replaceChildren(root);
  setTool(session.tool);
  setOpacity(session.opacity);
  requestAnimationFrame(() => {
    setZoom(fitting());
    surface.focus({ preventScroll: true });
  });
  return () => {
    clearTimeout(timer);
    window.removeEventListener("beforeunload", warn);
    model.off("msg:custom", answer);
  };
}

function render({ model, el }) {
  let leave = () => {};
  const begin = async (message, buffers) => {
    if (message.kind !== "picture") return;
    model.off("msg:custom", begin);
    try {
      sessions.set(model, await newSession(message, buffers));
      leave = show(sessions.get(model), model, el);
    } catch (error) {
      el.replaceChildren(element("p", { role: "alert", textContent: `The photo cannot be drawn on: ${error.message}.` }),
        element("button", { type: "button", textContent: "back", onclick: () => model.send({ kind: "cancel" }) }));
    }
  };
  if (sessions.has(model)) {
    leave = show(sessions.get(model), model, el);
  } else {
    model.on("msg:custom", begin);
    model.send({ kind: "open" });
  }
  return () => {
    model.off("msg:custom", begin);
    leave();
  };
}

export default { render };
