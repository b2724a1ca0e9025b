// The page's side of the upload. A file is looked at here and refused here where it is too large; others go to Python
// in parts, since a message to the kernel may have 10 MiB unless the server is told otherwise.

const PART = 2 ** 20;  // bytes a message
const PICTURES = ["mask", "overlay", "composite"];

const carriesFiles = event => event.dataTransfer?.types.includes("Files");

// A file that is dropped beside the upload would take the place of the whole page.
function catchStray(event) {
  if (event.defaultPrevented || !carriesFiles(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "none";
}

function render({ model, el }) {
  const asked = new Set(), addresses = {}, images = {}, captions = model.get("captions");
  const status = element("div", { role: "status" }), alert = element("div", { role: "alert" });

  function say(text, isAlert = false) {
    status.textContent = isAlert ? "" : text;
    alert.textContent = isAlert ? text : "";
  }

  async function send(use, files) {
    const [file] = files;
    if (!file) return;
    const { name, size } = file;
    if (files.length > 1) {
      model.send({ kind: "several", count: files.length });
      return;
    }
    if (size > model.get("limit")) {
      model.send({ kind: "too large", name, size });
      return;
    }
    say(`${name}: one moment ...`);
    try {
      const content = await file.arrayBuffer(), parts = Math.max(1, Math.ceil(size / PART));
      for (let part = 0; part < parts; part++) {
        model.send({ kind: "part", use, name, part, parts }, undefined, [content.slice(part * PART, (part + 1) * PART)]);
      }
    } catch {
      say(`${name} cannot be read; is it a folder?`, true);
    }
  }

  function zone(use, ...more) {
    const input = element("input", { type: "file", accept: model.get("types"), hidden: true });
    input.onchange = () => {
      send(use, [...input.files]);
      input.value = "";  // so that the same file can be chosen again
    };
    const button = element("button", { type: "button", textContent: `choose a ${use}`, onclick: () => input.click() });
    const area = element("div", { className: "zone" }, button, element("span", {}, "or drop it here"), ...more, input);
    area.dataset.use = use;
    return area;
  }

  function slider(name, low, high) {
    const shown = element("span", { textContent: model.get(name).toFixed(2) });
    const input = element("input", { type: "range", min: low, max: high, step: 0.01, value: model.get(name) });
    input.setAttribute("aria-label", name);  // without the value, which is said as it changes
    input.oninput = () => {
      shown.textContent = Number(input.value).toFixed(2);
      model.set(name, Number(input.value));
      model.save_changes();
    };
    return element("label", {}, name, input, shown);
  }

  const studio = element("button", { type: "button", textContent: "grey studio", title: "the background of the start" });
  studio.onclick = () => model.send({ kind: "studio" });
  const zones = [zone("photo"), zone("background", studio)];
  const figures = PICTURES.map(name => {
    images[name] = element("img");
    return element("figure", {}, images[name], element("figcaption", {}, captions[name]));
  });
  const saves = Object.entries(model.get("files")).map(([kind, words]) => {
    const button = element("button", { type: "button", textContent: `save the ${words} (PNG)` });
    button.onclick = () => {
      asked.add(kind);
      say(`${words}: one moment ...`);
      model.send({ kind: "save", what: kind });
    };
    return button;
  });
  const root = element("div", { className: "carvana-upload" },
    element("div", { className: "zones" }, ...zones), element("div", { className: "hint" }, model.get("hint")),
    status, alert,
    element("div", { className: "bar" }, slider("opacity", 0, 1), slider("threshold", 0.01, 0.99)),
    element("div", { className: "figures" }, ...figures), element("div", { className: "bar" }, ...saves));
  root.addEventListener("keydown", event => event.stopPropagation());  // else JupyterLab takes them, as of the sliders

  const zoneOf = event => event.target.closest(".zone") ?? zones[0];  // a drop on the pictures is a new photo
  const mark = over => zones.forEach(area => area.classList.toggle("over", area === over));
  root.addEventListener("dragover", event => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    mark(zoneOf(event));
  });
  root.addEventListener("dragleave", event => {
    if (!root.contains(event.relatedTarget)) mark(null);
  });
  root.addEventListener("drop", event => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    mark(null);
    send(zoneOf(event).dataset.use, [...event.dataTransfer.files]);
  });

  function showPicture(name) {
    const old = addresses[name];
    addresses[name] = URL.createObjectURL(new Blob([model.get(name)]));
    images[name].src = addresses[name];
    if (old) URL.revokeObjectURL(old);
  }

  function describe() {
    for (const name of PICTURES) images[name].alt = `${model.get("name")}: ${captions[name]}`;
  }

  function showMessage() {
    const { text, alert } = model.get("message");
    say(text, alert);
  }

  function save(message, buffers) {
    if (message.kind !== "file" || !asked.delete(message.what)) return;  // another view of this upload asked for it
    const href = URL.createObjectURL(new Blob(buffers, { type: "image/png" }));
    element("a", { href, download: message.name }).click();
    setTimeout(() => URL.revokeObjectURL(href), 60000);
  }

  const listeners = { "change:message": showMessage, "change:name": describe, "msg:custom": save };
  for (const name of PICTURES) listeners[`change:${name}`] = () => showPicture(name);
  for (const [event, listener] of Object.entries(listeners)) model.on(event, listener);
  for (const event of ["dragover", "drop"]) window.addEventListener(event, catchStray);
  el.replaceChildren(root);
  PICTURES.forEach(showPicture);
  describe();
  showMessage();
  return () => {
    for (const [event, listener] of Object.entries(listeners)) model.off(event, listener);
    for (const event of ["dragover", "drop"]) window.removeEventListener(event, catchStray);
    Object.values(addresses).forEach(URL.revokeObjectURL);
  };
}

export default { render };
