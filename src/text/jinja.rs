//! Chat templates in Jinja, as Hugging Face's `transformers` runs them: the same settings, functions and variables. A template is a program
//! of somebody else's, so what it may do is bounded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ObjectRepr, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{AutoEscape, Environment, ErrorKind, State, context};
use serde::Serialize;
use serde_json::ser::Formatter;

use super::jinja_source::as_jinja2_reads;
use super::python_strings;
use super::turn::Turn;
use crate::error::{Error, Result};
use crate::threads;

/// What a template may do: an instruction is one, and so are 64 bytes that it makes or reads.
const FUEL: u64 = 500_000;

/// The longest text that it may make, in bytes. No context is that long.
const MOST_TEXT: usize = 4 << 20;

/// The longest template, in bytes: those of large models have twenty thousand.
const MOST_SOURCE: usize = 128 << 10;

/// How deep its blocks and calls may be nested.
const MOST_DEPTH: usize = 100;

/// Spaces that a level of JSON is indented by at most.
const MOST_INDENT: usize = 16;

/// Enough for all that a template of that length, and with that much fuel, can nest.
const STACK: usize = 128 << 20;

/// How long it may take. Fuel ends nearly everything long before.
const PATIENCE: Duration = Duration::from_secs(10);

/// What comes of running a part of a template.
type Run<T> = std::result::Result<T, minijinja::Error>;

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
    environment.add_filter("tojson", tojson);
    for name in ["default", "d"] {
        environment.add_filter(name, default);
    }
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("wordcount", |text: Cow<'_, str>| {
        text.split_whitespace().count()
    });
    environment.add_filter("sort", sort);
    environment.add_filter("dictsort", dictsort);
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

/// Splits arguments by place, each of which has one of `names`, from those by name, and gives all of them names.
fn by_name(names: &[&'static str], arguments: Rest<ValueOrKwargs>) -> Run<Kwargs> {
    let arguments = arguments.into_values();
    let (by_place, named) = match arguments.split_last() {
        Some((last, others)) if last.is_kwargs() => (others, Kwargs::try_from(last.clone())?),
        _ => (&arguments[..], Kwargs::from_iter::<[(&str, Value); 0]>([])),
    };
    if by_place.len() > names.len() {
        return Err(minijinja::Error::from(ErrorKind::TooManyArguments));
    }
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    for name in named.args() {
        all.insert(name.to_owned(), named.get(name)?);
    }
    for (name, value) in names.iter().zip(by_place) {
        all.insert((*name).to_owned(), value.clone());
    }
    Ok(all.into_iter().collect())
}

/// What is missing, and if so asked for what is nothing, is something else.
fn default(value: Value, arguments: Rest<ValueOrKwargs>) -> Run<Value> {
    let arguments = by_name(&["default_value", "boolean"], arguments)?;
    let other: Option<Value> = arguments.get("default_value")?;
    let boolean: Option<Value> = arguments.get("boolean")?;
    arguments.assert_all_used()?;
    let is_lax = boolean.is_some_and(|boolean| boolean.is_true());
    Ok(match value.is_undefined() || (is_lax && !value.is_true()) {
        true => other.unwrap_or_else(|| "".into()),
        false => value,
    })
}

fn int(state: &State<'_, '_>, value: &Value, arguments: Rest<ValueOrKwargs>) -> Run<Value> {
    let arguments = or_zero(&["default", "base"], arguments, 0.into())?;
    minijinja::filters::int(state, value, None, None, arguments)
}

fn float(state: &State<'_, '_>, value: &Value, arguments: Rest<ValueOrKwargs>) -> Run<Value> {
    let arguments = or_zero(&["default"], arguments, 0.0.into())?;
    minijinja::filters::float(state, value, None, arguments)
}

/// As [`by_name`], for what makes a number: of what is none it makes `zero`, unless another default is given.
fn or_zero(names: &[&'static str], arguments: Rest<ValueOrKwargs>, zero: Value) -> Run<Kwargs> {
    let given = by_name(names, arguments)?;
    let mut all = BTreeMap::from([("default".to_owned(), zero)]);
    for name in given.args() {
        all.insert(name.to_owned(), given.get(name)?);
    }
    Ok(all.into_iter().collect())
}

fn sort(state: &State<'_, '_>, value: Value, arguments: Rest<ValueOrKwargs>) -> Run<Value> {
    let names = ["reverse", "case_sensitive", "attribute"];
    minijinja::filters::sort(state, value, by_name(&names, arguments)?)
}

fn dictsort(state: &State<'_, '_>, value: Value, arguments: Rest<ValueOrKwargs>) -> Run<Value> {
    let names = ["case_sensitive", "by", "reverse"];
    let arguments = by_name(&names, arguments)?;
    // As much as sorting costs in the library's own.
    let count = value.len().unwrap_or(0) as u64;
    state.consume_fuel(count * u64::from(count.checked_ilog2().unwrap_or(0) + 1))?;
    minijinja::filters::dictsort(&value, arguments)
}

fn raise_exception(message: String) -> Run<Value> {
    Err(minijinja::Error::new(
        ErrorKind::InvalidOperation,
        format!("{REFUSED}{message}"),
    ))
}

/// The time in this machine's time zone.
fn strftime_now(format: &str) -> Run<String> {
    let now = jiff::ZonedDateTime::now();
    jiff::fmt::strtime::format(format, &now).map_err(|error| {
        minijinja::Error::new(
            ErrorKind::InvalidOperation,
            format!("strftime_now: {error}"),
        )
    })
}

/// As `transformers` defines it over Python's `json.dumps`, which is what templates were written against.
fn tojson(state: &State<'_, '_>, value: Value, arguments: Rest<ValueOrKwargs>) -> Run<String> {
    let wrong = |what: String| {
        minijinja::Error::new(ErrorKind::InvalidOperation, format!("tojson: {what}"))
    };
    let arguments = by_name(
        &["ensure_ascii", "indent", "separators", "sort_keys"],
        arguments,
    )?;
    let option = |name: &str| -> Run<Option<Value>> {
        let value: Option<Value> = arguments.get(name)?;
        Ok(value.filter(|value| !value.is_none()))
    };
    let ensure_ascii = option("ensure_ascii")?;
    let indent = option("indent")?;
    let separators = option("separators")?;
    let sort_keys = option("sort_keys")?;
    arguments.assert_all_used()?;
    let indent = indent.map(usize::try_from).transpose()?;
    let (item, key) = match separators {
        // With an indent every item has a line of its own.
        None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        None => (", ".to_owned(), ": ".to_owned()),
        Some(separators) => {
            let texts: Vec<String> = separators
                .try_iter()?
                .filter_map(|text| text.as_str().map(str::to_owned))
                .collect();
            let texts: [String; 2] = texts
                .try_into()
                .map_err(|_| wrong("`separators` are two texts".into()))?;
            texts.into()
        }
    };
    let is_set = |option: Option<Value>| option.is_some_and(|value| value.is_true());
    let formatter = PythonJson {
        item,
        key,
        indent: indent.map(|width| width.min(MOST_INDENT)),
        is_ascii: is_set(ensure_ascii),
        depth: 0,
        has_items: false,
    };
    let mut json = Bounded(Vec::new());
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, formatter);
    let done = match is_set(sort_keys) {
        // Its objects are in the order of their keys.
        true => serde_json::to_value(&value).and_then(|value| value.serialize(&mut serializer)),
        false => value.serialize(&mut serializer),
    };
    done.map_err(|error| wrong(error.to_string()))?;
    // Sixteen units a byte, as the library's own filter costs.
    state.consume_fuel(json.0.len() as u64 / 4)?;
    String::from_utf8(json.0).map_err(|error| wrong(error.to_string()))
}

/// Bytes, up to a bound.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MOST_TEXT {
            return Err(std::io::Error::other("that is too much text"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Spaces and escapes as Python's.
struct PythonJson {
    /// Between items, and between a key and its value.
    item: String,
    key: String,
    /// Spaces a level; `None`: all in one line.
    indent: Option<usize>,
    is_ascii: bool,
    depth: usize,
    /// Whether the list or object that ends has anything in it.
    has_items: bool,
}

impl PythonJson {
    fn begin<W: Write + ?Sized>(&mut self, out: &mut W, bracket: &[u8]) -> std::io::Result<()> {
        self.depth += 1;
        self.has_items = false;
        out.write_all(bracket)
    }

    fn end<W: Write + ?Sized>(&mut self, out: &mut W, bracket: &[u8]) -> std::io::Result<()> {
        self.depth -= 1;
        if self.has_items {
            self.line(out)?;
        }
        self.has_items = true;
        out.write_all(bracket)
    }

    fn item<W: Write + ?Sized>(&mut self, out: &mut W, is_first: bool) -> std::io::Result<()> {
        if !is_first {
            out.write_all(self.item.as_bytes())?;
        }
        self.line(out)
    }

    /// A new line, where there are any.
    fn line<W: Write + ?Sized>(&self, out: &mut W) -> std::io::Result<()> {
        let Some(width) = self.indent else {
            return Ok(());
        };
        out.write_all(b"\n")?;
        (0..width * self.depth).try_for_each(|_| out.write_all(b" "))
    }
}

impl Formatter for PythonJson {
    fn begin_array<W: Write + ?Sized>(&mut self, out: &mut W) -> std::io::Result<()> {
        self.begin(out, b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, out: &mut W) -> std::io::Result<()> {
        self.end(out, b"]")
    }

    fn begin_array_value<W: Write + ?Sized>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        self.item(out, first)
    }

    fn end_array_value<W: Write + ?Sized>(&mut self, _: &mut W) -> std::io::Result<()> {
        self.has_items = true;
        Ok(())
    }

    fn begin_object<W: Write + ?Sized>(&mut self, out: &mut W) -> std::io::Result<()> {
        self.begin(out, b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, out: &mut W) -> std::io::Result<()> {
        self.end(out, b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        self.item(out, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> std::io::Result<()> {
        out.write_all(self.key.as_bytes())
    }

    fn end_object_value<W: Write + ?Sized>(&mut self, _: &mut W) -> std::io::Result<()> {
        self.has_items = true;
        Ok(())
    }

    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> std::io::Result<()> {
        if !self.is_ascii {
            return out.write_all(fragment.as_bytes());
        }
        for c in fragment.chars() {
            if c.is_ascii() {
                write!(out, "{c}")?;
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}
