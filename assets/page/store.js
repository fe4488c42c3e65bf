// What is kept: settings for this browser; the conversation and the key for this tab only.

function read(storage, name, otherwise) {
  try {
    return JSON.parse(storage.getItem(name)) ?? otherwise;
  } catch {
    return otherwise; // Storage may be forbidden, and what is in it may be anything.
  }
}

function write(storage, name, value) {
  try {
    storage.setItem(name, JSON.stringify(value));
  } catch {
    // Full or forbidden: the page works, but forgets.
  }
}

// Reading `sessionStorage` alone throws where a browser forbids it.
function storage(kind) {
  try {
    return globalThis[kind];
  } catch {
    return undefined;
  }
}

const tab = storage("sessionStorage");
const browser = storage("localStorage");

const isTurn = (turn) => turn && (turn.role === "user" || turn.role === "assistant") && typeof turn.text === "string";

export const loadTurns = () => {
  const turns = read(tab, "openelm.turns", []);
  return Array.isArray(turns) ? turns.filter(isTurn) : [];
};
export const saveTurns = (turns) => write(tab, "openelm.turns", turns);

export const loadKey = () => String(read(tab, "openelm.key", ""));
export const saveKey = (key) => write(tab, "openelm.key", key);

export const loadSettings = () => ({ ...Object(read(browser, "openelm.settings", {})) });
export const saveSettings = (settings) => write(browser, "openelm.settings", settings);
