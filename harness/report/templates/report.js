"use strict";
(async () => {
  const tests = [...document.querySelectorAll(".test")];
  const form = document.querySelector(".filters");
  const { text, outcome, rule, lan } = form.elements;
  const shown = form.querySelector("output");
  const cells = [...document.querySelectorAll(".cell")];

  // What is searched is kept beside each test, so that a filter reads no layout.
  const known = tests.map((test) => ({
    test,
    outcome: test.dataset.outcome,
    rules: test.dataset.rules.split(" "),
    lan: test.dataset.lan,
    text: test.querySelector("summary").textContent.toLowerCase() + " " + test.dataset.id.toLowerCase(),
  }));

  const filter = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const each of known) {
      const fits =
        (!outcome.value || each.outcome === outcome.value) &&
        (!rule.value || each.rules.includes(rule.value)) &&
        (!lan.value || each.lan === lan.value) &&
        words.every((word) => each.text.includes(word));
      each.test.hidden = !fits;
      count += fits;
    }
    shown.value = `${count.toLocaleString("en")} of ${known.length.toLocaleString("en")} tests`;
    for (const cell of cells) {
      const pressed = cell.dataset.rule === rule.value && cell.dataset.lan === lan.value;
      cell.setAttribute("aria-pressed", pressed);
    }
    const chosen = new URLSearchParams();
    for (const field of [text, outcome, rule, lan]) if (field.value) chosen.set(field.name, field.value);
    history.replaceState(null, "", "#" + chosen);
  };

  const restore = () => {
    const chosen = new URLSearchParams(location.hash.slice(1));
    for (const field of [text, outcome, rule, lan]) field.value = chosen.get(field.name) ?? "";
    filter();
  };

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  addEventListener("hashchange", restore);
  for (const cell of cells) {
    cell.addEventListener("click", () => {
      const again = cell.getAttribute("aria-pressed") === "true";
      [text.value, outcome.value] = ["", ""];
      rule.value = again ? "" : cell.dataset.rule;
      lan.value = again ? "" : cell.dataset.lan;
      filter();
      if (!again) document.getElementById("tests").scrollIntoView();
    });
  }
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, select")) {
      event.preventDefault();
      text.focus();
    }
  });

  // Details are compressed until the first is looked at.
  let details;
  const unpacked = () =>
    (details ??= (async () => {
      const packed = document.getElementById("details").textContent.trim();
      const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      return new Response(stream).json();
    })());
  const fill = async (test) => {
    const inside = test.querySelector(".inside");
    if (inside.childElementCount) return;
    inside.innerHTML = (await unpacked())[Number(test.dataset.number)];
  };
  for (const test of tests) {
    test.addEventListener("toggle", () => test.open && fill(test));
    if (test.open) fill(test);
  }
  document.getElementById("list").addEventListener("click", async (event) => {
    if (!event.target.matches("button.copy")) return;
    const command = event.target.previousElementSibling.textContent;
    try {
      await navigator.clipboard.writeText(command);
      event.target.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(event.target.previousElementSibling);
      event.target.textContent = "Selected";
    }
  });

  restore();
  document.documentElement.dataset.ready = "yes";
})();
