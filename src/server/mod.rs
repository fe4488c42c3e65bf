//! OpenAI's API over HTTP, for one model.

mod event;
