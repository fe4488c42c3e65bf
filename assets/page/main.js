// The page: what is typed and pressed goes to the chat, what the server does is shown beside it.

import { useKey } from "./api.js";
import { Chat, TEXT_TOKENS } from "./chat.js";
import { button, find, isChosen } from "./dom.js";
import { count } from "./format.js";
import { Live } from "./live.js";
import { loadSettings, saveSettings } from "./store.js";

const STARTERS = {
  chat: ["Tell me a story about a lighthouse.", "Explain to a child why the sky is blue.", "Write a short letter to an old friend."],
  text: ["Once upon a time there was", "The old clockmaker opened the door and", "Deep in the forest, where nobody went,"],
};

const settings = loadSettings();
const fields = [...document.querySelectorAll("[data-setting]")];
const input = find("input");
let model = null;
let mode = "text";

// What is sent of the settings: numbers that were given. Others are the server's.
function chosen() {
  const given = { mode };
  for (const field of fields) {
    const name = field.dataset.setting;
    if (field.value.trim() === "" || (name === "system" && mode !== "chat")) continue;
    given[name] = field.type === "number" ? field.valueAsNumber : field.value;
  }
  return given;
}

const chat = new Chat({ settings: chosen, onKeyWanted: wantKey, onChange: refresh });
const live = new Live({ onModel: meet, onKeyWanted: wantKey });

function wantKey() {
  if (!find("key-form").hidden) return;
  find("key-form").hidden = false;
  find("key").focus();
}

// The first answer tells which model it is, and so what can be asked of it.
function meet(card) {
  const isNew = card.name !== model?.name || card.has_chat_template !== model?.has_chat_template;
  model = card;
  if (!isNew) return;
  chat.model = card.name;
  document.title = `${card.name} · openelm`;
  find("model-name").textContent = card.name;
  find("model-facts").textContent = `${card.dtype} · ${card.layers.length} layers · ${count(card.context_size)} tokens of context · ${card.adapter}`;
  const radios = Object.fromEntries([...document.querySelectorAll("input[name=mode]")].map((radio) => [radio.value, radio]));
  radios.chat.disabled = !card.has_chat_template;
  find("mode-why").textContent = card.has_chat_template ? "" : "A base model: it has no template for chats.";
  const { temperature, top_p, top_k } = card.defaults;
  const shown = { temperature, top_p, top_k };
  for (const field of fields) {
    const value = shown[field.dataset.setting];
    if (value !== undefined) field.placeholder = Number(value.toPrecision(4));
  }
  setMode(card.has_chat_template && settings.mode !== "text" ? "chat" : "text");
  radios[mode].checked = true;
}

function setMode(value) {
  mode = value;
  const isChat = mode === "chat";
  find("empty-title").textContent = isChat ? "What would you like to know?" : "Begin a text, and the model goes on.";
  find("empty-text").textContent = isChat
    ? "Answers come word by word; beside them is what each layer of the model costs."
    : "Write a first sentence, or take one of these. What you add later goes on where the text ends.";
  find("starters").replaceChildren(...STARTERS[mode].map((text) => button(text, "Begin with this", () => chat.send(text))));
  find("system-row").hidden = !isChat;
  fields.find((field) => field.dataset.setting === "max_tokens").placeholder = isChat ? "no limit" : TEXT_TOKENS;
  input.setAttribute("aria-label", isChat ? "Message" : "Text to go on with");
  input.placeholder = isChat ? "Write a message" : "Write how it begins, or goes on";
  chat.show();
  refresh();
}

function refresh() {
  const isWriting = chat.isWriting;
  find("send").hidden = isWriting;
  find("stop").hidden = !isWriting;
  find("send").textContent = mode === "chat" ? "Send" : "Continue";
  const goOn = mode === "text" && chat.turns.length > 0 ? " with nothing written: the text goes on." : " sends, Shift+Enter begins a line.";
  find("hint").textContent = isWriting ? "Escape stops." : `Enter${goOn}`;
  document.body.classList.toggle("writing", isWriting);
}

// The field is as high as its text, up to a third of the window.
function grow() {
  input.style.height = "auto";
  input.style.height = `${Math.min(input.scrollHeight + 2, innerHeight / 3)}px`;
}

function send() {
  if (chat.isWriting || !find("composer").reportValidity()) return;
  const typed = input.value;
  if (mode === "chat" && typed.trim() === "") return;
  input.value = "";
  grow();
  chat.send(typed);
}

function toggle(panel, by) {
  chat.stay(() => (find(panel).hidden = !find(panel).hidden));
  find(by).setAttribute("aria-expanded", !find(panel).hidden);
}

function toggleLive() {
  toggle("live", "live-toggle");
  settings.hidesLive = find("live").hidden;
  saveSettings(settings);
  if (!settings.hidesLive) live.start();
}

function begin() {
  chat.clear();
  refresh();
  input.focus();
}

const KEYS = {
  KeyN: begin,
  KeyL: toggleLive,
  KeyS: () => toggle("settings", "settings-toggle"),
  KeyR: () => chat.regenerate(),
};

find("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
find("stop").addEventListener("click", () => chat.stop());
find("new").addEventListener("click", begin);
find("live-toggle").addEventListener("click", toggleLive);
find("settings-toggle").addEventListener("click", KEYS.KeyS);
find("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(find("key").value);
  find("key").value = "";
  find("key-form").hidden = true;
  chat.complain("");
  live.start();
  input.focus();
});
find("mode").addEventListener("change", () => {
  settings.mode = isChosen("mode");
  saveSettings(settings);
  setMode(settings.mode);
});
input.addEventListener("input", grow);
input.addEventListener("keydown", (event) => {
  // Enter that ends a composition of characters is not for us.
  if (event.isComposing) return;
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    send();
  } else if (event.key === "ArrowUp" && input.value === "" && chat.lastOfPerson) {
    event.preventDefault();
    input.value = chat.lastOfPerson.trimStart();
    grow();
  }
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chat.isWriting) {
    chat.stop();
  } else if (event.altKey && !event.ctrlKey && !event.metaKey && KEYS[event.code]) {
    event.preventDefault();
    KEYS[event.code]();
  }
});
for (const field of fields) {
  field.value = settings[field.dataset.setting] ?? "";
  field.addEventListener("input", () => {
    settings[field.dataset.setting] = field.value;
    saveSettings(settings);
  });
}
addEventListener("beforeunload", () => chat.keep());

if (settings.hidesLive ?? innerWidth < 900) {
  find("live").hidden = true;
  find("live-toggle").setAttribute("aria-expanded", "false");
}
setMode(mode);
live.start();
input.focus();
