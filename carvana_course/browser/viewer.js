// The pictures of the mask browser: what Python composes stands here side by side, with one zoom for both, a strip of
// thumbnails, a flicker between two layers, and keys for all of the browser. One trait, `shown`, is a whole step.

const LARGEST_ZOOM = 32;
const FLICKER_MS = 500;
const REST_MS = 150;  // without a step or a zoom, after which thumbnails and larger pictures are asked for
const SAVED_URLS = 12;
const KEPT = 48;  // pictures that Python has sent ahead; ahead.py has the same number
const jpegUrl = bytes => URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));

function render({ model, el }) {
  const still = matchMedia("(prefers-reduced-motion: reduce)"), zoom = { scale: 1, x: 0, y: 0 };
  const ahead = new Map(), expected = [];  // what `shown` will be at a position; the positions shown before Python said so
  const frames = [new Frame(), new Frame()], thumbnails = new Map(), pointers = new Map(), saved = [];
  let shown = model.get("shown"), urls = [], largest = null, resting = null, flickering = null, flipped = false;

  const send = (kind, value = null) => model.send({ kind, value });
  const button = (label, title, action) => element("button", { type: "button", textContent: label, title, onclick: action });
  const title = element("b", { className: "title" });
  title.setAttribute("role", "status");
  const stage = element("div", { className: "stage", tabIndex: 0 }, ...frames.map(frame => frame.figure));
  const keys = `← → view, ↑ ↓ or p n picture, m mark, 1 to ${model.get("layers")} layer, space spin, ` +
    "f flicker, + − 0 zoom, Esc leaves";
  stage.setAttribute("role", "application");
  stage.setAttribute("aria-label", `pictures. Keys: ${keys}`);
  const strip = element("div", { className: "strip", role: "group" });
  strip.setAttribute("aria-label", "thumbnails");
  const percent = button("100 %", "the whole picture (0)", () => zoomTo(1));
  percent.className = "percent";
  const flicker = button("flicker", "show two layers in turn in one place (f)", () => {});
  const bar = element("div", { className: "bar" }, button("−", "zoom out (-)", () => zoomTo(zoom.scale / 1.5)), percent,
    button("+", "zoom in (+); wheel and drag work too", () => zoomTo(1.5 * zoom.scale)), flicker,
    element("span", { className: "keys", textContent: `Keys: ${keys}` }));
  const root = element("div", { className: "carvana-viewer" }, title, stage, strip, bar);
  const edge = 2 * model.get("width") + 8;
  stage.style.maxWidth = strip.style.maxWidth = `${edge}px`;
  for (const frame of frames) {
    frame.figure.style.maxWidth = `${model.get("width")}px`;
    frame.box.style.aspectRatio = model.get("aspect");
  }
  el.replaceChildren(root);

  function keep(url) {  // the page still decodes the latest ones
    saved.push(url);
    if (saved.length > SAVED_URLS) URL.revokeObjectURL(saved.shift());
    return url;
  }

  function hear() {
    const told = model.get("shown");
    const isSame = told.version === shown.version;
    if (!isSame) ahead.clear();
    const isForeseen = expected.length > 0 && isSame && expected.shift() === told.at;
    if (!isForeseen) {
      expected.length = 0;
      draw(told);
    } else if (!expected.length) {
      shown = told;
      rest();
    }
  }

  function goAhead(kind, by) {
    const position = shown.near?.[kind]?.[by < 0 ? 0 : 1], next = ahead.get(position);
    if (!next || position === shown.at) {
      expected.length = 0;  // Python says what comes
      return;
    }
    expected.push(position);
    draw(next);
  }

  function draw(next) {
    shown = next;
    urls = shown.pictures.map(picture => picture.jpeg && keep(jpegUrl(picture.jpeg)));
    title.textContent = shown.title;
    title.title = shown.hint || shown.title;
    drawFrames();
    drawStrip();
    rest();
  }

  function drawFrames() {
    const count = shown.pictures.length;
    if (count < 2) flipped = false;
    frames.forEach((frame, i) => {
      frame.figure.hidden = i >= count && i > 0;
      const which = i === 0 && flipped ? 1 : i;
      if (which < count) frame.show(shown.pictures[which], urls[which], shown.title);
    });
    flicker.disabled = !urls.some(Boolean);
    flicker.setAttribute("aria-pressed", String(Boolean(flickering) || flipped));
  }

  function drawStrip() {
    strip.replaceChildren(...shown.strip.map(one => {
      const found = thumbnails.get(one.position);
      const thumbnail = button("", `${one.number}: ${one.name}`, () => {
        stage.focus({ preventScroll: true });  // the thumbnail is about to be made anew
        send("go", one.position);
      });
      if (found) thumbnail.append(element("img", { src: found, alt: "", draggable: false }));
      thumbnail.tabIndex = -1;
      thumbnail.setAttribute("aria-label", `picture ${one.number}, ${one.name}`);
      thumbnail.setAttribute("aria-current", String(one.position === shown.at));
      return thumbnail;
    }));
  }

  function rest() {
    clearTimeout(resting);
    resting = setTimeout(() => {
      const missing = shown.strip.map(one => one.position).filter(position => !thumbnails.has(position));
      if (missing.length) send("thumbnails", missing);
      const isCoarse = frames[0].image.naturalWidth > 0 && frames[0].enlarged(zoom.scale) > 1;
      if (shown.larger && zoom.scale > 1 && shown.key && largest !== shown.key && isCoarse) send("larger", shown.key);
    }, REST_MS);
  }

  function receive(message, buffers) {
    if (message.kind === "thumbnails") {
      message.positions.forEach((position, i) => thumbnails.set(position, buffers[i].byteLength ? jpegUrl(buffers[i]) : ""));
      drawStrip();
    } else if (message.kind === "ahead" && message.shown.version === model.get("shown").version) {
      message.shown.pictures.forEach((picture, i) => { picture.jpeg = buffers[i]; });
      ahead.set(message.shown.at, message.shown);
      if (ahead.size > KEPT) ahead.delete(ahead.keys().next().value);
    } else if (message.kind === "larger" && message.key === shown.key) {
      largest = shown.key;
      urls = buffers.map(buffer => keep(jpegUrl(buffer)));
      drawFrames();
    }
  }

  // Zoom: x and y are the shares of the picture that lie to the left of the frame and above it.
  function zoomTo(scale, acrossFrame = 0.5, downFrame = 0.5) {
    const before = zoom.scale;
    zoom.scale = Math.min(LARGEST_ZOOM, Math.max(1, scale));
    moveTo(zoom.x + acrossFrame / before - acrossFrame / zoom.scale, zoom.y + downFrame / before - downFrame / zoom.scale);
    rest();
  }

  function moveTo(x, y) {
    const most = 1 - 1 / zoom.scale;
    zoom.x = Math.min(most, Math.max(0, x));
    zoom.y = Math.min(most, Math.max(0, y));
    for (const frame of frames) frame.place(zoom);
    stage.classList.toggle("zoomed", zoom.scale > 1);
    percent.textContent = `${Math.round(100 * zoom.scale)} %`;
  }

  function grip() {  // the middle of the fingers, and how far they are apart
    const points = [...pointers.values()], mean = name => points.reduce((sum, point) => sum + point[name], 0) / points.length;
    const apart = points.length > 1 ? Math.hypot(points[0].x - points[1].x, points[0].y - points[1].y) : 0;
    return { x: mean("x"), y: mean("y"), apart };
  }

  for (const { box, image } of frames) {
    box.addEventListener("wheel", event => {  // a wheel over pictures that nobody has clicked scrolls the page
      const isOurs = event.ctrlKey || root.contains(document.activeElement);
      if (!isOurs || (zoom.scale === 1 && event.deltaY > 0)) return;
      event.preventDefault();
      const edges = box.getBoundingClientRect();
      zoomTo(zoom.scale * (event.deltaY < 0 ? 1.2 : 1 / 1.2), (event.clientX - edges.left) / edges.width,
        (event.clientY - edges.top) / edges.height);
    }, { passive: false });
    box.onpointerdown = event => {
      if (event.button) return;
      stage.focus({ preventScroll: true });
      box.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    };
    box.onpointermove = event => {
      if (!pointers.has(event.pointerId)) return;
      const before = grip(), edges = box.getBoundingClientRect();
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      const after = grip();
      moveTo(zoom.x - (after.x - before.x) / edges.width / zoom.scale, zoom.y - (after.y - before.y) / edges.height / zoom.scale);
      if (before.apart && after.apart) zoomTo(zoom.scale * after.apart / before.apart, (after.x - edges.left) / edges.width,
        (after.y - edges.top) / edges.height);
    };
    box.onpointerup = box.onpointercancel = event => pointers.delete(event.pointerId);
    image.onload = () => moveTo(zoom.x, zoom.y);
  }

  // Flicker: the first frame shows the second picture in turn; who wants no motion holds the key or the button.
  function flip(to) {
    flipped = to;
    drawFrames();
  }

  function stopFlicker() {
    clearInterval(flickering);
    flickering = null;
    flipped = false;
  }

  function press() {
    if (flicker.disabled) return;
    const had = Boolean(flickering);
    stopFlicker();
    if (shown.pictures.length < 2) send("beside");
    if (still.matches) flipped = true;
    else if (!had) flickering = setInterval(() => flip(!flipped && shown.pictures.length > 1), FLICKER_MS);
    drawFrames();
  }

  function release() {
    if (still.matches && flipped) flip(false);
  }

  flicker.onpointerdown = press;
  flicker.onpointerup = flicker.onpointerleave = release;
  const isPress = event => !event.repeat && ["Enter", " "].includes(event.key);
  flicker.onkeydown = event => isPress(event) && press();
  flicker.onkeyup = release;

  function act(key) {
    if (key in GOES) {
      const [kind, value] = GOES[key];
      if (value) goAhead(kind, value);
      send(kind, value);
    } else if (key === "again") send("again");
    else if (/^[1-9]$/.test(key)) send("layer", Number(key));
    else if (key === "+" || key === "=") zoomTo(1.5 * zoom.scale);
    else if (key === "-") zoomTo(zoom.scale / 1.5);
    else if (key === "0") zoomTo(1);
    else if (key === "f") press();
    else return false;
    return true;
  }

  const onClick = event => {
    const page = pageOf(root, event.target);
    if (!page || page.classList.contains("carvana-editing")) return;
    // JupyterLab takes the focus where nothing else does, and with it the next key
    if (!page.contains(document.activeElement)) stage.focus({ preventScroll: true });
    const pressed = event.target.closest(".carvana-previous, .carvana-next");
    if (pressed && !pressed.disabled) goAhead("step", pressed.classList.contains("carvana-next") ? 1 : -1);
  };
  const deafen = hearKeys(root, act, release);
  window.addEventListener("click", onClick, true);
  model.on("change:shown", hear);
  model.on("msg:custom", receive);
  draw(shown);
  return () => {
    deafen();
    window.removeEventListener("click", onClick, true);
    model.off("change:shown", hear);
    model.off("msg:custom", receive);
    clearInterval(flickering);
    clearTimeout(resting);
    for (const url of [...saved, ...thumbnails.values()]) URL.revokeObjectURL(url);
  };
}

export default { render };
