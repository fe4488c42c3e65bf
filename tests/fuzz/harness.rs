//! Spoiled copies of good inputs, one after the other, and what each may cost.
//!
//! An input is a good one with one to four changes, which depend on the seed and its number alone: a failure names both, and comes again. Texts are
//! changed where JSON has its values, keys and brackets, files where they have numbers; both anywhere else too.

#![allow(dead_code, reason = "the command's tests use a part")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Inputs of a target in an ordinary run of the tests.
const USUAL: u64 = 300;

/// What reading one input may take.
const MOST_TIME: Duration = Duration::from_secs(15);
/// An input that takes so long ends the program: nothing else could.
const HANGS: Duration = Duration::from_secs(60);
const MOST_MEMORY: usize = 512 << 20;

/// Inputs do not become longer.
const MOST_BYTES: usize = 1 << 20;

/// Counts what a thread holds.
pub struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn count(add: usize, take: usize) {
    // A thread that ends has none any more.
    let _ = HELD.try_with(|held| {
        held.set(held.get().saturating_add(add).saturating_sub(take));
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: all is the system's allocator's; only sizes are noted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(0, layout.size());
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        unsafe { System.realloc(place, layout, size) }
    }
}

/// Random numbers: SplitMix64.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64, number: u64) -> Self {
        Self(seed ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    /// Below `end`; 0 where there is nothing below it.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Values of JSON, and what is none, that readers tend to stumble over.
const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "3",
    "255",
    "65536",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "1e400",
    "-1e308",
    "1e-400",
    "0.5",
    "1.0",
    "NaN",
    "Infinity",
    "-",
    "01",
    "[]",
    "{}",
    "[[]]",
    "[0]",
    "[1,2]",
    "[null]",
    "{\"a\":1}",
    "\"\"",
    "\"a\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\u001b[31m\"",
    "\"../x\"",
    "\"é漢😀\"",
    "\"\u{202e}\"",
    "\"F8_E4M3\"",
    "\"U8\"",
    "\"LORA\"",
    "\"openelm\"",
    "\"{{ x }}\"",
    "\"",
    "[",
    "{",
    "\\",
    "'a'",
    "None",
    "\u{feff}",
    "\u{0}",
];

const NUMBERS: [u64; 14] = [
    0,
    1,
    2,
    7,
    255,
    256,
    65535,
    65536,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 40,
    1 << 63,
    u64::MAX,
];

/// Where a text has values, keys and numbers of JSON: each as its range.
fn tokens(text: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let begin = at;
        match text[at] {
            b'"' => {
                at += 1;
                while at < text.len() && text[at] != b'"' {
                    at += 1 + usize::from(text[at] == b'\\');
                }
                at = (at + 1).min(text.len());
            }
            c if c.is_ascii_alphanumeric() || c == b'-' || c == b'.' => {
                while at < text.len()
                    && (text[at].is_ascii_alphanumeric() || b"+-._".contains(&text[at]))
                {
                    at += 1;
                }
            }
            c => {
                at += 1;
                if !b"[]{}".contains(&c) {
                    continue;
                }
            }
        }
        found.push(begin..at);
    }
    found
}

fn replace(input: &mut Vec<u8>, range: std::ops::Range<usize>, with: &[u8]) {
    input.splice(range, with.iter().copied());
}

/// Changes a text once; `others` are texts that pieces may come from.
pub fn change_text(input: &mut Vec<u8>, others: &[Vec<u8>], rng: &mut Rng) {
    let tokens = tokens(input);
    let token = |rng: &mut Rng| tokens.get(rng.below(tokens.len())).cloned();
    match (rng.below(10), token(rng)) {
        (0..=2, Some(range)) => {
            let value = rng.pick(VALUES);
            replace(input, range, value.as_bytes());
        }
        (3, Some(range)) => {
            // Another value or key of the same text.
            if let Some(other) = token(rng) {
                let other = input[other].to_vec();
                replace(input, range, &other);
            }
        }
        // From one token to another: gone, or there twice.
        (4, Some(range)) => {
            let end = token(rng).map_or(range.end, |other| other.end.max(range.end));
            let end = end.min(range.start + 200);
            input.drain(range.start..end);
        }
        (5, Some(range)) => {
            let end = token(rng).map_or(range.end, |other| other.end.max(range.end));
            let piece = input[range.start..end.min(range.start + 200)].to_vec();
            let comma = [b",".as_slice(), &piece].concat();
            replace(
                input,
                range.start + piece.len()..range.start + piece.len(),
                &comma,
            );
        }
        (6, Some(range)) => {
            let (open, close) = [("[", "]"), ("{\"a\":", "}")][rng.below(2)];
            let depth = [1, 2, 100, 130, 5000][rng.below(5)];
            let value = input[range.clone()].to_vec();
            let nested = [
                open.repeat(depth).as_bytes(),
                &value,
                close.repeat(depth).as_bytes(),
            ]
            .concat();
            replace(input, range, &nested);
        }
        (7, Some(range)) => {
            let other = &others[rng.below(others.len())];
            let begin = rng.below(other.len());
            let end = (begin + rng.below(200)).min(other.len());
            let piece = other[begin..end].to_vec();
            replace(input, range, &piece);
        }
        _ => change_bytes(input, rng),
    }
}

/// Changes bytes once: a number, a byte, a piece moved, doubled or gone, an end too early.
pub fn change_bytes(input: &mut Vec<u8>, rng: &mut Rng) {
    let at = rng.below(input.len());
    let end = (at + 1 + rng.below(64)).min(input.len());
    match rng.below(7) {
        0 | 1 => {
            let number = match rng.below(3) {
                0 => rng.next(),
                _ => NUMBERS[rng.below(NUMBERS.len())],
            };
            let size = [1, 2, 4, 8][rng.below(4)];
            for (place, byte) in input[at..].iter_mut().zip(&number.to_le_bytes()[..size]) {
                *place = *byte;
            }
        }
        2 if !input.is_empty() => input[at] ^= 1 << rng.below(8),
        3 => {
            let piece = input[at..end].to_vec();
            let to = rng.below(input.len());
            replace(input, to..to, &piece);
        }
        4 => drop(input.drain(at..end)),
        5 => {
            let value = rng.pick(VALUES);
            replace(input, at..at, value.as_bytes());
        }
        6 if rng.below(4) == 0 => input.truncate(at),
        _ => {
            let byte = rng.next() as u8;
            replace(input, at..at, &[byte]);
        }
    }
}

/// Changes the header of a safetensors file as a text, and says its new length; or bytes of the file.
pub fn change_safetensors(input: &mut Vec<u8>, others: &[Vec<u8>], rng: &mut Rng) {
    let length = input.first_chunk().map_or(0, |le| u64::from_le_bytes(*le)) as usize;
    let header = input
        .get(8..)
        .and_then(|rest| rest.get(..length))
        .map(<[u8]>::to_vec);
    match header {
        Some(mut header) if rng.below(8) > 0 => {
            change_text(&mut header, others, rng);
            let new = (header.len() as u64).to_le_bytes();
            input.splice(..8 + length, new.into_iter().chain(header));
        }
        _ => {
            let end = (8 + length.min(1 << 16)).min(input.len());
            let mut front = input[..end].to_vec();
            change_bytes(&mut front, rng);
            input.splice(..end, front);
        }
    }
}

/// What a target does with an input.
pub enum Read {
    Taken,
    Refused,
}

impl<T, E> From<Result<T, E>> for Read {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(_) => Self::Taken,
            Err(_) => Self::Refused,
        }
    }
}

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    let value = std::env::var(name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

/// Reads changed copies of `good` until there were enough of them, or time is up: OPENELM_FUZZ_EXECUTIONS, OPENELM_FUZZ_SECONDS, else a few.
/// OPENELM_TEST_SEED names other changes than the usual ones, OPENELM_FUZZ_ONLY one input.
pub fn fuzz<R: Into<Read>>(
    name: &'static str,
    good: &[Vec<u8>],
    change: fn(&mut Vec<u8>, &[Vec<u8>], &mut Rng),
    mut read: impl FnMut(&[u8]) -> R,
) {
    for input in good {
        assert!(
            matches!(read(input).into(), Read::Taken),
            "{name}: a good input is refused"
        );
    }
    let seed: u64 = variable("OPENELM_TEST_SEED").unwrap_or(7);
    let seconds = variable::<f64>("OPENELM_FUZZ_SECONDS").map(Duration::from_secs_f64);
    let executions = variable("OPENELM_FUZZ_EXECUTIONS").or(seconds.is_none().then_some(USUAL));
    let only = variable("OPENELM_FUZZ_ONLY");
    let begin = Instant::now();
    let is_enough = |done: u64| match (only, executions, seconds) {
        (Some(only), ..) => done > only,
        (_, Some(most), None) => done >= most,
        (_, most, Some(seconds)) => {
            most.is_some_and(|most| done >= most) || begin.elapsed() >= seconds
        }
        (None, None, None) => true,
    };
    let watched = Arc::new(Mutex::new((0, Instant::now())));
    watch(name, seed, &watched);
    let (mut done, mut refused, mut slowest, mut largest) =
        (only.unwrap_or(0), 0u64, Duration::ZERO, 0);
    while !is_enough(done) {
        let mut rng = Rng::new(seed, done);
        let mut input = good[rng.below(good.len())].clone();
        for _ in 0..=rng.below(4) {
            change(&mut input, good, &mut rng);
        }
        input.truncate(MOST_BYTES.max(good[0].len()));
        let start = Instant::now();
        *watched.lock().unwrap_or_else(PoisonError::into_inner) = (done, start);
        let held = HELD.get();
        PEAK.set(held);
        let which = || format!("{name}: OPENELM_TEST_SEED={seed} OPENELM_FUZZ_ONLY={done}");
        match catch_unwind(AssertUnwindSafe(|| read(&input).into())) {
            Ok(Read::Taken) => {}
            Ok(Read::Refused) => refused += 1,
            Err(panic) => {
                eprintln!("{}\n{}", which(), input.escape_ascii());
                resume_unwind(panic);
            }
        }
        let (took, memory) = (start.elapsed(), PEAK.get() - held);
        assert!(took < MOST_TIME, "{} took {took:?}", which());
        assert!(memory < MOST_MEMORY, "{} took {memory} bytes", which());
        slowest = slowest.max(took);
        largest = largest.max(memory);
        done += 1;
    }
    watched.lock().unwrap_or_else(PoisonError::into_inner).0 = u64::MAX;
    eprintln!(
        "fuzz {name}: {done} executions, {refused} refused, {:.0} s, slowest {:.0} ms, most memory {} KiB",
        begin.elapsed().as_secs_f64(),
        slowest.as_secs_f64() * 1e3,
        largest >> 10
    );
}

/// Ends the program where an input hangs.
fn watch(name: &'static str, seed: u64, watched: &Arc<Mutex<(u64, Instant)>>) {
    let watched = Arc::clone(watched);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let (number, since) = *watched.lock().unwrap_or_else(PoisonError::into_inner);
            if number == u64::MAX {
                return;
            }
            if since.elapsed() > HANGS {
                eprintln!("{name}: OPENELM_TEST_SEED={seed} OPENELM_FUZZ_ONLY={number} hangs");
                std::process::abort();
            }
        }
    });
}
