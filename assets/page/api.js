// The server's API: requests with the key, errors as sentences, event streams.

import { loadKey, saveKey } from "./store.js";

let key = loadKey();

export function useKey(value) {
  key = value.trim();
  saveKey(key);
}

// What the server, or the way to it, answered instead of a result.
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function fail(response) {
  let message = "";
  try {
    message = (await response.json()).error.message;
  } catch {
    // Something between here and the server has answered.
  }
  const said = message || `${response.status} ${response.statusText}`.trim();
  throw new ApiError(`The server says: ${said}`, response.status);
}

async function ask(path, options) {
  const headers = { ...options.headers };
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError" || error.name === "TimeoutError") throw error;
    throw new ApiError("The server does not answer. Is openelm still running?", 0);
  }
  if (!response.ok) await fail(response);
  return response;
}

export async function get(path) {
  const response = await ask(path, { signal: AbortSignal.timeout(10_000) });
  return response.json();
}

// Posts `body` and yields each event of the answer's stream as an object.
export async function* stream(path, body, signal) {
  const response = await ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  let rest = "";
  try {
    for await (const text of chunks(response.body.pipeThrough(new TextDecoderStream()))) {
      const lines = (rest + text).split(/\r?\n/);
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data:")) continue; // A comment that keeps the connection, or the end of an event.
        const data = line.slice(5).trim();
        if (data === "[DONE]") return;
        const event = JSON.parse(data);
        if (event.error) throw new ApiError(`The server says: ${event.error.message}`, 500);
        yield event;
      }
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof ApiError) throw error;
    throw new ApiError("The connection broke off.", 0);
  }
  throw new ApiError("The answer broke off before its end.", 0);
}

// Streams cannot be iterated in every browser.
async function* chunks(readable) {
  const reader = readable.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
