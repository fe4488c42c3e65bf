//! Chat templates, settings, and what the window keeps.

use std::collections::BTreeMap;
use std::path::Path;

use openelm::text::{ChatTemplate, Jinja, Role, Turn};
use openelm::{GenerationConfig, utf8};
use serde_json::{Map, Value};

use super::harness::{change_text, fuzz};

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn chat_template() {
    let good = [
        "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'].strip() + ' [/INST]' }}{% else %}\
         {{ message['content'] + eos_token }}{% endif %}{% endfor %}",
        "{%- set ns = namespace(n=0) -%}{%- for m in messages -%}{%- set ns.n = ns.n + 1 -%}<|{{ m.role }}|>\n{{ m.content | trim }}{{ loop.index0 }}\n{%- endfor -%}\
         {%- if add_generation_prompt -%}<|assistant|>{%- endif -%}{% macro x(a, b=2) %}{{ a * b }}{% endmacro %}{{ x('y') }}",
    ];
    let turns = [
        Turn::new(Role::System, "Be brief."),
        Turn::new(Role::User, "Hello </s> {{ x }}"),
        Turn::new(Role::Assistant, "Yes."),
        Turn::new(Role::User, "é"),
    ];
    let tokens = BTreeMap::from([
        ("bos_token".to_owned(), "<s>".to_owned()),
        ("eos_token".into(), "</s>".into()),
    ]);
    let path = Path::new("chat_template.jinja");
    fuzz("chat template", &texts(&good), change_text, |source| {
        let source = String::from_utf8_lossy(source);
        let template = ChatTemplate::from(Jinja::new(path, &source, &tokens)?);
        template.text(&turns)
    });
}

#[test]
fn generation_config() {
    let good = [
        r#"{"_from_model_config":true,"bos_token_id":1,"eos_token_id":[2,5],"do_sample":true,"temperature":0.7,"top_k":50,"top_p":0.9,"min_p":0.05,"repetition_penalty":1.2,
            "no_repeat_ngram_size":3,"bad_words_ids":[[3],[4,5]],"sequence_bias":{"(7,8)":-1.5},"max_new_tokens":20,"min_length":2,"stop_strings":["."],"num_beams":1,
            "suppress_tokens":[9],"exponential_decay_length_penalty":[5,1.1],"transformers_version":"4.39.3","pad_token_id":0,"num_return_sequences":2}"#,
        r#"{"sequence_bias":[[[7,8],-1.5]],"forced_eos_token_id":2,"typical_p":0.9,"epsilon_cutoff":0.0003,"eta_cutoff":0.0003,"prompt_lookup_num_tokens":10,"max_time":1.5}"#,
    ];
    fuzz(
        "generation_config.json",
        &texts(&good),
        change_text,
        |json| {
            let entries: Map<String, Value> = serde_json::from_slice(json).map_err(|_| ())?;
            let (config, _) = GenerationConfig::from_file("config.json", &entries, 300, &[2]);
            let strict = GenerationConfig::from_pairs(
                entries.iter().map(|(key, value)| (key.as_str(), value)),
            );
            let _ = strict.map(|config| config.options(5));
            config
                .check()
                .and_then(|()| config.options(5))
                .map(|_| ())
                .map_err(|_| ())
        },
    );
}

#[test]
fn text_of_files() {
    let good = texts(&["Once upon a time\r\n", "\u{feff}é 漢 😀", "a\0b\u{1b}[31m"]);
    fuzz("text", &good, change_text, |bytes| {
        utf8::text(bytes.to_vec())
    });
}

#[cfg(feature = "window")]
#[test]
fn conversation() {
    use openelm::window::{Conversation, Mode, Settings};

    let mut conversation = Conversation::new("1".into(), Mode::Chat, "plain".into());
    let question = conversation.add(None, Role::User, "Hello \"you\"");
    let answer = conversation.add(Some(question), Role::Assistant, "Yes.\n");
    conversation.add(Some(answer), Role::User, "And?");
    conversation.add(None, Role::User, "Another");
    let good = serde_json::to_vec(&conversation).unwrap();
    fuzz("conversation", &[good], change_text, |json| {
        let mut read = Conversation::from_json(json).map_err(|_| ())?;
        let template = ChatTemplate::from(openelm::text::Template::instruct());
        let _ = read.prompt(&template, None);
        let _ = read.markdown();
        let _ = read.kept();
        if let Some(last) = read.last() {
            read.delete(last);
            read.undo();
        }
        Ok::<_, ()>(())
    });
    let good = serde_json::to_vec(&Settings::default()).unwrap();
    fuzz("settings", &[good], change_text, |json| {
        let settings: Settings = serde_json::from_slice(json).map_err(|_| ())?;
        let _ = settings.dtype();
        // What is kept of it can be read the next time.
        let kept = serde_json::to_vec(&settings).unwrap();
        serde_json::from_slice::<Settings>(&kept).unwrap();
        Ok::<_, ()>(())
    });
}
