//! What can be done about an error, in the command line's words.

use std::io::ErrorKind;
use std::path::Path;

use openelm::hub::{TOKENIZER_COPIES, TOKENIZER_REPO};
use openelm::{Dtype, Error, Feature, HubError, MemoryNeed, ModelForm, Origin};

const ANOTHER_DEVICE: &str = "--device takes another adapter (`openelm devices` lists them)";

/// `None` where the message says all there is to say.
pub fn advice(error: &Error) -> Option<String> {
    Some(match error.root() {
        Error::Hub(error) => return of_hub(error),
        Error::EvalItem { cause, .. } => return advice(cause),
        Error::UnknownTask { .. } => {
            "--tasks also takes the card's tables: zero-shot, llm360 and openllm".into()
        }
        Error::Write { cause, .. } if cause.kind() == ErrorKind::AlreadyExists => {
            "name one that is not there yet".into()
        }
        Error::NoTokenizer { .. } => {
            "--tokenizer names one that lies elsewhere, and --token-ids works without any".into()
        }
        Error::OtherForm { path, form } => return other_form(path, form),
        Error::TokenBeyondVocabulary { .. } => {
            "leave it out of the text: it is for training, and this model has never seen it".into()
        }
        Error::TextTooLong { .. } => "shorten the prompt".into(),
        Error::Tokenizer { .. } => "--tokenizer takes another one".into(),
        Error::ChatTemplate { .. } => {
            "--template takes another one: instruct, inst, plain, questions, or a file of yours"
                .into()
        }
        Error::EmptyPrompt => {
            "give some text with --prompt, or --token-ids 1 to begin from nothing".into()
        }
        Error::PromptTooLong {
            context_size,
            max_context_size,
            ..
        } => longer(*context_size, *max_context_size),
        Error::MaxLength { .. } => {
            "give a larger --max-length, or --max-tokens, which does not count the prompt".into()
        }
        Error::SequencesNeedSampling { .. } => {
            "add --temperature 1, or do_sample=true to --generate-kwargs".into()
        }
        Error::NotANumber { .. } => {
            "try --dtype f32 --kv-dtype f32; remove_invalid_values=true in --generate-kwargs goes on regardless"
                .into()
        }
        Error::ContextSize { possible: 0, .. } => ANOTHER_DEVICE.into(),
        Error::ContextSize { possible, .. } => format!("use --ctx-size {possible} or less"),
        Error::NoAdapter { found, .. } if !found.is_empty() => {
            "give --device one of these numbers, or a part of a name".into()
        }
        Error::NoDevice { .. } => format!("try another one: {ANOTHER_DEVICE}"),
        Error::ComputesWrongly { .. } => format!(
            "a newer driver may help; {ANOTHER_DEVICE}, and --skip-self-test uses this one regardless"
        ),
        Error::DeviceLost(_) => format!("if it happens again: {ANOTHER_DEVICE}"),
        Error::Unsupported { feature, .. } => match feature {
            Feature::Textures => "use --compute-path gpu".into(),
            Feature::Int8InTextures => "use --activations f32 or --compute-path gpu".into(),
            Feature::F16Prefill => format!("leave out --prefill-dtype f16, or {ANOTHER_DEVICE}"),
            Feature::Model => ANOTHER_DEVICE.into(),
            _ => return None,
        },
        Error::Int8NeedsQ8 { .. } => "add --dtype q8".into(),
        Error::OutOfMemory { need, .. } => less_memory(need.as_ref()),
        Error::SavedSession { .. } => {
            "name another file with --prompt-cache, or delete this one: it is then made again".into()
        }
        Error::OtherOrigin {
            origin,
            saved,
            here,
            ..
        } => other_origin(*origin, saved, here),
        Error::Listen { .. } => {
            "--port takes another port, 0 one that is free; --host another address".into()
        }
        Error::OpenToAll { .. } => "give a key with --api-key-file or OPENELM_API_KEY, or --no-auth if \
             everybody may use it"
            .into(),
        Error::NoDisplay | Error::Window(_) => "all verbs but `window` work without one, such as \
             `openelm -p \"Once upon a time\"` and `openelm profile`"
            .into(),
        Error::NoDataFolder => "name one with --data-dir".into(),
        Error::DataFolderInUse { .. } => {
            "go on in that window, or close it first; --data-dir FOLDER keeps conversations of their own".into()
        }
        _ => return None,
    })
}

/// What to ask for in place of a folder that holds no model.
fn other_form(path: &Path, form: &ModelForm) -> Option<String> {
    Some(match form {
        ModelForm::LoraAdapter { base } => {
            let base = base.as_deref().unwrap_or("BASE");
            format!("--model {base} --lora {}", path.display())
        }
        ModelForm::Quantized { .. } => "--dtype q8 or q4 quantises while loading".into(),
        ModelForm::HubCache { models } => {
            let first = models.first()?;
            format!(
                "--model {first} takes that one, wherever the cache lies if HF_HUB_CACHE names it"
            )
        }
        _ => return None,
    })
}

/// How to have what a saved session was computed with, where a person can choose it.
fn other_origin(origin: Origin, saved: &str, here: &str) -> String {
    let again = match origin {
        // Several formats are those of a file, as they come.
        Origin::Weights if !saved.contains(' ') => format!("add --dtype {saved}, "),
        // Of the two kinds of software kernels the faster one was measured.
        Origin::ComputePath if !saved.contains(' ') && !here.contains(' ') => {
            format!("add --compute-path {saved}, ")
        }
        Origin::KvDtype => format!("add --kv-dtype {saved}, "),
        Origin::PrefillDtype => format!("add --prefill-dtype {saved}, "),
        _ => String::new(),
    };
    format!("{again}name another file with --prompt-cache, or delete this one")
}

fn longer(context_size: usize, max_context_size: usize) -> String {
    let mut text = "shorten the prompt".to_owned();
    if context_size < max_context_size {
        text += &format!(", or give it more room with a --ctx-size of up to {max_context_size}");
    }
    text
}

/// What takes less memory, most effective first.
fn less_memory(need: Option<&MemoryNeed>) -> String {
    let mut ways = Vec::new();
    match need.map(|need| need.dtype) {
        Some(Dtype::F32) => ways.push("--dtype f16"),
        Some(Dtype::F16 | Dtype::Bf16) => ways.push("--dtype q8 or q4"),
        Some(Dtype::Q8) => ways.push("--dtype q4"),
        Some(Dtype::Q4) | None => {}
    }
    ways.push("a smaller --ctx-size");
    if need.is_some_and(|need| need.exact_kv) {
        ways.push("--kv-dtype f16");
    }
    if need.is_some_and(|need| need.is_limit) {
        ways.push("a larger --max-memory");
    }
    ways.push("another --device");
    format!("try {} or a smaller model", ways.join(", "))
}

/// What can be done about a model that was not to be had.
fn of_hub(error: &HubError) -> Option<String> {
    let copies = TOKENIZER_COPIES.join(" or ");
    Some(match error {
        HubError::Gated { repo, .. } if repo == TOKENIZER_REPO => format!(
            "--hf-access-token takes a token too; --tokenizer-repo takes another repository, such as {copies}: copies of the same tokenizer \
             by others, without a gate; --tokenizer takes a file, and --token-ids needs none"
        ),
        HubError::Gated { .. } | HubError::TokenRefused { .. } => {
            "--hf-access-token takes a token too".into()
        }
        HubError::RepoNotFound { repo, .. } => format!(
            "there is no folder `{repo}` here either; --hf-access-token says who you are, for what is private"
        ),
        HubError::Variants { repo, files, .. } => {
            format!(
                "name one behind the repository, as in --model {repo}:{}",
                files.first()?
            )
        }
        HubError::RevisionNotFound { .. } => "--revision takes another".into(),
        HubError::Offline { missing, .. } if missing.contains("tokenizer") => format!(
            "fetch it without --offline and HF_HUB_OFFLINE; --tokenizer takes a file, --tokenizer-repo a repository that is in the cache \
             ({copies} have copies), and --token-ids needs none"
        ),
        HubError::Offline { .. } => "fetch it first, without --offline and HF_HUB_OFFLINE".into(),
        HubError::FileNotFound { file, .. } if file == "tokenizer.json" => {
            "--tokenizer-repo takes another repository".into()
        }
        HubError::Connection { .. } => {
            "what was fetched so far is kept; --offline uses only what is whole already".into()
        }
        HubError::NotCached { .. } => "`openelm list` has those that there are".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every flag that advice names is one that some verb has.
    #[test]
    fn flags_exist() {
        use clap::CommandFactory;
        let command = crate::verbs::Arguments::command();
        let verbs = command.get_subcommands().chain([&command]);
        let flags: Vec<&str> = verbs
            .flat_map(clap::Command::get_arguments)
            .filter_map(clap::Arg::get_long)
            .collect();
        let code = include_str!("advice.rs").split("#[cfg(test)]").next();
        let lines = code.unwrap_or_default().lines();
        let texts = lines.filter(|line| !line.trim_start().starts_with("//"));
        let mut named = 0;
        for line in texts {
            for rest in line.split("--").skip(1) {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
                let flag = &rest[..end.unwrap_or(rest.len())];
                assert!(flags.contains(&flag), "--{flag}: {line}");
                named += 1;
            }
        }
        assert!(named > 20, "the test has gone blind");
    }

    #[test]
    fn nothing_is_said_where_the_message_says_it_all() {
        assert_eq!(advice(&Error::Cancelled), None);
        let nothing = Error::NoAdapter {
            requested: None,
            found: Vec::new(),
        };
        assert_eq!(advice(&nothing), None);
        let local = Error::ModelNotFound {
            model: "./OpenELM".into(),
            is_file: false,
        };
        assert_eq!(advice(&local), None);
    }
}
