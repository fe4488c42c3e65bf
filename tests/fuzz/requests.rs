//! What comes over the network, and what evaluation reads.

use openelm::hub::ModelId;

use super::harness::{change_bytes, fuzz};

#[test]
fn names() {
    let good = [
        "apple/OpenELM-270M",
        "a/b@refs/pr/1",
        "a/b@v1.0:Q8_0",
        "_a/b_:file-1.gguf",
    ];
    let good: Vec<Vec<u8>> = good.map(|name| name.as_bytes().to_vec()).into();
    fuzz(
        "name",
        &good,
        |input, _, rng| change_bytes(input, rng),
        |bytes| {
            let id = ModelId::parse(&String::from_utf8_lossy(bytes)).map_err(|_| ())?;
            let spelled = id.to_string();
            // Paths and addresses are made of it.
            assert!(!spelled.contains(['\0', '\\', '\n']));
            assert!(
                !spelled
                    .split('/')
                    .any(|part| [".", "..", ""].contains(&part))
            );
            assert_eq!(ModelId::parse(&spelled).map_err(|_| ()), Ok(id));
            Ok::<_, ()>(())
        },
    );
}

#[cfg(feature = "server")]
mod server {
    use openelm::server::ApiError;
    use openelm::server::openai::{self, Context};
    use openelm::text::Template;

    use super::super::common;
    use super::super::harness::{change_text, fuzz};

    #[test]
    fn bodies() {
        let model = common::load("demo", None, true);
        let mut context = Context::new(&model, "demo-model");
        context.template = Some(Template::instruct().into());
        let completions = [
            r#"{"model":"demo-model","prompt":"Once upon a time","max_tokens":3,"temperature":0.5,"stop":["a","b"],"n":2,"logprobs":2,"echo":true,"seed":7,"stream":false}"#,
            r#"{"prompt":[[1,5],[1,9,7]],"max_tokens":1,"stream":true,"stream_options":{"include_usage":true},"stop_token_ids":[4]}"#,
        ];
        let chats = [
            r#"{"messages":[{"role":"system","content":"x"},{"role":"user","content":[{"type":"text","text":"Hello"}]}],"max_completion_tokens":2,"top_logprobs":2,"logprobs":true}"#,
        ];
        let others = [
            r#"{"content":"Once","add_special":true,"with_pieces":true}"#,
            r#"{"tokens":[1,5,9],"model":"demo-model"}"#,
        ];
        let good = |texts: &[&str]| -> Vec<Vec<u8>> {
            texts.iter().map(|text| text.as_bytes().to_vec()).collect()
        };
        let told = |result: Result<(), ApiError>| {
            if let Err(error) = &result {
                assert_eq!(error.status, 400);
                assert!(error.message.len() < 1000, "{}", error.message);
            }
            result
        };
        fuzz("completions", &good(&completions), change_text, |body| {
            told(openai::completions(body, &context).map(|_| ()))
        });
        fuzz("chat", &good(&chats), change_text, |body| {
            told(openai::chat(body, &context).map(|_| ()))
        });
        fuzz("tokenize", &good(&others), change_text, |body| {
            let results = [
                openai::tokenize(body, &context).map(|_| ()),
                openai::detokenize(body, &context).map(|_| ()),
            ];
            let [one, other] = results.map(told);
            one.or(other)
        });
    }
}

#[cfg(feature = "eval")]
mod eval {
    use std::path::Path;

    use openelm::eval::{Like, Results, Settings, Task};

    use super::super::common::fixture;
    use super::super::files::Place;
    use super::super::harness::{change_bytes, change_text, fuzz};

    fn task(name: &str, place: &Place) -> openelm::Result<Vec<Task>> {
        let settings = Settings {
            data: place.path().to_owned(),
            num_fewshot: None,
            limit: None,
            like: Like::default(),
        };
        Task::open(name, &settings)
    }

    #[test]
    fn lines() {
        for name in ["arc_easy", "boolq", "hellaswag", "winogrande", "race"] {
            let place = Place::new();
            let file = format!("{name}.jsonl");
            let good = std::fs::read(fixture("eval").join(&file)).unwrap();
            fuzz("evaluation's lines", &[good], change_text, |lines| {
                place.write(&file, lines);
                task(name, &place)
            });
        }
    }

    #[test]
    fn parquet() {
        let place = Place::new();
        let folder = place.path().join("ai2_arc/ARC-Easy");
        std::fs::create_dir_all(&folder).unwrap();
        const NAME: &str = "test-00000-of-00001.parquet";
        let good = std::fs::read(fixture("eval/hub/ai2_arc/ARC-Easy").join(NAME)).unwrap();
        fuzz(
            "parquet",
            &[good],
            |input, _, rng| change_bytes(input, rng),
            |file| {
                std::fs::write(folder.join(NAME), file).unwrap();
                task("arc_easy", &place)
            },
        );
    }

    #[test]
    fn results() {
        let good = "{\"id\":\"a\",\"logprobs\":[-1.5,-0.25],\"greedy\":[true,false]}\n{\"id\":\"b\",\"error\":\"x\"}\n";
        fuzz(
            "results",
            &[good.as_bytes().to_vec()],
            change_text,
            |lines| Results::read(&mut &*lines, Path::new("results.jsonl")),
        );
    }
}
