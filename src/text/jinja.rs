//! Chat templates in Jinja, as Hugging Face's `transformers` runs them: the same settings, functions and variables. A template is a program
//! of somebody else's, so what it may do is bounded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{ObjectRepr, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{AutoEscape, Environment, ErrorKind, State, context};

use super::jinja_filters::{self, Run, by_name};
use super::jinja_source::as_jinja2_reads;
use super::python_json::MOST_TEXT;
use super::python_strings;
use super::turn::Turn;
use crate::error::{Error, Result};
use crate::threads;

/// What a template may do: an instruction is one, and so are 64 bytes that it makes or reads.
const FUEL: u64 = 500_000;

/// The longest template, in bytes: those of large models have twenty thousand.
const MOST_SOURCE: usize = 128 << 10;

/// How deep its blocks and calls may be nested.
const MOST_DEPTH: usize = 100;

/// Enough for all that a template of that length, and with that much fuel, can nest.
const STACK: usize = 128 << 20;

/// How long it may take. Fuel ends nearly everything long before.
const PATIENCE: Duration = Duration::from_secs(10);

/// Its own name in the environment.
const NAME: &str = "chat";

/// What the message of `raise_exception` begins with.
const REFUSED: &str = "the template refuses this conversation: ";

/// A chat template in Jinja. A handle: clones are the same template.
#[derive(Clone)]
pub struct Jinja(Arc<Inner>);

struct Inner {
    path: PathBuf,
    source: String,
    environment: Environment<'static>,
    tokens: BTreeMap<String, String>,
    /// Whether it has once not come to an end.
    hangs: AtomicBool,
}

impl std::fmt::Debug for Jinja {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Another one of the same file is another one.
        write!(f, "{:?} {:p}", self.0.path, self.0)
    }
}

impl Jinja {
    /// Compiles `source`, which came from `path`. `tokens` are variables that spell special tokens: `bos_token`, `eos_token`.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`] with the line that is wrong.
    pub fn new(path: &Path, source: &str, tokens: &BTreeMap<String, String>) -> Result<Self> {
        let mut template = Inner {
            path: path.to_owned(),
            source: source.to_owned(),
            environment: Environment::empty(),
            tokens: tokens.clone(),
            hangs: AtomicBool::new(false),
        };
        if source.len() > MOST_SOURCE {
            let most = MOST_SOURCE >> 10;
            let what = format!("has more than {most} KiB, which no chat template needs");
            return Err(template.error(None, what));
        }
        let source = as_jinja2_reads(source);
        let compiled = apart(move || {
            let mut environment = environment();
            environment
                .add_template_owned(NAME, source)
                .map(|()| environment)
        })?;
        match compiled {
            Some(Ok(environment)) => {
                template.environment = environment;
                Ok(Self(Arc::new(template)))
            }
            Some(Err(error)) => Err(template.failed(&error)),
            None => Err(template.too_slow()),
        }
    }

    /// Where it came from.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The text of a conversation, up to where the assistant's next turn begins.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`] if the template raises an exception, fails, or does too much.
    pub(super) fn render(&self, turns: &[Turn]) -> Result<String> {
        let template = &self.0;
        if template.hangs.load(Ordering::Relaxed) {
            return Err(template.too_slow());
        }
        let (renderer, turns) = (Arc::clone(template), turns.to_vec());
        let Some(text) = apart(move || renderer.render(&turns))? else {
            // A thread cannot be ended. One of them is enough.
            template.hangs.store(true, Ordering::Relaxed);
            return Err(template.too_slow());
        };
        let text = text.map_err(|error| template.failed(&error))?;
        match text.len() > MOST_TEXT {
            true => Err(template.error(
                None,
                format!("makes more than {} MiB of text", MOST_TEXT >> 20),
            )),
            false => Ok(text),
        }
    }
}

impl Inner {
    fn render(&self, turns: &[Turn]) -> Run<String> {
        let messages: Vec<Value> = turns
            .iter()
            .map(|turn| context! { role => turn.role.name(), content => turn.text.as_str() })
            .collect();
        self.environment.get_template(NAME)?.render(context! {
            messages,
            add_generation_prompt => true,
            tools => (),
            documents => (),
            ..Value::from_pairs(self.tokens.iter().map(|(name, token)| (name.as_str(), token.as_str())))
        })
    }

    fn failed(&self, error: &minijinja::Error) -> Error {
        let detail = error.detail().unwrap_or_default();
        let what = match error.kind() {
            ErrorKind::OutOfFuel => {
                "does too much: it loops for too long, or makes too much text".to_owned()
            }
            _ if detail.starts_with(REFUSED) => detail.to_owned(),
            kind if detail.is_empty() => kind.to_string(),
            kind => format!("{kind}: {detail}"),
        };
        self.error(error.line(), what)
    }

    fn too_slow(&self) -> Error {
        self.error(
            None,
            format!("does not come to an end within {} s", PATIENCE.as_secs()),
        )
    }

    fn error(&self, line: Option<usize>, what: String) -> Error {
        // Of a message that somebody else wrote, as much as can be read, and nothing that a terminal would obey.
        let readable = what.chars().filter(|c| !c.is_control() || *c == '\n');
        Error::ChatTemplate {
            path: self.path.clone(),
            line,
            what: readable.take(600).collect(),
        }
    }
}

/// Runs something of a template's in a thread with a stack of its own. `None` if it does not come to an end.
fn apart<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Result<Option<T>> {
    if !threads::EXIST {
        return Ok(Some(run()));
    }
    let (outbox, inbox) = channel();
    let thread = std::thread::Builder::new()
        .name("template".into())
        .stack_size(STACK);
    let work = move || {
        // Nobody waits any more: then it came too late.
        let _ = outbox.send(run());
    };
    thread.spawn(work).map_err(Error::Thread)?;
    match inbox.recv_timeout(PATIENCE) {
        Ok(done) => Ok(Some(done)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => {
            Err(Error::Bug("a chat template stopped its thread".into()))
        }
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    // Only delimiters that contradict each other are refused.
    if let Ok(syntax) = syntax.trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_unknown_method_callback(python_strings::unknown_method);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(MOST_DEPTH);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    environment.add_function("cycler", |items: Rest<Value>| {
        minijinja_contrib::globals::cycler(items.to_vec())
    });
    jinja_filters::add(&mut environment);
    // None cannot be iterated over, texts, mappings and slices are sequences, and functions are objects, as in Python.
    environment.add_test("iterable", |value: &Value| {
        !value.is_none() && value.try_iter().is_ok()
    });
    environment.add_test("sequence", |value: &Value| {
        use ValueKind::{Iterable, Map, Seq, String, Undefined};
        matches!(value.kind(), Undefined | String | Map | Seq | Iterable)
    });
    environment.add_test("callable", |value: &Value| {
        let object = value.as_object();
        value.is_undefined() || object.is_some_and(|object| object.repr() == ObjectRepr::Plain)
    });
    environment
}

fn raise_exception(message: String) -> Run<Value> {
    Err(minijinja::Error::new(
        ErrorKind::InvalidOperation,
        format!("{REFUSED}{message}"),
    ))
}

/// The time in this machine's time zone, as Python writes one that does not know its zone.
fn strftime_now(state: &State<'_, '_>, arguments: Rest<ValueOrKwargs>) -> Run<String> {
    let arguments = by_name(&["format"], arguments)?;
    let format: String = arguments.get("format")?;
    arguments.assert_all_used()?;
    let now = jiff::ZonedDateTime::now();
    let (mut text, mut rest) = (String::new(), format.as_str());
    while let Some((before, behind)) = rest.split_once('%') {
        // A width is of 255 letters at most.
        state.consume_fuel(4)?;
        text += before;
        let options = behind.trim_start_matches([
            '-', '_', '^', '#', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
        ]);
        let mut chars = options.chars();
        let letter = chars.next();
        rest = chars.as_str();
        let directive = &behind[..behind.len() - rest.len()];
        let directive = format!("%{directive}");
        text += &match letter {
            Some('z' | 'Z') => String::new(),
            Some(letter) => of_time(&now, &directive, letter).unwrap_or(directive),
            None => directive,
        };
    }
    Ok(text + rest)
}

/// What a directive stands for, as in C where no language is chosen. `None` where it is none of C's or Python's.
fn of_time(now: &jiff::ZonedDateTime, directive: &str, letter: char) -> Option<String> {
    let directive = match letter {
        'c' => "%a %b %e %H:%M:%S %Y",
        'x' => "%m/%d/%y",
        'X' => "%H:%M:%S",
        'r' => "%I:%M:%S %p",
        'f' => "%6f",
        letter if "aAbBCdDeFgGhHIjklmMnpPRsStTuUVwWyY%".contains(letter) => directive,
        _ => return None,
    };
    jiff::fmt::strtime::format(directive, now).ok()
}
