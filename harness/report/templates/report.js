"use strict";
(async () => {
  const list = document.getElementById("list");
  const tests = [...document.querySelectorAll(".test")];
  const form = document.querySelector(".filters");
  const fields = [...form.elements].filter((field) => field.name);
  const { text, outcome, rule, lan, sort } = form.elements;
  const group = form.elements.group ?? { value: "", name: "group" };
  const shown = form.querySelector("output");
  const cells = [...document.querySelectorAll(".cell")];
  const rowForm = document.querySelector("form.rows");
  const RED = ["failed", "inconclusive"];

  // What is searched is kept beside each test, so that a filter reads no layout.
  const known = tests.map((test) => ({
    test,
    outcome: test.dataset.outcome,
    rules: test.dataset.rules.split(" "),
    lan: test.dataset.lan,
    group: test.dataset.group,
    seconds: Number(test.dataset.seconds),
    id: test.dataset.id,
    text: test.querySelector("summary").textContent.toLowerCase() + " " + test.dataset.id.toLowerCase(),
  }));

  let permalink = "";
  const save = () => {
    const chosen = new URLSearchParams();
    for (const field of fields) if (field.value) chosen.set(field.name, field.value);
    if (rowForm?.elements.rows.value) chosen.set("rows", rowForm.elements.rows.value);
    if (permalink) chosen.set("test", permalink);
    history.replaceState(null, "", "#" + chosen);
  };

  const filter = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const one of known) {
      const fits =
        (!outcome.value || one.outcome === outcome.value || (outcome.value === "red" && RED.includes(one.outcome))) &&
        (!rule.value || one.rules.includes(rule.value)) &&
        (!lan.value || one.lan === lan.value) &&
        (!group.value || one.group === group.value) &&
        words.every((word) => one.text.includes(word));
      one.test.hidden = !fits;
      count += fits;
    }
    shown.value = `${count.toLocaleString("en")} of ${known.length.toLocaleString("en")} tests`;
    for (const cell of cells) {
      const pressed = cell.dataset.rule === rule.value && cell.dataset.lan === lan.value;
      cell.setAttribute("aria-pressed", pressed);
    }
    save();
  };

  const orders = {
    time: (one, other) => other.seconds - one.seconds,
    name: (one, other) => (one.id < other.id ? -1 : 1),
    "": (one, other) => Number(one.test.dataset.number) - Number(other.test.dataset.number),
  };
  let sorted = "";
  const order = () => {
    if (sorted === sort.value) return;
    sorted = sort.value;
    list.append(...[...known].sort(orders[sorted] ?? orders[""]).map((one) => one.test));
  };

  // Rows of the matrix: all, those that fail, or those that differ between two LANs.
  const filterRows = () => {
    if (!rowForm) return;
    const [one, other] = rowForm.elements.rows.value.split(" ");
    let count = 0;
    const rows = [...document.querySelectorAll(".matrix tr.rule")];
    for (const row of rows) {
      const word = (name) => row.querySelector(`.cell[data-lan="${CSS.escape(name)}"]`)?.dataset.word;
      const fits =
        !one ||
        (other ? RED.includes(word(one)) && word(other) === "passed" : row.classList.contains(one));
      row.hidden = !fits;
      count += fits;
    }
    rowForm.querySelector("output").value = one ? `${count} of ${rows.length} rules` : "";
  };

  const hint = (inside) => {
    for (const area of inside.querySelectorAll(".scroll")) {
      const before = area.previousElementSibling;
      if (before?.classList.contains("hint")) before.hidden = area.scrollWidth <= area.clientWidth;
    }
  };

  // Details are compressed until the first is looked at.
  let details;
  const unpacked = () =>
    (details ??= (async () => {
      const packed = document.getElementById("details").textContent.trim();
      const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
      return new Response(stream).json();
    })());
  const fill = async (opened) => {
    const inside = opened.querySelector(".inside");
    if (inside.childElementCount) return;
    inside.innerHTML = (await unpacked())[Number(opened.dataset.number)];
    hint(inside);
  };
  for (const opened of [...tests, ...document.querySelectorAll(".cause")]) {
    opened.addEventListener("toggle", () => opened.open && fill(opened));
    if (opened.open) fill(opened);
  }

  const restore = () => {
    const chosen = new URLSearchParams(location.hash.slice(1));
    for (const field of fields) field.value = chosen.get(field.name) ?? "";
    if (rowForm) rowForm.elements.rows.value = chosen.get("rows") ?? "";
    permalink = chosen.get("test") ?? "";
    order();
    filter();
    filterRows();
    const wanted = permalink && known.find((one) => one.id === permalink);
    if (wanted) {
      wanted.test.hidden = false;
      wanted.test.open = true;
      wanted.test.scrollIntoView();
      wanted.test.querySelector("summary").focus({ preventScroll: true });
    }
  };

  form.addEventListener("input", () => {
    permalink = "";
    order();
    filter();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () =>
    setTimeout(() => {
      permalink = "";
      order();
      filter();
    }),
  );
  rowForm?.addEventListener("submit", (event) => event.preventDefault());
  rowForm?.addEventListener("input", () => {
    filterRows();
    save();
  });
  addEventListener("hashchange", restore);
  for (const cell of cells) {
    cell.addEventListener("click", () => {
      const again = cell.getAttribute("aria-pressed") === "true";
      [text.value, outcome.value, group.value] = ["", "", ""];
      rule.value = again ? "" : cell.dataset.rule;
      lan.value = again ? "" : cell.dataset.lan;
      permalink = "";
      filter();
      if (!again) document.getElementById("tests").scrollIntoView();
    });
  }
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, select, textarea")) {
      event.preventDefault();
      text.focus();
    }
  });

  const copy = async (button) => {
    const place = button.closest(".inside");
    const bug = "bug" in button.dataset;
    const source = bug ? place.querySelector(".bug") : button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(bug ? source.value : source.textContent);
      button.textContent = "Copied";
    } catch {
      source.hidden = false;
      if (bug) source.select();
      else getSelection().selectAllChildren(source);
      button.textContent = "Selected";
    }
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-jump]");
    if (link) {
      // The address keeps the filters; where it leads is said beside it.
      event.preventDefault();
      const target = document.getElementById(link.dataset.jump);
      if (link.hash.includes("=")) {
        history.replaceState(null, "", link.hash);
        restore();
      }
      target.scrollIntoView();
      target.focus({ preventScroll: true });
    }
    if (event.target.matches("button.copy")) copy(event.target);
  });

  restore();
  hint(document);
  addEventListener("resize", () => hint(document));
  document.documentElement.dataset.ready = "yes";
})();
