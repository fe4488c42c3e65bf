//! Models by name: `openelm pull`, `list` and `rm`, and what all verbs do with a name that is no folder.

use std::fmt::Write;
use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use openelm::checkpoint::{check_config, read_tokenizer};
use openelm::hub::{
    Cache, CachedModel, CachedSnapshot, Found, Hub, ModelId, ModelRequest, Progress, Revision,
    Settings, Snapshot, Token, TokenizerNeed, hub_model,
};
use openelm::{Checkpoint, ModelFiles};
use serde_json::json;

use super::output;

/// How models are fetched by name.
#[derive(Args, Clone)]
pub struct HubArgs {
    /// Branch, tag or commit of a model on the hub [default: main]
    #[arg(long, value_name = "REV", help_heading = "Models from the hub")]
    pub revision: Option<String>,
    /// Where a tokenizer is taken from if the model's repository has none [default: meta-llama/Llama-2-7b-hf]
    #[arg(long, value_name = "REPO", help_heading = "Models from the hub")]
    pub tokenizer_repo: Option<String>,
    /// Token of the hub, for what needs one [default: HF_TOKEN, or the one that `hf auth login` keeps]
    #[arg(
        long,
        alias = "hf_access_token",
        value_name = "TOKEN",
        help_heading = "Models from the hub"
    )]
    pub hf_access_token: Option<String>,
    /// Fetch nothing, use only what was fetched before
    #[arg(long, help_heading = "Models from the hub")]
    pub offline: bool,
}

impl HubArgs {
    /// The environment's settings, with what was asked for over them.
    pub fn settings(&self) -> Result<Settings> {
        let mut settings = Settings::from_env()?;
        if let Some(token) = &self.hf_access_token {
            settings.token = Some(Token::new(token)?);
        }
        if let Some(repo) = &self.tokenizer_repo {
            settings.tokenizer_repo = Some(ModelId::parse(repo)?);
        }
        settings.offline |= self.offline;
        Ok(settings)
    }

    /// A model's name with the revision in it that was asked for.
    pub fn named(&self, model: &str) -> Result<String> {
        match &self.revision {
            None => Ok(model.to_owned()),
            Some(_) if model.contains('@') => {
                bail!("`{model}` names a revision already, and --revision another")
            }
            Some(revision) => match hub_model(model) {
                None => bail!(
                    "--revision is for models of the hub, by a name such as apple/OpenELM-270M; `{model}` is none"
                ),
                Some(id) => {
                    let revision = Revision::parse(revision)?;
                    Ok(ModelId { revision, ..id }.to_string())
                }
            },
        }
    }
}

/// A model that any verb was asked for, on this machine.
fn find(model: &str, arguments: &HubArgs, tokenizer: TokenizerNeed) -> Result<(String, Found)> {
    let name = arguments.named(model)?;
    let Some(id) = hub_model(&name) else {
        let beside = match Snapshot::at(Path::new(model)) {
            Some(snapshot) => Hub::new(arguments.settings()?).tokenizer_beside(&snapshot),
            None => None,
        };
        let found = Found {
            folder: model.into(),
            tokenizer: Ok(beside),
            is_guess: false,
        };
        return Ok((model.to_owned(), found));
    };
    let found = fetch(&id, arguments, tokenizer, false)?;
    if found.is_guess {
        let file = found.folder.file_name().unwrap_or_default();
        output::note(&format!(
            "[{} is taken, which is here; without a network nobody knows whether {id} means it]",
            file.to_string_lossy()
        ));
    }
    Ok((found.folder.to_string_lossy().into_owned(), found))
}

/// Opens a model's files, fetching them where it is a name on the hub. `own` is a tokenizer that was asked for.
pub fn open(
    model: &str,
    arguments: &HubArgs,
    own: Option<&Path>,
    tokenizer: TokenizerNeed,
) -> Result<ModelFiles> {
    let need = match own {
        Some(_) => TokenizerNeed::Unneeded,
        None => tokenizer,
    };
    let (model, found) = find(model, arguments, need)?;
    let elsewhere = tokenizer_of(found);
    let tokenizer = own.or(elsewhere.as_deref());
    Ok(ModelFiles::open_with_tokenizer(&model, tokenizer)?)
}

/// As [`open`], for verbs that work on the files themselves.
pub fn checkpoint(
    model: &str,
    arguments: &HubArgs,
    tokenizer: TokenizerNeed,
) -> Result<Checkpoint> {
    let (model, found) = find(model, arguments, tokenizer)?;
    let mut checkpoint = Checkpoint::open(&model)?;
    if let Some(path) = tokenizer_of(found) {
        checkpoint.tokenizer = Some(read_tokenizer(&path)?.1);
    }
    Ok(checkpoint)
}

/// A tokenizer that lies elsewhere; why there is none is told.
fn tokenizer_of(found: Found) -> Option<std::path::PathBuf> {
    found.tokenizer.unwrap_or_else(|error| {
        output::note(&format!("openelm: warning: no tokenizer: {error}"));
        None
    })
}

fn fetch(
    id: &ModelId,
    arguments: &HubArgs,
    tokenizer: TokenizerNeed,
    refresh: bool,
) -> Result<Found> {
    let request = ModelRequest {
        id,
        tokenizer,
        refresh,
        check: &check_config,
        cancel: None,
    };
    let mut bars = Bars::default();
    let found =
        Hub::new(arguments.settings()?).model(&request, &mut |progress| bars.show(progress));
    bars.clear();
    Ok(found?)
}

/// A bar a file, if standard error is a terminal and it takes a while.
#[derive(Default)]
struct Bars {
    all: Option<(MultiProgress, Instant)>,
    files: Vec<ProgressBar>,
}

impl Bars {
    /// Bars appear only for what takes longer than this.
    const PATIENCE: Duration = Duration::from_millis(500);

    fn show(&mut self, progress: &Progress) {
        let (all, begin) = self.all.get_or_insert_with(|| {
            let hidden = ProgressDrawTarget::hidden();
            (MultiProgress::with_draw_target(hidden), Instant::now())
        });
        if all.is_hidden() && begin.elapsed() > Self::PATIENCE && output::can_draw() {
            all.set_draw_target(ProgressDrawTarget::stderr());
        }
        for file in progress.files.iter().skip(self.files.len()) {
            let bar = all.add(ProgressBar::no_length());
            let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_message(file.name.clone());
            self.files.push(bar);
        }
        for (bar, file) in self.files.iter().zip(&progress.files) {
            if file.total > 0 {
                bar.set_length(file.total);
            }
            if bar.position() != file.done {
                bar.set_position(file.done);
            }
        }
    }

    fn clear(&self) {
        if let Some((all, _)) = &self.all {
            // What a terminal does not take is lost with it.
            let _ = all.clear();
        }
    }
}

#[derive(Args)]
pub struct Pull {
    /// Its name, such as apple/OpenELM-270M-Instruct
    pub model: String,
    #[command(flatten)]
    pub hub: HubArgs,
}

/// Fetches a model, and prints the folder that it is in.
pub fn pull(arguments: &Pull) -> Result<()> {
    let begin = Instant::now();
    // Whatever lies here under that name: it is the hub's that is wanted.
    let mut id = ModelId::parse(&arguments.model)?;
    if let Some(revision) = &arguments.hub.revision {
        if arguments.model.contains('@') {
            bail!("`{id}` names a revision already, and --revision another");
        }
        id.revision = Revision::parse(revision)?;
    }
    let found = fetch(&id, &arguments.hub, TokenizerNeed::Wanted, true)?;
    let snapshot = match found.folder.is_file() {
        true => found.folder.parent(),
        false => Some(found.folder.as_path()),
    };
    let commit = snapshot.and_then(Path::file_name).unwrap_or_default();
    output::note(&format!(
        "[{} at {} is here, {:.1} s]",
        id.repo,
        commit.to_string_lossy(),
        begin.elapsed().as_secs_f64()
    ));
    output::write(&format!("{}\n", found.folder.display()))?;
    // Everything else is there and good; a script should know all the same.
    found.tokenizer?;
    Ok(())
}

#[derive(Args)]
pub struct List {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What a snapshot is good for.
fn state(snapshot: &CachedSnapshot) -> &'static str {
    let has = |name: &str| snapshot.files.iter().any(|file| file == name);
    match &snapshot.missing {
        _ if has("config.json") && check_config(&snapshot.folder).is_err() => "not OpenELM",
        None => "complete",
        Some(_) if has("tokenizer.json") && !has("config.json") => "tokenizer",
        Some(_) => "incomplete",
    }
}

pub fn list(arguments: &List) -> Result<()> {
    let cache = Cache::from_env()?;
    let models = cache.models()?;
    if arguments.json {
        let models: Vec<_> = models.iter().flat_map(as_json).collect();
        return output::write(&format!("{}\n", serde_json::Value::from(models)));
    }
    if models.is_empty() {
        output::note(&format!("no models in {}", cache.root().display()));
        return Ok(());
    }
    let width = models.iter().map(|model| model.name.len()).max();
    let width = width.unwrap_or(0).max("name".len());
    let mut text = format!("{:<width$}        MiB  state        revision\n", "name");
    let mut line = |name: &str, bytes: u64, state: &str, revision: &str| {
        let mib = bytes as f64 / f64::from(1 << 20);
        writeln!(text, "{name:<width$} {mib:>10.1}  {state:<11}  {revision}")
    };
    for model in &models {
        if model.snapshots.is_empty() {
            line(&model.name, model.bytes, "incomplete", "")?;
        }
        for snapshot in &model.snapshots {
            let commit = snapshot.commit.get(..12).unwrap_or(&snapshot.commit);
            let revision = match snapshot.revisions[..] {
                [] => commit.to_owned(),
                _ => format!("{} ({commit})", snapshot.revisions.join(", ")),
            };
            // What is not whole yet is in no snapshot.
            let bytes = match (&snapshot.missing, model.snapshots.len()) {
                (Some(_), 1) => model.bytes,
                _ => snapshot.bytes,
            };
            line(&model.name, bytes, state(snapshot), &revision)?;
        }
    }
    output::write(&text)
}

/// An object a snapshot; one for a model of which nothing is whole yet.
fn as_json(model: &CachedModel) -> Vec<serde_json::Value> {
    if model.snapshots.is_empty() {
        return vec![json!({
            "name": model.name, "revision": null, "revisions": [], "bytes": model.bytes, "complete": false,
            "state": "incomplete", "missing": null, "path": model.folder,
        })];
    }
    let snapshots = model.snapshots.iter();
    let object = |snapshot: &CachedSnapshot| {
        json!({
            "name": model.name,
            "revision": snapshot.commit,
            "revisions": snapshot.revisions,
            "bytes": snapshot.bytes,
            "complete": state(snapshot) == "complete",
            "state": state(snapshot),
            "missing": snapshot.missing,
            "path": snapshot.folder,
        })
    };
    snapshots.map(object).collect()
}

#[derive(Args)]
pub struct Remove {
    /// Its name, as `openelm list` has it
    pub model: String,
    /// Only this branch, tag or commit, and what no other one uses
    #[arg(long, value_name = "REV")]
    pub revision: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

pub fn remove(arguments: &Remove) -> Result<()> {
    let cache = Cache::from_env()?;
    let (name, in_name) = match arguments.model.split_once('@') {
        Some((name, revision)) => (name, Some(revision)),
        None => (arguments.model.as_str(), None),
    };
    let revision = arguments.revision.as_deref().or(in_name);
    let model = cache.model(name)?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    if !arguments.yes {
        let what = match revision {
            Some(revision) => format!("revision `{revision}` of {name}"),
            None => format!("{name} ({:.1} MiB)", mib(model.bytes)),
        };
        confirm(&format!("remove {what} from {}?", cache.root().display()))?;
    }
    let freed = cache.remove(name, revision)?;
    output::note(&format!("[{:.1} MiB are free again]", mib(freed)));
    if model.shared > 0 {
        output::note(
            "[blobs that repositories share stay: `hf cache prune` frees those that none uses any more]",
        );
    }
    Ok(())
}

/// Fails unless somebody says yes.
fn confirm(question: &str) -> Result<()> {
    output::note(&format!("{question} [y/N]"));
    let mut answer = String::new();
    let mut input = std::io::stdin().lock();
    let is_asked = input.read_line(&mut answer)? > 0;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ if !is_asked && !std::io::stdin().is_terminal() => {
            bail!("nothing was removed: nobody answered; --yes asks nobody")
        }
        _ => bail!("nothing was removed"),
    }
}
