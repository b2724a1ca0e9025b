// The pictures of the mask browser. Python says what is shown; zoom, flicker and thumbnails are the page's own affair.

const HELP = "Keys: ← → view, ↑ ↓ or n p picture, 1 to NUMBER layer, m mark, space spin, + − zoom, 0 whole, f flicker. " +
  "Click the picture first; then the wheel zooms and dragging moves it.";
const KEYS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "n", "p", "m", " ", "f", "+", "=", "-", "0"]);
const FLICKER_MS = 450;
const REST_MS = 150;  // without a step, before thumbnails are asked for
const MOST = 16;  // times zoom
const KEPT = 600;  // thumbnails

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function url(buffer) {
  return URL.createObjectURL(new Blob([buffer], { type: "image/jpeg" }));
}

// A field in which a key has a meaning of its own.
function isField(target) {
  return target.closest("input, select, textarea, [role='slider'], [contenteditable='true']") !== null;
}

function render({ model, el }) {
  const title = element("b", { className: "title" });
  title.setAttribute("role", "status");
  const panes = element("div", { className: "panes" });
  const strip = element("div", { className: "strip" });
  strip.setAttribute("role", "group");
  strip.setAttribute("aria-label", "neighbours in this order");
  const help = element("p", { className: "help", textContent: HELP.replace("NUMBER", model.get("layers").length) });
  const root = element("div", { className: "carvana-viewer", tabIndex: 0 }, title, panes, strip, help);
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", `pictures. ${help.textContent}`);
  root.style.setProperty("--width", `${model.get("width")}px`);
  el.append(root);

  const frames = [0, 1].map(() => {
    const image = element("img", { className: "picture", draggable: false });
    const frame = element("div", { className: "frame" }, image);
    const caption = element("figcaption");
    const pane = element("figure", { className: "pane" }, frame, caption);
    panes.append(pane);
    return { image, frame, caption, pane };
  });
  const thumbnails = new Map();  // position -> address
  let zoom = { scale: 1, x: 0, y: 0 };  // x and y: where the picture's corner is, in widths and heights of the frame
  let flicker = 0;
  let rest = 0;
  let waiting = false;  // for a thumbnail

  // Pictures

  function draw() {
    const { title: text, pictures, captions } = model.get("shown");
    title.textContent = text;
    title.title = text;
    frames.forEach(({ image, caption, pane }, i) => {
      pane.hidden = i >= Math.max(pictures.length, 1);
      caption.innerHTML = captions[i] ?? "";
      image.alt = pictures[i] ? `${text}: ${caption.textContent}` : "";
      const before = image.src;
      if (pictures[i]) image.src = url(pictures[i]);
      else image.removeAttribute("src");
      if (before.startsWith("blob:")) setTimeout(() => URL.revokeObjectURL(before), 1000);
    });
    root.classList.toggle("empty", pictures.length === 0);
    if (pictures.length < 2) stopFlicker();
    drawStrip();
  }

  function transform() {
    for (const { image } of frames) {
      image.style.transform = `translate(${100 * zoom.x}%, ${100 * zoom.y}%) scale(${zoom.scale})`;
    }
    root.classList.toggle("zoomed", zoom.scale > 1);
  }

  // Zoom so that the point (x, y) of the frame, each from 0 to 1, stays where it is.
  function zoomBy(factor, x = 0.5, y = 0.5) {
    const scale = Math.min(MOST, Math.max(1, zoom.scale * factor));
    place(scale, x - (x - zoom.x) * scale / zoom.scale, y - (y - zoom.y) * scale / zoom.scale);
    model.send({ kind: "zoom", value: scale });
  }

  function place(scale, x, y) {
    zoom = { scale, x: Math.min(0, Math.max(1 - scale, x)), y: Math.min(0, Math.max(1 - scale, y)) };
    transform();
  }

  for (const { frame } of frames) {
    frame.addEventListener("wheel", event => {
      if (!root.contains(document.activeElement)) return;  // the page scrolls until the picture is clicked
      event.preventDefault();
      const box = frame.getBoundingClientRect();
      zoomBy(Math.exp(-event.deltaY / 300), (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    }, { passive: false });
    frame.addEventListener("pointerdown", event => {
      root.focus({ preventScroll: true });
      const box = frame.getBoundingClientRect();
      const from = { ...zoom, left: event.clientX, top: event.clientY };
      frame.setPointerCapture(event.pointerId);
      frame.onpointermove = move => {
        place(from.scale, from.x + (move.clientX - from.left) / box.width, from.y + (move.clientY - from.top) / box.height);
      };
    });
    for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, () => { frame.onpointermove = null; });
    frame.addEventListener("dblclick", () => zoomBy(1 / MOST));
  }

  // Flicker: both pictures in one place, by turns

  function stopFlicker() {
    clearInterval(flicker);
    flicker = 0;
    root.classList.remove("flicker", "second");
  }

  function toggleFlicker() {
    if (flicker) return stopFlicker();
    if (model.get("shown").pictures.length < 2) {
      title.textContent = "choose a layer 'beside it' to flicker between the two";
      return;
    }
    root.classList.add("flicker");
    const slow = matchMedia("(prefers-reduced-motion: reduce)").matches;
    flicker = setInterval(() => root.classList.toggle("second"), slow ? 4 * FLICKER_MS : FLICKER_MS);
  }

  // Thumbnails

  function drawStrip() {
    const { near = [], position } = model.get("shown");
    strip.replaceChildren(...near.map(([place, name]) => {
      const button = element("button", { type: "button", title: name, ariaLabel: name });
      button.setAttribute("aria-pressed", place === position);
      button.tabIndex = -1;
      if (thumbnails.has(place)) button.append(element("img", { src: thumbnails.get(place), alt: "" }));
      button.addEventListener("click", () => model.send({ kind: "show", value: place }));
      return button;
    }));
    clearTimeout(rest);
    rest = setTimeout(askForThumbnail, REST_MS);
  }

  function askForThumbnail() {
    const next = (model.get("shown").near ?? []).find(([place]) => !thumbnails.has(place));
    if (!next || waiting) return;
    waiting = true;
    model.send({ kind: "thumbnail", value: next[0] });
  }

  function hear(message, buffers) {
    if (message.kind === "focus") root.focus({ preventScroll: true });
    if (message.kind !== "thumbnail") return;
    waiting = false;
    if (thumbnails.size > KEPT) {
      for (const address of thumbnails.values()) URL.revokeObjectURL(address);
      thumbnails.clear();
    }
    thumbnails.set(message.position, url(buffers[0]));
    drawStrip();
  }

  // Keys: heard in the whole mask browser, so that none of them reaches JupyterLab, where m would end the cell

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || ["Tab", "Escape"].includes(event.key)) return;
    if (event.shiftKey && event.key === "Enter") return;
    event.stopPropagation();
    const { key } = event;
    const isLayer = /^[1-9]$/.test(key) && key <= model.get("layers").length;
    const pressesButton = key === " " && event.target.closest("button");
    if (isField(event.target) || pressesButton || !(KEYS.has(key) || isLayer)) return;
    event.preventDefault();
    if (key === "+" || key === "=") zoomBy(1.5);
    else if (key === "-") zoomBy(1 / 1.5);
    else if (key === "0") zoomBy(1 / MOST);
    else if (key === "f") toggleFlicker();
    else model.send({ kind: "key", value: key });
  }

  let listened = root;
  root.addEventListener("keydown", press);
  const attach = setInterval(() => {
    const whole = root.closest(".carvana-browser");
    if (!whole) return;
    clearInterval(attach);
    root.removeEventListener("keydown", press);
    whole.addEventListener("keydown", press);
    listened = whole;
  }, 50);

  model.on("change:shown", draw);
  model.on("msg:custom", hear);
  draw();
  return () => {
    clearInterval(attach);
    clearTimeout(rest);
    stopFlicker();
    listened.removeEventListener("keydown", press);
    model.off("change:shown", draw);
    model.off("msg:custom", hear);
    for (const address of thumbnails.values()) URL.revokeObjectURL(address);
  };
}

export default { render };
