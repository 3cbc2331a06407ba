"use strict";
const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

function sort(table, place, descending) {
  const heads = [...table.tHead.rows[0].cells];
  const numeric = heads[place].classList.contains("number");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row, order) => ({ row, order, value: row.cells[place].dataset.value }));
  rows.sort((a, b) => {
    const found = numeric ? Number(a.value) - Number(b.value) : collator.compare(a.value, b.value);
    return (descending ? -found : found) || a.order - b.order;
  });
  body.append(...rows.map((one) => one.row));
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[place].setAttribute("aria-sort", descending ? "descending" : "ascending");
}

document.querySelectorAll("table.sortable").forEach((table) => {
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    head.querySelector("button").addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      sort(table, place, now ? now === "ascending" : head.classList.contains("number"));
    });
  });
});
