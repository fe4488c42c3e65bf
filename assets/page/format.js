// Numbers as people read them.

export const count = (number) => Math.round(number).toLocaleString("en");

export function rate(number) {
  return number >= 99.5 || number === 0 ? count(number) : number.toFixed(1);
}

export const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

export function time(nanoseconds) {
  const us = nanoseconds / 1e3;
  if (us >= 1e6) return `${(us / 1e6).toPrecision(3)} s`;
  if (us >= 1e3) return `${(us / 1e3).toPrecision(3)} ms`;
  return `${us >= 99.5 ? Math.round(us) : us.toPrecision(2)} µs`;
}

export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = number < 1 ? 0 : Math.min(Math.floor(Math.log10(number) / 3), units.length - 1);
  return `${(number / 1000 ** power).toPrecision(3)} ${units[power]}`;
}

export const ago = (seconds) => (seconds < 1.5 ? "just now" : seconds < 90 ? `${Math.round(seconds)} s ago` : `${Math.round(seconds / 60)} min ago`);
