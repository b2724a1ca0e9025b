// Keys, anywhere in the browser of which `root` is a part. The window hears them before JupyterLab does.
// act(key) does what a key stands for, or says false; release() is called when the key of the flicker is let go.

const GOES = { ArrowLeft: ["turn", -1], ArrowRight: ["turn", 1], ArrowUp: ["step", -1], ArrowDown: ["step", 1],
  p: ["step", -1], n: ["step", 1], m: ["mark"], " ": ["spin"] };
const TYPED_INTO = "input:not([type=checkbox], [type=range], [type=button]), textarea, select, [contenteditable=true]";
const PRESSED = "button, input[type=checkbox], a, summary";

function pageOf(root, target) {
  const page = root.closest(".carvana-browser");
  return page?.contains(target) ? page : null;
}

function leave(page) {
  document.activeElement.blur();
  page.parentElement.closest("[tabindex]")?.focus({ preventScroll: true });
}

function hearKeys(root, act, release) {
  let searched = "";  // a changed text finds the first car by itself; Enter again goes on to the next

  function onKey(event) {
    const target = event.target, page = pageOf(root, target);
    if (!page) return;
    const control = event.ctrlKey || event.metaKey, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    // JupyterLab asks what has the focus, and then what is around it; it hears of saving alone
    target.toggleAttribute("data-lm-suppress-shortcuts", !(control && key === "s"));
    const isOther = control || event.altKey || (event.shiftKey && !/^[0-9+]$/.test(key));
    if (isOther || event.isComposing || page.classList.contains("carvana-editing")) return;
    if (key === "Escape") {
      leave(page);
    } else if (target.closest(TYPED_INTO)) {
      if (key === "Enter" && target.closest(".carvana-find")) {
        if (target.value && target.value === searched) act("again");
        searched = target.value;
      }
      return;
    } else if (target.closest("[role=slider]") && /^(Arrow|Page|Home|End)/.test(key)) {
      return;
    } else if (target.closest(PRESSED) && [" ", "Enter"].includes(key)) {
      return;
    } else if (event.repeat && [" ", "m", "f"].includes(key)) {
      // held down: once is enough
    } else if (!act(key)) {
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  function onKeyUp(event) {
    if (event.key.toLowerCase() === "f") release();
  }

  function onChange(event) {
    if (event.target.closest?.(".carvana-find") && pageOf(root, event.target)) searched = event.target.value;
  }

  const heard = { keydown: onKey, keyup: onKeyUp, change: onChange };
  for (const [name, listener] of Object.entries(heard)) window.addEventListener(name, listener, true);
  return () => {
    for (const [name, listener] of Object.entries(heard)) window.removeEventListener(name, listener, true);
  };
}
