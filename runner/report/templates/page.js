"use strict";
// Filters answers, shows an image large, sorts the table. It reads the page and changes only
// what is shown; text is never made into markup. Without it the whole page is there to read.
document.documentElement.classList.add("js");

addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector(".filter");
  const cards = [...document.querySelectorAll(".card")].map((card) => ({
    card,
    groups: [...card.querySelectorAll(".q")].map((group) => ({
      group,
      title: group.querySelector("h3"),
      answers: [...group.querySelectorAll(".a")],
    })),
  }));
  const total = cards.reduce((n, c) => n + c.groups.reduce((m, g) => m + g.answers.length, 0), 0);
  const boxes = [...form.elements.namedItem("model").length ? form.elements.model : [form.elements.model]];
  const lower = new Map();

  const textOf = (element) => {
    if (!element) return "";
    if (!lower.has(element)) lower.set(element, element.textContent.toLowerCase());
    return lower.get(element);
  };

  const fits = (answer, models, outcome) => {
    if (!models.has(answer.dataset.m)) return false;
    if (!outcome) return true;
    if (outcome === "!ok") return answer.dataset.o !== "ok";
    if (outcome.startsWith("flag:")) {
      return (answer.dataset.f || "").split(" ").includes(outcome.slice(5));
    }
    return answer.dataset.o === outcome;
  };

  const highlight = (words) => {
    if (!window.CSS || !CSS.highlights || !window.Highlight) return;
    CSS.highlights.delete("found");
    if (!words) return;
    const ranges = [];
    const walker = document.createTreeWalker(document.querySelector("#answers"), NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node && ranges.length < 500; node = walker.nextNode()) {
      if (node.parentElement.closest("[hidden], form")) continue;
      const text = node.data.toLowerCase();
      if (text.length !== node.data.length) continue;
      for (let at = text.indexOf(words); at >= 0; at = text.indexOf(words, at + words.length)) {
        const range = document.createRange();
        range.setStart(node, at);
        range.setEnd(node, at + words.length);
        ranges.push(range);
      }
    }
    CSS.highlights.set("found", new Highlight(...ranges));
  };

  const filter = () => {
    const words = form.elements.text.value.trim().toLowerCase();
    const models = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const outcome = form.elements.outcome.value;
    let answers = 0;
    let images = 0;
    for (const { card, groups } of cards) {
      const named = words && textOf(card.querySelector(".seen")).includes(words);
      let here = 0;
      for (const { group, title, answers: all } of groups) {
        const asked = named || (words && textOf(title).includes(words));
        let kept = 0;
        for (const answer of all) {
          const shown =
            fits(answer, models, outcome) && (!words || asked || textOf(answer).includes(words));
          answer.hidden = !shown;
          kept += shown;
        }
        group.hidden = !kept;
        here += kept;
      }
      card.hidden = !here;
      answers += here;
      images += here > 0;
    }
    form.querySelector("output").value =
      answers === total ? `${total} answers` : `${answers} of ${total} answers, ${images} of ${cards.length} images`;
    const chosen = boxes.filter((box) => box.checked).length;
    form.querySelector("summary b").textContent = chosen === boxes.length ? "all" : String(chosen);
    document.querySelector(".nothing").hidden = answers > 0;
    highlight(words);
  };

  let waiting;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, total > 1000 ? 150 : 0);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("click", (event) => {
    const all = event.target.dataset.all;
    if (all === undefined) return;
    for (const box of boxes) box.checked = Boolean(all);
    filter();
  });
  document.querySelector(".nothing button").addEventListener("click", () => {
    form.reset();
    filter();
  });
  addEventListener("click", (event) => {
    const pick = form.querySelector(".pick");
    if (!pick.contains(event.target)) pick.open = false;
  });
  form.hidden = false;
  form.reset();
  filter();

  const large = document.querySelector("#large");
  const images = () => [...document.querySelectorAll(".card:not([hidden]) .open img")];
  let current;
  const show = (image) => {
    current = image;
    const figure = image.closest("figure");
    const copy = large.querySelector("img");
    copy.src = image.src;
    copy.alt = image.alt;
    large.querySelector("dl").replaceChildren(...figure.querySelector("dl").cloneNode(true).children);
    if (!large.open) large.showModal();
  };
  document.querySelector("#answers").addEventListener("click", (event) => {
    const open = event.target.closest(".open");
    if (open) show(open.querySelector("img"));
    const long = event.target.closest(".long");
    if (long && getSelection().isCollapsed) long.classList.toggle("whole");
    if (event.target === large) large.close();
  });
  document.querySelector("#answers").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches(".long")) event.target.classList.toggle("whole");
  });
  large.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const all = images();
    const next = all[all.indexOf(current) + step];
    if (next) show(next);
  });

  for (const table of document.querySelectorAll("[data-sortable]")) {
    const heads = [...table.tHead.rows[0].cells];
    const value = (row, at) => {
      const cell = row.cells[at];
      const known = cell.dataset.v;
      return known === undefined ? (cell.textContent.trim() ? cell.textContent.trim() : null) : Number(known);
    };
    heads.forEach((head, at) => {
      head.querySelector("button").addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows].map((row) => [value(row, at), row]);
        rows.sort(([a], [b]) => {
          if (a === null || b === null) return (a === null) - (b === null); // unknown is last
          const order = typeof a === "number" ? a - b : String(a).localeCompare(String(b));
          return up ? order : -order;
        });
        table.tBodies[0].append(...rows.map(([, row]) => row));
      });
    });
  }

  let shut = [];
  addEventListener("beforeprint", () => {
    shut = [...document.querySelectorAll("details.failure:not([open])")];
    for (const each of shut) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of shut) each.open = false;
  });
});
