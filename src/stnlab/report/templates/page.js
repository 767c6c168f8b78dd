// Tables that can be sorted and filtered. Without this script they are all there, as they are.
const number = (text) => {
  const found = text.replaceAll("−", "-").match(/^(?:<\s*)?([-+]?\d+(?:\.\d+)?)/);
  return found ? Number(found[1]) : NaN;
};

for (const holder of document.querySelectorAll(".table")) {
  const table = holder.firstElementChild;
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  if (!body || body.rows.length < 2) continue;
  const rows = [...body.rows];
  const bar = document.createElement("div");
  bar.className = "bar";
  const choice = bar.appendChild(document.createElement("select"));
  choice.ariaLabel = "sort the table by";
  choice.add(new Option("in its own order", ""));

  const sort = (column, down) => {
    const text = (row) => row.cells[column].textContent.trim();
    const compare = (one, other) => {
      const [a, b] = [number(text(one)), number(text(other))];
      if (isNaN(a) !== isNaN(b)) return isNaN(a) ? 1 : -1; // what has no number comes last
      const found = isNaN(a) ? text(one).localeCompare(text(other)) : a - b;
      return down ? -found : found;
    };
    body.append(...(column === null ? rows : [...rows].sort(compare)));
    heads.forEach((head, place) => {
      if (place === column) head.ariaSort = down ? "descending" : "ascending";
      else head.removeAttribute("aria-sort");
    });
    choice.value = column === null ? "" : `${column} ${down}`;
  };

  heads.forEach((head, place) => {
    const words = head.textContent.trim();
    const name = words || "row";
    const button = document.createElement("button");
    button.append(...head.childNodes);
    if (!words) button.ariaLabel = name;
    button.onclick = () => {
      if (head.ariaSort === "ascending") sort(place, true);
      else if (head.ariaSort === "descending") sort(null);
      else sort(place, false);
    };
    head.append(button);
    choice.add(new Option(`${name}, upwards`, `${place} false`));
    choice.add(new Option(`${name}, downwards`, `${place} true`));
  });
  choice.onchange = () => {
    const [place, down] = choice.value.split(" ");
    sort(place === "" ? null : Number(place), down === "true");
  };

  if (rows.length > 3) {
    const filter = bar.insertBefore(document.createElement("input"), choice);
    filter.type = "search";
    filter.placeholder = filter.ariaLabel = "show rows with …";
    filter.oninput = () => {
      const words = filter.value.toLowerCase().split(/\s+/);
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
    };
  }
  holder.before(bar);
}

if (innerWidth <= 700) document.querySelector("nav details").open = false;
