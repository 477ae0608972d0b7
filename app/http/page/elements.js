// Small parts of the page.

/** Return the element with an id. */
export const find = (id) => document.getElementById(id);

/** Return a new element with properties and children. */
export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [property, value] of Object.entries(properties)) {
    if (property in element) element[property] = value;
    else element.setAttribute(property, value);
  }
  element.append(...children);
  return element;
}

const whole = new Intl.NumberFormat("en");

/** Return a whole number with separators. */
export const count = (number) => whole.format(number);

/** Return a number of things. */
export const several = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** Return a probability as per cent; only 0 and 1 themselves are shown as 0 % and 100 %. */
export function percent(share) {
  if (share === 0 || share === 1) return `${100 * share} %`;
  const digits = share > 0.999 || share < 0.001 ? 2 : 1;
  const shown = (100 * share).toFixed(digits);
  if (Number(shown) === 100) return "> 99.99 %";
  if (Number(shown) === 0) return "< 0.01 %";
  return `${shown} %`;
}

/** Return milliseconds as text. */
export const milliseconds = (time) => `${time < 10 ? time.toFixed(1) : Math.round(time)} ms`;

/** Return a text that starts with a capital. */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** Fill a select with models, and keep what was chosen if it is still there. */
export function fill(select, choices, first = []) {
  const chosen = select.value;
  const options = choices.map((choice) => make("option", { value: choice.id, textContent: choice.title }));
  select.replaceChildren(...first.map((title) => make("option", { value: "", textContent: title })), ...options);
  if ([...select.options].some((option) => option.value === chosen)) select.value = chosen;
  select.disabled = select.options.length < 2;
}

/** Return a function that calls another one once it has not been called for a time. */
export function debounce(action, delay) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, delay);
  };
}
