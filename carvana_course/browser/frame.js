function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// A picture in its frame, and below it what its colours mean.
class Frame {
  constructor() {
    this.image = element("img", { className: "carvana-picture", draggable: false, hidden: true });
    this.lines = svg("svg", { "aria-hidden": "true" });
    this.paper = element("div", { className: "paper" }, this.image, this.lines);
    this.box = element("div", { className: "frame" }, this.paper);
    this.caption = element("figcaption");
    this.figure = element("figure", {}, this.box, this.caption);
  }

  show(picture, url, title) {
    this.image.hidden = !url;
    if (url) this.image.src = url;
    this.image.alt = `${picture.layer} of ${title}`;
    const [width, height] = picture.size || [1, 1];
    this.lines.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.lines.replaceChildren(...(url ? picture.outlines : []).map(line => svg("path", { d: line.path,
      stroke: line.color, "stroke-width": line.width,
      transform: `scale(${width / line.size[0]} ${height / line.size[1]}) translate(0.5 0.5)` })));
    const chips = picture.legend.map(([name, color]) => {
      const chip = element("span", { className: "chip" });
      chip.style.background = color;
      return element("span", {}, chip, name);
    });
    this.caption.replaceChildren(picture.layer, ...chips, ...(picture.scale.length ? [colorBar(picture.scale)] : []));
    this.caption.title = [picture.layer, ...picture.legend.map(([name]) => name)].join(" · ");
  }

  place({ scale, x, y }) {
    Object.assign(this.paper.style, { width: `${100 * scale}%`, height: `${100 * scale}%`,
      left: `${-100 * scale * x}%`, top: `${-100 * scale * y}%` });
    this.image.classList.toggle("sharp", this.image.naturalWidth > 0 && this.enlarged(scale) > 3);
  }

  enlarged(scale) {  // screen pixels of a pixel of the picture
    return this.box.clientWidth * scale * devicePixelRatio / this.image.naturalWidth;
  }
}

function colorBar(colors) {
  const bar = element("div", { className: "colors" }), ticks = element("div", { className: "ticks" });
  bar.style.background = `linear-gradient(to right, ${colors.join(", ")})`;
  for (const value of [0, 0.25, 0.5, 0.75, 1]) {
    const tick = element("span", { textContent: value });
    tick.style.left = `${100 * value}%`;
    ticks.append(tick);
  }
  const scale = element("div", { className: "scale", role: "img", title: "probability of car" }, bar, ticks);
  scale.setAttribute("aria-label", "scale of the probability from 0 to 1");
  return scale;
}
