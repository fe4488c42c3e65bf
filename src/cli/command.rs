//! What a line in a chat asks for: commands begin with a slash, and so may questions.

use std::path::Path;

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    Nothing,
    Question(&'a str),
    Command(Command<'a>),
    /// Nearly a command, and nothing else: the command that was meant.
    Nearly(&'static str),
}

#[derive(Debug, PartialEq, Eq)]
pub enum Command<'a> {
    Again,
    Undo,
    New,
    Help,
    Quit,
    /// To the file of that name.
    Save(Option<&'a Path>),
    Load(Option<&'a Path>),
}

const NAMES: [&str; 8] = [
    "/again", "/undo", "/new", "/help", "/quit", "/exit", "/save", "/load",
];

impl<'a> Line<'a> {
    /// Only what is exactly a command is one: `/etc/passwd is what?` is a question, and so is what is pasted, or begins with a space.
    pub fn parse(line: &'a str) -> Self {
        let question = line.trim();
        let (word, rest) = question
            .split_once(char::is_whitespace)
            .unwrap_or((question, ""));
        if question.is_empty() {
            return Self::Nothing;
        }
        if !line.starts_with('/') || question.contains('\n') {
            return Self::Question(question);
        }
        let rest = rest.trim();
        let path = (!rest.is_empty()).then_some(Path::new(rest));
        let nearly = NAMES.into_iter().find(|name| is_near(word, name));
        match (word, rest, nearly) {
            ("/again", "", _) => Self::Command(Command::Again),
            ("/undo", "", _) => Self::Command(Command::Undo),
            ("/new", "", _) => Self::Command(Command::New),
            ("/help", "", _) => Self::Command(Command::Help),
            ("/quit" | "/exit", "", _) => Self::Command(Command::Quit),
            ("/save", ..) => Self::Command(Command::Save(path)),
            ("/load", ..) => Self::Command(Command::Load(path)),
            (_, "", Some(meant)) => Self::Nearly(meant),
            _ => Self::Question(question),
        }
    }
}

/// Whether two words differ in one character: another, one more or less, or two that have changed places.
fn is_near(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let begin = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[begin..], &b[begin..]);
    let end = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    match (&a[..a.len() - end], &b[..b.len() - end]) {
        ([_], [] | [_]) | ([], [_]) => true,
        ([a, b], [c, d]) => a == d && b == c,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_are_commands() {
        let question = |line| assert_eq!(Line::parse(line), Line::Question(line.trim()), "{line}");
        for line in [
            "/etc/passwd is what?",
            "/what",
            "/",
            "//",
            "/new york is where?",
            "/quit now",
            " /quit",
            "/again\nand again",
            "/quitter",
            "/undoing",
            "/\u{e9}",
            "and/or",
        ] {
            question(line);
        }
        for (line, command) in [
            ("/quit", Command::Quit),
            ("/exit \r", Command::Quit),
            ("/again", Command::Again),
            ("/undo", Command::Undo),
            ("/new", Command::New),
            ("/help", Command::Help),
            ("/save", Command::Save(None)),
            (
                "/save  my chat.json ",
                Command::Save(Some(Path::new("my chat.json"))),
            ),
            ("/load a.json", Command::Load(Some(Path::new("a.json")))),
        ] {
            assert_eq!(Line::parse(line), Line::Command(command), "{line}");
        }
        for line in ["", "  ", "\n"] {
            assert_eq!(Line::parse(line), Line::Nothing);
        }
    }

    #[test]
    fn a_slip_is_no_question() {
        for (line, meant) in [
            ("/quti", "/quit"),
            ("/qit", "/quit"),
            ("/quitt", "/quit"),
            ("/Quit", "/quit"),
            ("/agian", "/again"),
            ("/udno", "/undo"),
            ("/sav", "/save"),
            ("/lod", "/load"),
            ("/nwe", "/new"),
        ] {
            assert_eq!(Line::parse(line), Line::Nearly(meant), "{line}");
        }
    }
}
