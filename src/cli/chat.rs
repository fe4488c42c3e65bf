//! `openelm chat`: a conversation in the terminal.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use openelm::hub::TokenizerNeed;
use openelm::text::{Role, Template, Turn, is_instruct};
use openelm::trace::TraceMode;
use openelm::{GenerateOptions, Model, Session};
use rustyline::error::ReadlineError;

use super::args::{Chat, TemplateChoice};
use super::generate::{cancel_on_ctrl_c, print_speed, stream};
use super::output::{self, TraceFile};

const HELP: &str = "/again: another answer. /undo: take the last question back. /new: begin anew. /quit: end (or Ctrl-D). Ctrl-C stops an answer.";

pub fn run(arguments: &Chat) -> Result<()> {
    // All that can be a mistake first: loading takes long.
    let files = arguments.model.open_with(TokenizerNeed::Needed)?;
    files.require_tokenizer()?;
    let template = template(arguments);
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(arguments.max_tokens);
    options.sampling = arguments.sampling.over(&files);
    options.sampling.check()?;
    options.stop.clone_from(&arguments.stop);
    options.stop.extend(template.stop.iter().cloned());
    let trace = arguments
        .trace
        .as_deref()
        .map(TraceFile::open)
        .transpose()?;
    let model = arguments.model.load(files)?;
    let cancel = cancel_on_ctrl_c();
    options.cancel = Some(Arc::clone(&cancel));
    let mut session = model.session()?;
    if trace.is_some() {
        session.set_trace(TraceMode::Kernels);
    }
    let mut chat = Conversation {
        system: arguments.system.clone(),
        template,
        turns: Vec::new(),
    };
    let done = talk(&model, &mut session, &mut chat, options, &cancel);
    // What was traced before something went wrong is worth keeping.
    if let Some(trace) = trace {
        trace.write(&session.take_trace(), &model)?;
    }
    done
}

fn template(arguments: &Chat) -> Template {
    // The folder's own name, wherever it lies.
    let path = std::path::absolute(&arguments.model.model).unwrap_or_default();
    match arguments.template {
        Some(TemplateChoice::Instruct) => Template::instruct(),
        Some(TemplateChoice::Questions) => Template::questions(),
        Some(TemplateChoice::Plain) => Template::plain(),
        None if is_instruct(&path) => Template::instruct(),
        None => Template::plain(),
    }
}

/// What was said, questions and answers in turn.
struct Conversation {
    system: Option<String>,
    template: Template,
    turns: Vec<String>,
}

impl Conversation {
    /// The text that the model is to continue.
    fn prompt(&self) -> String {
        let system = self.system.iter().map(|text| Turn {
            role: Role::System,
            text,
        });
        let said = self.turns.iter().enumerate().map(|(i, text)| Turn {
            role: match i % 2 {
                0 => Role::User,
                _ => Role::Assistant,
            },
            text,
        });
        let turns: Vec<Turn<'_>> = system.chain(said).collect();
        self.template.render(&turns)
    }
}

fn talk(
    model: &Model,
    session: &mut Session,
    chat: &mut Conversation,
    mut options: GenerateOptions,
    cancel: &AtomicBool,
) -> Result<()> {
    let mut lines = Lines::new()?;
    lines.note(HELP);
    while let Some(line) = lines.next()? {
        let before = chat.turns.clone();
        match line.trim() {
            "" => continue,
            "/quit" | "/exit" => break,
            "/new" => {
                chat.turns.clear();
                continue;
            }
            "/undo" => {
                let kept = chat.turns.len().saturating_sub(2);
                chat.turns.truncate(kept);
                continue;
            }
            "/again" if chat.turns.is_empty() => continue,
            "/again" => {
                chat.turns.pop();
            }
            command if command.starts_with('/') => {
                output::note(HELP);
                continue;
            }
            question => chat.turns.push(question.to_owned()),
        }
        cancel.store(false, Ordering::Relaxed);
        let done = take_turn(model, session, chat, before, &options);
        // Another answer is to be another one.
        options.sampling.seed = options.sampling.seed.wrapping_add(1);
        done?;
    }
    Ok(())
}

/// Has the last question answered. If nothing comes of it, the turns are those `before` it was asked: the model would take an empty
/// answer for its own.
fn take_turn(
    model: &Model,
    session: &mut Session,
    chat: &mut Conversation,
    before: Vec<String>,
    options: &GenerateOptions,
) -> Result<()> {
    match answer(model, session, chat, options) {
        Ok(text) if text.is_empty() => {
            chat.turns = before;
            output::note("[no answer; the conversation is as it was before]");
        }
        Ok(text) => chat.turns.push(text),
        // A conversation that has grown too long is no reason to lose it.
        Err(error)
            if error
                .downcast_ref::<openelm::Error>()
                .is_some_and(openelm::Error::is_of_prompt) =>
        {
            chat.turns = before;
            output::note(&format!("openelm: {error:#}; /undo or /new make room"));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Streams the next answer; returns it.
fn answer(
    model: &Model,
    session: &mut Session,
    chat: &Conversation,
    options: &GenerateOptions,
) -> Result<String> {
    let ids = model.encode(&chat.prompt())?;
    let mut generation = session.generate(&ids, options)?;
    let text = stream(model, &mut generation)?;
    print_speed(model, &generation, options.sampling.seed);
    output::notices(model);
    Ok(text.trim().to_owned())
}

/// Lines that a person types, or that a pipe brings.
enum Lines {
    Typed(Box<rustyline::DefaultEditor>),
    Piped(std::io::Lines<std::io::StdinLock<'static>>),
}

impl Lines {
    fn new() -> Result<Self> {
        Ok(match std::io::stdin().is_terminal() {
            true => Self::Typed(Box::new(rustyline::DefaultEditor::new()?)),
            false => Self::Piped(std::io::stdin().lines()),
        })
    }

    /// Tells a person, not a script.
    fn note(&self, text: &str) {
        if matches!(self, Self::Typed(_)) {
            output::note(text);
        }
    }

    fn next(&mut self) -> Result<Option<String>> {
        match self {
            Self::Piped(lines) => Ok(lines.next().transpose()?),
            Self::Typed(editor) => match editor.readline("> ") {
                Ok(line) => {
                    editor.add_history_entry(&line)?;
                    Ok(Some(line))
                }
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
                Err(error) => Err(error.into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ctrl-C while the question is still being read, an answer without a word, a question that is too long: nothing of it stays.
    #[test]
    fn a_turn_without_an_answer_was_not_taken() {
        let model = Model::load("demo", &openelm::LoadOptions::default()).unwrap();
        let mut session = model.session().unwrap();
        let mut options = GenerateOptions::default();
        options.max_tokens = Some(4);
        let cancel = Arc::new(AtomicBool::new(false));
        options.cancel = Some(Arc::clone(&cancel));
        let mut chat = Conversation {
            system: None,
            template: Template::plain(),
            turns: vec!["The old king".to_owned()],
        };
        let mut turn = |chat: &mut Conversation, before: &[String], options: &GenerateOptions| {
            take_turn(&model, &mut session, chat, before.to_vec(), options).unwrap();
        };
        turn(&mut chat, &[], &options);
        let said = chat.turns.clone();
        assert!(said.len() == 2 && !said[1].is_empty(), "{said:?}");

        // More than one step of it, and cancelled after the first.
        let long = "word ".repeat(200);
        cancel.store(true, Ordering::Relaxed);
        chat.turns.push(long.clone());
        turn(&mut chat, &said, &options);
        assert_eq!(chat.turns, said);
        cancel.store(false, Ordering::Relaxed);
        // Another answer that does not come leaves the one that was there.
        let mut nothing = options.clone();
        nothing.max_tokens = Some(0);
        chat.turns.pop();
        turn(&mut chat, &said, &nothing);
        assert_eq!(chat.turns, said);
        chat.turns.push(long.repeat(5));
        turn(&mut chat, &said, &options);
        assert_eq!(chat.turns, said);

        chat.turns.push("And then?".to_owned());
        turn(&mut chat, &said, &options);
        assert_eq!(chat.turns.len(), 4);
        assert!(chat.turns.iter().all(|text| !text.is_empty()));
    }
}
