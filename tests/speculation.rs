//! Speculation changes how fast a text comes, not what it says: greedy and looked-up text stays the same to the id, whatever the
//! processors; proposals are those of Hugging Face.

mod common;

use openelm::{
    AssistantSchedule, Dtype, Error, GenerateOptions, GenerationConfig, Model, ModelFiles,
    PromptLookup, SampleOn, Session, Speculation, SpeculationSummary,
};
use serde_json::{Value, json};

fn load(path: &str, dtype: Dtype) -> Model {
    let mut options = common::options(None, true);
    options.dtype = Some(dtype);
    Model::load(path, &options).unwrap()
}

fn fixture(name: &str) -> String {
    common::fixture(name).to_string_lossy().into_owned()
}

/// Another model on the device of `model`: the same with other numbers, so it is right now and then.
fn draft_of(model: &Model, path: &str, dtype: Dtype) -> Model {
    let mut options = common::options(None, true);
    options.dtype = Some(dtype);
    let files = ModelFiles::open(path).unwrap();
    files.load_beside(model, &options, |_| {}).unwrap()
}

fn options(kwargs: &Value, prompt: usize) -> GenerateOptions {
    let pairs = kwargs.as_object().unwrap().iter();
    let pairs = pairs.map(|(key, value)| (key.as_str(), value));
    let config = GenerationConfig::from_pairs(pairs).unwrap();
    config.options(prompt).unwrap()
}

fn run(
    session: &mut Session,
    prompt: &[u32],
    options: &GenerateOptions,
) -> (Vec<u32>, Option<SpeculationSummary>) {
    let mut generation = session.generate(prompt, options).unwrap();
    generation.by_ref().for_each(|token| drop(token.unwrap()));
    let found = (generation.ids().to_vec(), generation.timing().speculation);
    // What was refused is forgotten.
    let text = [prompt, &found.0].concat();
    assert!(text.starts_with(session.tokens()));
    found
}

/// A prompt in which all occurs twice.
const PROMPT: [u32; 12] = [1, 213, 309, 232, 323, 17, 80, 213, 309, 232, 323, 17];

const KINDS: [&str; 9] = [
    r#"{}"#,
    r#"{"repetition_penalty": 1.3}"#,
    r#"{"repetition_penalty": 0.7}"#,
    r#"{"no_repeat_ngram_size": 3}"#,
    r#"{"bad_words_ids": [[386], [17, 137]], "suppress_tokens": [9]}"#,
    r#"{"sequence_bias": [[[386], -3.0], [[17], 2.5]], "repetition_penalty": 0.8}"#,
    r#"{"eos_token_id": [356, 17], "min_new_tokens": 10}"#,
    r#"{"eos_token_id": 356, "exponential_decay_length_penalty": [4, 1.6]}"#,
    r#"{"eos_token_id": 356, "forced_eos_token_id": 356}"#,
];

#[test]
fn proposals_are_those_of_hugging_face() {
    let cases = std::fs::read(common::fixture("lookup.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&cases).unwrap();
    assert_eq!(cases.len(), 27);
    let ids = |value: &Value| -> Vec<u32> { serde_json::from_value(value.clone()).unwrap() };
    let mut proposed = 0;
    for case in &cases {
        let number = |name: &str| case[name].as_u64().unwrap() as usize;
        let lookup = PromptLookup {
            tokens: number("tokens"),
            max_ngram: number("max_ngram"),
        };
        let mut text = ids(&case["prompt"]);
        let steps = case["proposals"].as_array().unwrap().iter();
        for (expected, next) in steps.zip(ids(&case["continuation"])) {
            let found = lookup.propose(&text, &[number("eos") as u32]);
            assert_eq!(found, ids(expected), "{case}");
            proposed += found.len();
            text.push(next);
        }
    }
    assert!(proposed > 100);
}

#[test]
fn looked_up_text_is_the_same_with_every_processor() {
    let model = load(&fixture("openelm-f16"), Dtype::F32);
    let mut session = model.session().unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for kind in KINDS {
        for extra in [
            json!({}),
            json!({"do_sample": true, "temperature": 0.3, "top_k": 20}),
        ] {
            let mut kwargs: Value = serde_json::from_str(kind).unwrap();
            let kwargs = kwargs.as_object_mut().unwrap();
            kwargs.extend(extra.as_object().unwrap().clone());
            kwargs.insert("max_new_tokens".into(), 48.into());
            let plain = options(&json!(kwargs), PROMPT.len());
            let (expected, none) = run(&mut session, &PROMPT, &plain);
            assert_eq!(none, None);
            for (tokens, max_ngram) in [(1, 1), (3, 2), (10, 2)] {
                kwargs.insert("prompt_lookup_num_tokens".into(), tokens.into());
                kwargs.insert("max_matching_ngram_size".into(), max_ngram.into());
                let mut options = options(&json!(kwargs), PROMPT.len());
                // Speculation has the host choose.
                options.sample_on = Some(SampleOn::Device);
                let (ids, summary) = run(&mut session, &PROMPT, &options);
                assert_eq!(ids, expected, "{kwargs:?}");
                let summary = summary.unwrap();
                assert!(summary.accepted <= summary.proposed);
                accepted += summary.accepted;
                refused += summary.proposed - summary.accepted;
            }
            kwargs.remove("prompt_lookup_num_tokens");
        }
    }
    assert!(accepted > 20 && refused > 20, "{accepted} {refused}");
}

#[test]
fn an_assistant_changes_no_greedy_text() {
    let path = fixture("openelm-f16");
    let model = load(&path, Dtype::F32);
    let draft = draft_of(&model, &path, Dtype::Q4);
    let mut session = model.session().unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for schedule in [AssistantSchedule::Constant, AssistantSchedule::Heuristic] {
        let assistant = draft.as_assistant_of(&model, 5, schedule).unwrap();
        let mut counts = vec![assistant.count()];
        for kind in KINDS {
            let mut kwargs: Value = serde_json::from_str(kind).unwrap();
            kwargs["max_new_tokens"] = 40.into();
            let mut options = options(&kwargs, PROMPT.len());
            let (expected, _) = run(&mut session, &PROMPT, &options);
            options.speculation = Some(Speculation::Assistant(assistant.clone()));
            let (ids, summary) = run(&mut session, &PROMPT, &options);
            assert_eq!(ids, expected, "{kwargs}");
            let summary = summary.unwrap();
            accepted += summary.accepted;
            refused += summary.proposed - summary.accepted;
            counts.push(assistant.count());
        }
        // The schedule goes on from text to text.
        let is_constant = schedule == AssistantSchedule::Constant;
        assert_eq!(
            counts.iter().all(|count| *count == 5),
            is_constant,
            "{counts:?}"
        );
    }
    assert!(accepted > 20 && refused > 20, "{accepted} {refused}");
}

/// The number that a schedule says is held against what was accepted, also where the text has no room for as many: as Hugging Face has it.
#[test]
fn a_schedule_grows_only_where_all_of_it_was_right() {
    let path = fixture("openelm-f16");
    let model = load(&path, Dtype::F32);
    let draft = draft_of(&model, &path, Dtype::F32);
    let mut session = model.session().unwrap();
    let count_after = |kwargs: Value, session: &mut Session| {
        let assistant = draft.as_assistant_of(&model, 5, AssistantSchedule::Heuristic);
        let assistant = assistant.unwrap();
        let mut options = options(&kwargs, PROMPT.len());
        options.speculation = Some(Speculation::Assistant(assistant.clone()));
        let (_, summary) = run(session, &PROMPT, &options);
        let summary = summary.unwrap();
        assert_eq!(summary.accepted, summary.proposed);
        (assistant.count(), summary.proposed)
    };
    // Two come without, to be compared with; of the last three one is no proposal's.
    assert_eq!(
        count_after(json!({"max_new_tokens": 5}), &mut session),
        (4, 2)
    );
    assert_eq!(
        count_after(json!({"max_new_tokens": 8}), &mut session),
        (7, 5)
    );
    // An end of the text that was foreseen does not count.
    let plain = json!({"max_new_tokens": 8, "repetition_penalty": 3.0});
    let plain = options(&plain, PROMPT.len());
    let (ids, _) = run(&mut session, &PROMPT, &plain);
    assert!(!ids[..6].contains(&ids[6]), "{ids:?}");
    let ends = json!({"max_new_tokens": 20, "repetition_penalty": 3.0, "eos_token_id": ids[6]});
    assert_eq!(count_after(ends, &mut session), (4, 5));
}

#[test]
fn text_drawn_with_an_assistant_can_be_repeated() {
    let path = fixture("openelm-f16");
    let model = load(&path, Dtype::F32);
    let draft = draft_of(&model, &path, Dtype::Q4);
    let mut session = model.session().unwrap();
    let mut texts = Vec::new();
    for seed in [7, 7, 8] {
        let schedule = AssistantSchedule::HeuristicTransient;
        let assistant = draft.as_assistant_of(&model, 5, schedule).unwrap();
        let kwargs = json!({"do_sample": true, "temperature": 0.8, "max_new_tokens": 60});
        let mut options = options(&kwargs, PROMPT.len());
        options.sampling.seed = seed;
        options.speculation = Some(Speculation::Assistant(assistant));
        let (ids, summary) = run(&mut session, &PROMPT, &options);
        assert!(summary.unwrap().accepted > 0);
        texts.push(ids);
    }
    assert_eq!(texts[0], texts[1]);
    assert_ne!(texts[0], texts[2]);
}

/// An assistant may have a shorter context: behind it the model goes on alone.
#[test]
fn an_assistant_may_see_less() {
    let path = fixture("openelm-f16");
    let model = load(&path, Dtype::F32);
    let mut small = common::options(None, true);
    small.context_size = Some(24);
    let files = ModelFiles::open(&path).unwrap();
    let draft = files.load_beside(&model, &small, |_| {}).unwrap();
    let schedule = AssistantSchedule::Constant;
    let assistant = draft.as_assistant_of(&model, 5, schedule).unwrap();
    let mut session = model.session().unwrap();
    let mut options = options(&json!({"max_new_tokens": 40}), PROMPT.len());
    let (expected, _) = run(&mut session, &PROMPT, &options);
    options.speculation = Some(Speculation::Assistant(assistant));
    let (ids, summary) = run(&mut session, &PROMPT, &options);
    assert_eq!(ids, expected);
    assert!(summary.unwrap().proposed > 0);
}

#[test]
fn an_assistant_with_other_ids_is_refused() {
    let model = load(&fixture("openelm-f16"), Dtype::F16);
    let demo = Model::load("demo", &common::options(None, false)).unwrap();
    let refused = demo.as_assistant_of(&model, 5, AssistantSchedule::Constant);
    assert!(matches!(refused, Err(Error::OtherVocabulary { .. })));
}
