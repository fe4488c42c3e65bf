// Says what a cell of the heat map is, and sorts the kernel table. The page says everything without it.
"use strict";
const time = (us) => (us < 1000 ? us.toFixed(1) + " µs" : (us / 1000).toFixed(2) + " ms");
for (const map of document.querySelectorAll(".heat")) {
  const { rows, columns, values } = JSON.parse(map.querySelector("script").textContent);
  const [cells, note] = [map.querySelector("svg"), map.querySelector("output")];
  const hint = "Point at a cell to read it.";
  note.textContent = hint;
  cells.addEventListener("pointerleave", () => (note.textContent = hint));
  cells.addEventListener("pointermove", (event) => {
    const area = cells.getBoundingClientRect();
    const at = (share, count) => Math.min(Math.max(Math.floor(share * count), 0), count - 1);
    const x = at((event.clientX - area.left) / area.width, columns.length);
    const y = at((event.clientY - area.top) / area.height, rows.length);
    const [first, last] = columns[x];
    const value = values[y * columns.length + x];
    const step = first === last ? `step ${first}` : `steps ${first} to ${last}`;
    const layer = rows[y] === null ? "outside the layers" : `layer ${rows[y]}`;
    note.textContent = `${step}, ${layer}: ${value === null ? "nothing" : time(value) + " a token"}`;
  });
}
for (const table of document.querySelectorAll(".kernels")) {
  const body = table.tBodies[0];
  const key = (row, at) => {
    const cell = row.cells[at];
    const text = cell.dataset.sort ?? cell.textContent;
    const number = parseFloat(text.replace("<", ""));
    return Number.isNaN(number) ? text : number;
  };
  [...table.tHead.rows[0].cells].forEach((head, at) => {
    let sign = -1;
    head.dataset.sorts = "";
    head.title = "Sort by this";
    head.tabIndex = 0;
    head.addEventListener("keydown", (event) => event.key === "Enter" && head.click());
    head.addEventListener("click", () => {
      const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
      const rows = [...body.rows].sort((a, b) => sign * order(key(a, at), key(b, at)));
      sign = -sign;
      body.append(...rows);
    });
  });
}
