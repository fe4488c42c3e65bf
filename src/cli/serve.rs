//! `openelm serve`: OpenAI's API over HTTP.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use openelm::hub::TokenizerNeed;
use openelm::server::{Server, Settings, Stop};
use openelm::text::ChatTemplate;
use openelm::{Error, LoadOptions, Model, ModelFiles};

use super::args::{ModelArgs, Serve};
use super::files::read_text_file;
use super::output;
use super::server_args::ServerArgs;
use super::template::TemplateChoice;

/// No file of keys is this long.
const MOST_BYTES: u64 = 1 << 20;

/// The name of the environment's key.
const KEY: &str = "OPENELM_API_KEY";

pub fn run(arguments: &Serve) -> Result<()> {
    // All that can be a mistake first: loading takes long.
    let mut settings = arguments.server.settings()?;
    let files = open(&arguments.model)?;
    settings.chat_template = arguments.template(&files)?;
    let name = settings.served_name.clone();
    let mut server = Server::bind(settings)?;
    let model = server.load(|| arguments.model.load(files))?;
    let name = name.unwrap_or_else(|| model.name().to_owned());
    let (again, mut options) = (arguments.model.clone(), arguments.model.options());
    server.reload_with(Box::new(move |broken| reload(&again, &mut options, broken)));
    end_on_ctrl_c(server.stop());
    let url = format!("http://{}", server.address()?);
    let key = match server.needs_key() {
        true => " -H 'Authorization: Bearer KEY'",
        false => "",
    };
    output::note(&format!(
        "{name} at {url}/v1; try: curl {url}/v1/completions{key} -H 'Content-Type: application/json' \
         -d '{{\"prompt\": \"Once upon a time\", \"max_tokens\": 32}}'"
    ));
    Ok(server.run(model)?)
}

fn open(model: &ModelArgs) -> Result<ModelFiles> {
    model.open_with(TokenizerNeed::Wanted)
}

/// Loads the model once more, after its device was lost: on another adapter where one is `broken`.
fn reload(
    arguments: &ModelArgs,
    options: &mut LoadOptions,
    broken: Option<&str>,
) -> openelm::Result<Model> {
    let what = match broken {
        None => "the device was lost; the model is loaded again".to_owned(),
        Some(adapter) => {
            format!("`{adapter}` was lost again before a token came; another adapter is taken")
        }
    };
    output::note(&format!("openelm: {what}"));
    let loaded = match broken {
        Some(adapter) if !options.distrust(adapter) => Err(Error::DeviceLost(format!(
            "again at once, and there is no adapter to take in place of `{adapter}`"
        ))),
        _ => open(arguments)
            .and_then(|files| arguments.load_as(files, options.clone()))
            .map_err(|error| match error.downcast::<Error>() {
                Ok(error) => error,
                Err(error) => Error::Misuse(format!("{error:#}")),
            }),
    };
    match &loaded {
        Ok(model) => output::note(&format!(
            "openelm: the model is on `{}`",
            model.adapter().name
        )),
        Err(error) => output::note(&format!("openelm: {error}")),
    }
    loaded
}

/// The first Ctrl-C (or SIGTERM) has the server answer what it was asked, the second ends the program.
fn end_on_ctrl_c(stop: Stop) {
    let is_second = Arc::new(AtomicBool::new(false));
    let handler = move || {
        if is_second.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        output::note("openelm: ending when what was asked for is answered; once more ends at once");
        stop.drain();
    };
    // Without a handler Ctrl-C ends the program, as it always did.
    let _ = ctrlc::set_handler(handler);
}

impl ServerArgs {
    fn settings(&self) -> Result<Settings> {
        let mut settings = Settings::default();
        settings.host.clone_from(&self.host);
        settings.port = self.port;
        settings.api_keys = self.keys()?;
        settings.allow_everybody = self.no_auth;
        settings.allowed_hosts.clone_from(&self.allow_host);
        settings.cors_origins = self.origins()?;
        settings.served_name.clone_from(&self.served_model_name);
        settings.strict_model = self.strict_model;
        settings.tokenizer_info = self.tokenizer_info;
        settings.limits = self.limits.limits();
        Ok(settings)
    }

    fn keys(&self) -> Result<Vec<String>> {
        let mut keys = self.api_key.clone();
        if let Some(path) = &self.api_key_file {
            keys.extend(keys_of(path)?);
        }
        if keys.is_empty() && !self.no_auth {
            keys.extend(std::env::var(KEY).ok().filter(|key| !key.is_empty()));
        }
        if keys.iter().any(|key| key.trim().is_empty()) {
            bail!("a key of --api-key is empty; leave it out to serve without a key");
        }
        let is_visible = |key: &String| key.bytes().all(|byte| byte.is_ascii_graphic());
        if !keys.iter().all(is_visible) {
            bail!(
                "keys are letters, digits and signs of ASCII, without spaces: HTTP carries nothing else"
            );
        }
        if self.no_auth && !keys.is_empty() {
            bail!(
                "--no-auth serves everybody, and a key only those who have it: leave one of them out"
            );
        }
        Ok(keys)
    }

    fn origins(&self) -> Result<Vec<String>> {
        let is_origin = |origin: &&String| {
            let host = origin.split_once("://").map(|(_, host)| host);
            *origin == "*" || host.is_some_and(|host| !host.is_empty() && !host.contains('/'))
        };
        match self.cors_origin.iter().find(|origin| !is_origin(origin)) {
            Some(wrong) => bail!(
                "--cors-origin is `{wrong}`; it takes what a browser calls a site's origin, such as https://chat.example or http://localhost:3000"
            ),
            None => Ok(self.cors_origin.clone()),
        }
    }
}

impl Serve {
    /// How chats are written, if they can be.
    fn template(&self, files: &ModelFiles) -> Result<Option<ChatTemplate>> {
        let choice = match &self.server.chat_template {
            Some(choice) => Some(choice.clone()),
            None => TemplateChoice::of_model(files, &self.model.model)?,
        };
        choice.map(|choice| choice.template(files)).transpose()
    }
}

fn keys_of(path: &Path) -> Result<Vec<String>> {
    let text = read_text_file(path, MOST_BYTES).context("cannot use --api-key-file")?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys: Vec<String> = lines.map(str::to_owned).collect();
    match keys.is_empty() {
        true => bail!(
            "there is no key in {}, which --api-key-file names",
            path.display()
        ),
        false => Ok(keys),
    }
}
