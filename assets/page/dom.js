// Elements. Text only ever becomes text nodes; no HTML is put together anywhere.

export const find = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export const make = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);

export const draw = (name, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

export function button(text, title, press) {
  const made = make("button", { type: "button", class: "plain", title }, text);
  made.addEventListener("click", press);
  return made;
}

export const isChosen = (name) => document.querySelector(`input[name=${name}]:checked`)?.value;
