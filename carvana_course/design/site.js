// What the pages can do beyond being read: theme, menu, search, tooltips, quizzes. Loaded in the head, so that the
// theme is there before anything is drawn; the rest waits for the page. No library, no network, works from a file.
"use strict";

const PAGE = document.documentElement;
const DARK = matchMedia("(prefers-color-scheme: dark)");
const LIMIT = 12; // search results

function remembered() {
  try {
    return localStorage.getItem("carvana-theme");
  } catch {
    return null; // a browser that keeps nothing
  }
}

function remember(theme) {
  try {
    localStorage.setItem("carvana-theme", theme);
  } catch {
    // then it holds for this page
  }
}

if (remembered()) PAGE.dataset.theme = remembered();

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function startTheme() {
  const button = document.getElementById("theme");
  const isDark = () => (PAGE.dataset.theme ?? (DARK.matches ? "dark" : "light")) === "dark";
  const show = () => button.setAttribute("aria-pressed", isDark());
  button.addEventListener("click", () => {
    PAGE.dataset.theme = isDark() ? "light" : "dark";
    remember(PAGE.dataset.theme);
    show();
  });
  DARK.addEventListener("change", show);
  show();
  button.hidden = false;
}

function startMenu() {
  const menu = document.getElementById("menu");
  menu.addEventListener("click", (event) => {
    if (event.target.closest("a") && menu.matches(":popover-open")) menu.hidePopover();
  });
  const showCurrent = () => {
    menu.scrollTop = menu.querySelector("[aria-current]").offsetTop - menu.clientHeight / 3;
  };
  menu.addEventListener("toggle", showCurrent);
  showCurrent();
}

// Search. A section matches if every word of the query, without its ending, begins a word of the section.

function normal(text) {
  // As long as the text is, and one space more at its beginning, so that places in it are places in the text.
  return " " + text.toLowerCase().replaceAll("ё", "е").replace(/[^\p{L}\p{N}]/gu, " ");
}

function stem(word) {
  if (word.length < 5) return word.replace(/([^s\d]{2})s$/, "$1");
  const ending = /(ами|ями|[оея]го|[оеыи]м[иу]?|[аяоеыи]х|[аея]м|[оеиы]й|[ои]в|[аяоеыиую][яею]|[аеиоуыэюяйь])$/;
  return /[а-я]/.test(word) ? word.replace(ending, "") : word.replace(/([^s])s$/, "$1");
}

function wordsOf(query) {
  return normal(query).split(" ").filter(Boolean).map((word) => " " + stem(word));
}

function score(section, words) {
  const isTitle = wordsOf(section[2]).join() === words.join();
  const [page, title, text] = section.slice(1).map(normal);
  let sum = isTitle ? 50 : 0;
  for (const word of words) {
    const times = text.split(word).length - 1;
    if (title.includes(word)) sum += 20;
    else if (page.includes(word)) sum += 5;
    else if (!times) return 0;
    sum += Math.min(times, 5);
  }
  return sum;
}

function find(query, sections) {
  const words = wordsOf(query);
  if (!words.length) return [];
  const scored = sections.map((section) => [score(section, words), section]);
  return scored.filter(([sum]) => sum > 0).sort((a, b) => b[0] - a[0]).map(([, section]) => section);
}

function snippet(text, words) {
  const lower = normal(text);
  const word = words.find((one) => lower.includes(one));
  if (!word) return [text.slice(0, 140) + (text.length > 140 ? " …" : "")];
  const place = lower.indexOf(word);
  const start = Math.max(0, place - 50);
  const end = place + word.length - 1;
  const before = (start ? "… " : "") + text.slice(start, place);
  return [before, make("mark", { textContent: text.slice(place, end) }), text.slice(end, end + 90) + " …"];
}

function startSearch() {
  const search = document.getElementById("search");
  const input = search.querySelector("input");
  const results = document.getElementById("results");
  const status = results.querySelector("p");
  const list = results.querySelector("ul");
  const links = () => [...list.querySelectorAll("a")];
  const close = () => (results.hidden = true);
  let loading = null;

  function load() {
    loading ??= new Promise((done) => {
      document.head.append(make("script", { src: `${PAGE.dataset.root}sections.js`, onload: () => done(SECTIONS) }));
    });
    return loading;
  }

  async function show() {
    const sections = await load();
    const query = input.value;
    const words = wordsOf(query);
    const found = find(query, sections);
    status.textContent = found.length ? `${status.dataset.some} ${found.length}` : `${status.dataset.none} “${query}”`;
    list.replaceChildren(
      ...found.slice(0, LIMIT).map(([address, page, title, text]) => {
        const name = make("b", { textContent: title });
        const link = make("a", { href: PAGE.dataset.root + address }, name, make("small", {}, ...snippet(text, words)));
        if (page !== title) name.after(` · ${page}`);
        return make("li", {}, link);
      }),
    );
    results.hidden = !words.length;
  }

  function move(event) {
    const places = [input, ...links()];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") {
      event.preventDefault(); // else the field is emptied too
      close();
      input.focus();
    } else if (event.key === "Enter" && event.target === input && !results.hidden) {
      links()[0]?.click();
    } else if (step && !results.hidden) {
      event.preventDefault();
      places.at((places.indexOf(event.target) + step) % places.length).focus();
    }
  }

  search.hidden = false;
  input.addEventListener("focus", load);
  input.addEventListener("input", show);
  input.addEventListener("click", show);
  search.addEventListener("keydown", move);
  list.addEventListener("click", close);
  document.addEventListener("pointerdown", (event) => search.contains(event.target) || close());
  document.addEventListener("keydown", (event) => {
    const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (event.key === "/" && isPlain && !event.target.closest("input, textarea, select")) {
      event.preventDefault();
      input.focus();
    }
  });
}

// A term's definition, beside the link to the glossary that has it as its title.

function startTooltips() {
  const tip = make("div", { id: "tooltip", role: "tooltip", hidden: true });
  document.body.append(tip);
  const definitions = new Map();
  let leaving = 0;
  for (const link of document.querySelectorAll("a.term")) {
    definitions.set(link, link.title);
    link.removeAttribute("title");
  }

  function show({ target }) {
    const link = target.closest?.("a.term");
    if (link || tip.contains(target)) clearTimeout(leaving);
    if (!link) return;
    tip.textContent = definitions.get(link);
    tip.hidden = false;
    link.setAttribute("aria-describedby", tip.id);
    const place = link.getClientRects()[0];
    const below = place.bottom + 6 + tip.offsetHeight <= innerHeight;
    tip.style.top = `${below ? place.bottom + 6 : place.top - 6 - tip.offsetHeight}px`;
    tip.style.left = `${Math.max(16, Math.min(place.left, PAGE.clientWidth - tip.offsetWidth - 16))}px`;
  }

  function hide() {
    clearTimeout(leaving);
    leaving = setTimeout(() => (tip.hidden = true), 150); // time to move onto it, to read or to copy
  }

  document.addEventListener("mouseover", show);
  document.addEventListener("focusin", show);
  document.addEventListener("mouseout", hide);
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", () => (tip.hidden = true));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") tip.hidden = true;
  });
}

// A quiz: its options become buttons, and what was folded is said to the one that is chosen.

function startQuiz(quiz, number) {
  const [options, answers] = quiz.querySelectorAll("ul");
  const said = make("div", { role: "status" });
  const legend = make("legend");
  legend.append(...quiz.querySelector("p").childNodes);
  const choices = [...options.children].map((option, i) => {
    const button = make("input", { type: "radio", name: `quiz-${number}` });
    button.addEventListener("change", () => {
      const answer = answers.children[i];
      said.textContent = answer.querySelector("span").textContent;
      said.classList.toggle("right", answer.querySelector("b") !== null);
    });
    return make("label", {}, button, make("span", { textContent: option.textContent }));
  });
  quiz.replaceChildren(make("fieldset", {}, legend, ...choices), said);
}

document.addEventListener("DOMContentLoaded", () => {
  startTheme();
  startMenu();
  startSearch();
  startTooltips();
  document.querySelectorAll(".carvana-quiz").forEach(startQuiz);
});
