//! `openelm chat`: a conversation in the terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use openelm::hub::TokenizerNeed;
use openelm::text::{Role, Turn};
use openelm::trace::TraceMode;
use openelm::{Error, Finish, GenerateOptions, Model, Session};

use super::args::Chat;
use super::command::{Command, Line};
use super::conversation::Conversation;
use super::generate::{cancel_on_ctrl_c, print_speed, stream};
use super::lines::{Input, Lines};
use super::output::{self, TraceFile};

const HELP: &str = "/again: another answer. /undo: take the last question back. /new: begin anew. /save FILE: keep the conversation there from now \
     on. /load FILE: go on with another. /quit: end (or Ctrl-D). Ctrl-C stops an answer.";

pub fn run(arguments: &Chat) -> Result<()> {
    // All that can be a mistake first: loading takes long.
    let files = arguments.model.open_with(TokenizerNeed::Needed)?;
    files.require_tokenizer()?;
    let mut chat = Conversation::begin(arguments, &files)?;
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(arguments.max_tokens);
    options.sampling = arguments.sampling.over(files.sampling_defaults());
    options.sampling.check()?;
    options.stop.clone_from(&arguments.stop);
    options.stop.extend_from_slice(chat.template.stop());
    let own = files.generation_config();
    options.stop_strings.clone_from(&own.stop_strings);
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
    let done = talk(&model, &mut session, &mut chat, options, &cancel);
    // What was traced before something went wrong is worth keeping.
    if let Some(trace) = trace {
        trace.write(&session.take_trace(), &model)?;
    }
    done.and(chat.finish())
}

fn talk(
    model: &Model,
    session: &mut Session,
    chat: &mut Conversation,
    mut options: GenerateOptions,
    cancel: &AtomicBool,
) -> Result<()> {
    let mut lines = Lines::new()?;
    if lines.is_typed() {
        output::note(HELP);
    }
    loop {
        let line = match lines.next()? {
            Input::Text(line) => line,
            Input::Refused(why) => {
                output::note(&format!("openelm: {why}; it was not sent"));
                continue;
            }
            Input::End => return Ok(()),
        };
        let before = chat.said.turns.clone();
        match Line::parse(&line) {
            Line::Nothing => continue,
            Line::Command(Command::Quit) => return Ok(()),
            Line::Command(Command::Again) => {
                if chat.said.turns.pop().is_none() {
                    continue;
                }
            }
            Line::Command(command) => {
                obey(chat, &command);
                continue;
            }
            Line::Nearly(meant) => {
                output::note(&format!(
                    "openelm: not sent: is that {meant}? A space before it sends it as it is"
                ));
                continue;
            }
            Line::Question(question) => chat.said.turns.push(Turn::new(Role::User, question)),
        }
        cancel.store(false, Ordering::Relaxed);
        let done = take_turn(model, session, chat, before, &options);
        // Another answer is to be another one.
        options.sampling.seed = options.sampling.seed.wrapping_add(1);
        done?;
    }
}

/// Does what needs no model. What goes wrong is told, and the conversation goes on.
fn obey(chat: &mut Conversation, command: &Command<'_>) {
    let done = match command {
        Command::Undo => {
            let kept = chat.said.turns.len().saturating_sub(2);
            chat.said.turns.truncate(kept);
            chat.save();
            Ok(())
        }
        Command::New => {
            if let Some(file) = chat.file.take() {
                output::note(&format!(
                    "[a new conversation, in no file yet; the other is in {}]",
                    file.path().display()
                ));
            }
            chat.said.turns.clear();
            Ok(())
        }
        Command::Save(Some(path)) => chat.save_to(path),
        Command::Load(Some(path)) if !chat.would_be_lost() => chat.load(path),
        Command::Load(Some(_)) => {
            output::note(
                "openelm: not loaded: what was said is in no file; /save FILE keeps it, /new drops it",
            );
            Ok(())
        }
        Command::Save(None) | Command::Load(None) => {
            output::note("openelm: /save and /load need the name of a file");
            Ok(())
        }
        _ => {
            output::note(HELP);
            Ok(())
        }
    };
    if let Err(error) = done {
        output::note(&format!("openelm: {error:#}"));
    }
}

/// Has the last question answered, and saves the answer. If nothing comes of it, the turns are those `before` it was asked: the model would
/// take an empty answer for its own.
fn take_turn(
    model: &Model,
    session: &mut Session,
    chat: &mut Conversation,
    before: Vec<Turn>,
    options: &GenerateOptions,
) -> Result<()> {
    match answer(model, session, chat, options) {
        Ok(text) if text.is_empty() => {
            chat.said.turns = before;
            output::note("[no answer; the conversation is as it was before]");
        }
        Ok(text) => {
            chat.said.turns.push(Turn::new(Role::Assistant, text));
            chat.save();
        }
        // A question that is too long, or that the template refuses, is no reason to lose the conversation.
        Err(error) if error.downcast_ref().is_some_and(Error::is_of_prompt) => {
            chat.said.turns = before;
            output::note(&format!(
                "openelm: {error:#}; the question was not asked. /undo or /new make room"
            ));
        }
        Err(error) => {
            chat.said.turns = before;
            return Err(error);
        }
    }
    Ok(())
}

/// Streams the next answer; returns it.
fn answer(
    model: &Model,
    session: &mut Session,
    chat: &mut Conversation,
    options: &GenerateOptions,
) -> Result<String> {
    let tokenizer = model.require_tokenizer()?;
    let context_size = model.context_size();
    let fitted = chat
        .template
        .fit(&chat.turns(), tokenizer, context_size, options.max_tokens)?;
    if fitted.left_out > 0 && fitted.left_out != chat.left_out {
        output::note(&format!(
            "[the conversation is longer than the context of {context_size}: the model is given it without the oldest {} turns]",
            fitted.left_out
        ));
    }
    chat.left_out = fitted.left_out;
    if chat.shows_prompt {
        output::show_prompt(Some(tokenizer), &fitted.ids)?;
    }
    let mut generation = session.generate(&fitted.ids, options)?;
    let text = stream(model, &mut generation)?;
    print_speed(model, &generation, options.sampling.seed);
    if generation.finish() == Some(Finish::Context) {
        output::note(&format!(
            "[the answer has filled the context of {context_size} and ends here; the next question is answered without the oldest turns]"
        ));
    }
    output::notices(model);
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Transcript, TranscriptFile};
    use openelm::text::Template;

    fn chat(turns: &[&str]) -> Conversation {
        let roles = [Role::User, Role::Assistant].into_iter().cycle();
        let turns = turns
            .iter()
            .zip(roles)
            .map(|(text, role)| Turn::new(role, *text));
        Conversation {
            said: Transcript {
                turns: turns.collect(),
                ..Transcript::default()
            },
            template: Template::plain().into(),
            file: None,
            is_saved: true,
            left_out: 0,
            shows_prompt: false,
        }
    }

    /// Ctrl-C while the question is still being read, an answer without a word, a question that is too long: nothing of it stays.
    #[test]
    fn a_turn_without_an_answer_was_not_taken() {
        let model = Model::load("demo", &openelm::LoadOptions::default()).unwrap();
        let mut session = model.session().unwrap();
        let mut options = GenerateOptions::default();
        options.max_tokens = Some(4);
        let cancel = Arc::new(AtomicBool::new(false));
        options.cancel = Some(Arc::clone(&cancel));
        let mut chat = chat(&["The old king"]);
        let mut turn = |chat: &mut Conversation, before: &[Turn], options: &GenerateOptions| {
            take_turn(&model, &mut session, chat, before.to_vec(), options).unwrap();
        };
        let ask =
            |chat: &mut Conversation, text: &str| chat.said.turns.push(Turn::new(Role::User, text));
        turn(&mut chat, &[], &options);
        let said = chat.said.turns.clone();
        assert!(said.len() == 2 && !said[1].text.is_empty(), "{said:?}");

        // More than one step of it, and cancelled after the first.
        let long = "word ".repeat(200);
        cancel.store(true, Ordering::Relaxed);
        ask(&mut chat, &long);
        turn(&mut chat, &said, &options);
        assert_eq!(chat.said.turns, said);
        cancel.store(false, Ordering::Relaxed);
        // Another answer that does not come leaves the one that was there.
        let mut nothing = options.clone();
        nothing.max_tokens = Some(0);
        chat.said.turns.pop();
        turn(&mut chat, &said, &nothing);
        assert_eq!(chat.said.turns, said);
        ask(&mut chat, &long.repeat(5));
        turn(&mut chat, &said, &options);
        assert_eq!(chat.said.turns, said);

        ask(&mut chat, "And then?");
        turn(&mut chat, &said, &options);
        assert_eq!(chat.said.turns.len(), 4);
        assert!(chat.said.turns.iter().all(|turn| !turn.text.is_empty()));
    }

    #[test]
    fn no_command_loses_what_was_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (one, two) = (path("one.json"), path("two.json"));
        let mut chat = chat(&["Hi", "Hello"]);
        obey(&mut chat, &Command::Load(Some(&one)));
        assert_eq!(chat.said.turns.len(), 2);
        obey(&mut chat, &Command::Save(Some(&one)));
        // A new conversation is in no file, and the old one stays in its own.
        obey(&mut chat, &Command::New);
        assert!(chat.said.turns.is_empty() && chat.file.is_none());
        chat.said.turns = vec![
            Turn::new(Role::User, "And"),
            Turn::new(Role::Assistant, "then"),
        ];
        obey(&mut chat, &Command::Load(Some(&one)));
        assert_eq!(chat.said.turns[0].text, "And", "it is in no file");
        obey(&mut chat, &Command::Save(Some(&one)));
        assert_eq!(
            TranscriptFile::open(&one).unwrap().1.turns[0].text,
            "Hi",
            "nothing is written over"
        );
        obey(&mut chat, &Command::Save(Some(&two)));
        obey(&mut chat, &Command::Load(Some(&one)));
        assert_eq!(chat.said.turns[0].text, "Hi");
        obey(&mut chat, &Command::Undo);
        assert!(TranscriptFile::open(&one).unwrap().1.turns.is_empty());
        assert_eq!(TranscriptFile::open(&two).unwrap().1.turns[0].text, "And");
        // A broken file changes nothing.
        std::fs::write(&one, "{").unwrap();
        obey(&mut chat, &Command::Load(Some(&two)));
        obey(&mut chat, &Command::Load(Some(&one)));
        assert_eq!(chat.said.turns[0].text, "And");
    }
}
