//! Files that only the window reads: conversations of this program and of others, traces, settings. Compiled into the library's
//! unit tests.

#[path = "harness.rs"]
mod harness;

use super::conversation::Conversation;
use super::import::{Found, read};
use super::settings::Settings;
use super::store::lenient;
use crate::trace::{About, html};
use harness::{Read, change_bytes, change_text, fuzz};

#[global_allocator]
static COUNTING: harness::Counting = harness::Counting;

const OURS: &str = r#"{"id":"01700000000000000000","title":"A fox","created":1700000000000,"changed":1700000000100,"pinned":true,"tags":["a","b"],
    "mode":"chat","system":"Be brief.","template":"inst","messages":[{"parent":null,"role":"user","text":"What is a fox?"},
    {"parent":0,"role":"assistant","text":"An animal."},{"parent":0,"role":"assistant","text":"Red."}],"chosen":0}"#;

const CHATGPT: &str = r#"[{"title":"Foxes","create_time":1700000000.5,"update_time":1700000100.0,"current_node":"b","mapping":{
    "root":{"id":"root","message":null,"parent":null,"children":["q"]},
    "q":{"id":"q","parent":"root","children":["a","b"],"message":{"author":{"role":"user"},"recipient":"all",
        "content":{"content_type":"multimodal_text","parts":[{"content_type":"image_asset_pointer"},"What is a fox?"]}}},
    "a":{"id":"a","parent":"q","children":[],"message":{"author":{"role":"assistant"},"recipient":"all","content":{"content_type":"text","parts":["A."]}}},
    "b":{"id":"b","parent":"q","children":[],"message":{"author":{"role":"assistant"},"recipient":"all","content":{"content_type":"text","parts":["B."]}}}}}]"#;

const LLAMA_CPP: &str = r#"[{"conv":{"id":"c","name":"Greetings","currNode":2,"lastModified":1700000000000},"messages":[
    {"id":0,"convId":"c","type":"root","role":"system","content":"","parent":null},
    {"id":1,"type":"text","role":"user","content":"Hi","parent":0,"extra":[{"type":"imageFile","name":"a.png"}]},
    {"id":2,"type":"text","role":"assistant","content":"Hello","parent":1},{"id":3,"type":"text","role":"assistant","content":"Hey","parent":1}]}]"#;

const OPEN_WEBUI: &str = r#"[{"id":"1","title":"Owls","created_at":1700000000,"updated_at":1700000500,"pinned":true,"meta":{"tags":["birds"]},
    "chat":{"title":"Owls","system":"Be brief.","history":{"currentId":"b","messages":{
    "q":{"id":"q","parentId":null,"childrenIds":["a","b"],"role":"user","content":"Owls?","timestamp":5,"files":[{"type":"image"}]},
    "a":{"id":"a","parentId":"q","role":"assistant","content":"Birds.","timestamp":7},
    "b":{"id":"b","parentId":"q","role":"assistant","content":"Night birds.","timestamp":6}}},"messages":[{"role":"user","content":"Owls?"}]}}]"#;

const LM_STUDIO: &str = r#"{"name":"Kings","createdAt":1700000000000,"systemPrompt":"Be a bard.","messages":[
    {"currentlySelected":0,"versions":[{"type":"singleStep","role":"user","content":[{"type":"text","text":"A king?"}]}]},
    {"currentlySelected":1,"versions":[{"type":"singleStep","role":"assistant","content":[{"type":"text","text":"No."}]},
    {"type":"multiStep","role":"assistant","steps":[{"type":"contentBlock","style":{"type":"thinking"},"content":[{"type":"text","text":"Hm."}]},
    {"type":"contentBlock","content":[{"type":"text","text":"There was a king."}]},{"type":"debugInfoBlock","debugInfo":"x"}]}]}]}"#;

const SESSION: &str = r#"{"type":"session","harness":"llama.app","id":"c","name":"Greetings","currNode":"b"}
{"type":"message","message":{"id":"q","parent":null,"role":"user","content":[{"type":"text","text":"Hi"}]}}
{"type":"message","message":{"id":"b","parent":"q","role":"assistant","content":"Hello"}}"#;

const TRACE: &str = r#"{"metadata":{"model":"demo","dtype":"q8","adapter":{"name":"a GPU","backend":"vulkan","driver":"1","device_type":"cpu"},
    "peaks":{"bytes_per_s":1e9,"flops_per_s":2e9,"is_estimated":true},"layers":[{"q_heads":4,"kv_heads":1,"ffn_dim":64}],
    "requests":[[1],[1,2]],"left_out":3},"steps":[
    {"phase":"prefill","tokens":5,"position":0,"begin_ns":0,"wall_ns":900,"mode":"kernels","spans":[
        {"layer":0,"kernel":"qkv","start_ns":5,"duration_ns":7,"read":100,"written":10,"flops":1000},
        {"layer":null,"kernel":"head","start_ns":15,"duration_ns":70,"read":100,"written":10,"flops":1000}]},
    {"phase":"decode","tokens":1,"proposed":2,"accepted":1,"position":5,"begin_ns":1000,"wall_ns":500,"mode":"kernels","spans":null}]}"#;

const SETTINGS: &str = r#"{"draft":"Once","trace":"kernels","max_tokens":100,"zoom":1.5,"answers":3,"theme":"dark","sampling":{"temperature":0.7,"own":true},
    "presets":[{"name":"a","system":"Be brief.","sampling":{"top_p":0.9}}],"model_sampling":{"demo":{"min_p":0.1}},
    "drafts":[{"conversation":"01700000000000000000","text":"And"}]}"#;

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// What is taken in can be shown, kept, and read once more as what it was.
fn use_it(found: Found) -> Result<(), String> {
    match found {
        Found::Conversations(conversations) => {
            for conversation in &conversations.all {
                assert!(conversation.path().len() <= conversation.total());
                let _ = conversation.markdown();
                let kept = serde_json::to_vec(&conversation.kept()).unwrap();
                let again = Conversation::from_json(&kept).unwrap();
                assert_eq!(again.total(), conversation.total());
            }
        }
        Found::Trace(trace) => {
            let about = About {
                model: &trace.subject.model,
                adapter: &trace.subject.adapter,
                layers: trace.subject.layers,
                peaks: trace.peaks,
                ..About::default()
            };
            assert!(html(&trace.steps, &about).len() < 64 << 20);
        }
    }
    Ok(())
}

#[test]
fn imports() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("import.json");
    let good = texts(&[
        OURS, CHATGPT, LLAMA_CPP, OPEN_WEBUI, LM_STUDIO, SESSION, TRACE,
    ]);
    fuzz("imports", &good, change_text, |json| {
        std::fs::write(&path, json).unwrap();
        read(&path).and_then(use_it)
    });
}

#[test]
fn settings() {
    fuzz(
        "settings.json",
        &texts(&[SETTINGS]),
        |input, others, rng| match rng.below(4) {
            0 => change_bytes(input, rng),
            _ => change_text(input, others, rng),
        },
        |json| match lenient::read::<Settings>(json) {
            Ok((settings, _)) => {
                // What was read can be written, and read again without loss.
                let written = serde_json::to_vec(&settings).unwrap();
                assert!(lenient::read::<Settings>(&written).unwrap().1.is_empty());
                Read::Taken
            }
            Err(_) => Read::Refused,
        },
    );
}
