//! Conversations of other programs: roles, text and branches, and a word about what was left out.

use egui_kittest::kittest::Queryable;
use serde_json::{Value, json};

use crate::history::{drop_files, undo, until};
use crate::scene::{Scene, stage, wait};

/// Drops a file, and waits until it is imported.
fn import<'a>(name: &str, file: &Value, told: &str) -> Scene<'a> {
    let mut stage = stage("OpenELM-270M-Instruct");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, file.to_string()).unwrap();
    drop_files(&mut stage, &[path]);
    wait(&mut stage, told);
    stage.window.run();
    stage
}

fn shown(stage: &Scene<'_>) -> Vec<String> {
    let conversation = stage.window.state().conversation();
    let path = conversation.path().iter();
    path.map(|at| conversation.message(*at).text.clone())
        .collect()
}

fn node(id: &str, parent: Value, role: &str, content: Value) -> Value {
    json!({ "id": id, "parent": parent, "children": [],
        "message": { "author": { "role": role }, "content": content, "recipient": "all" } })
}

#[test]
fn chatgpt_conversations_come_with_branches() {
    let text = |text: &str| json!({ "content_type": "text", "parts": [text] });
    let file = json!([{
        "title": "Foxes", "create_time": 1_700_000_000.5, "update_time": 1_700_000_100.0,
        "current_node": "b",
        "mapping": {
            "root": { "id": "root", "message": null, "parent": null, "children": ["s"] },
            "s": node("s", json!("root"), "system", text("")),
            "q": node("q", json!("s"), "user", json!({ "content_type": "multimodal_text",
                "parts": [{ "content_type": "image_asset_pointer" }, "What is a fox?"] })),
            "a": node("a", json!("q"), "assistant", text("An animal.")),
            "t": node("t", json!("q"), "tool", json!({ "content_type": "execution_output", "text": "42" })),
            "b": node("b", json!("t"), "assistant", text("A small animal.")),
        },
    }, {
        "title": "Empty", "mapping": {}, "current_node": null,
    }]);
    let told = "One conversation from ChatGPT. 2 things that are no text were left out.";
    let mut stage = import("conversations.json", &file, told);
    assert_eq!(shown(&stage), ["What is a fox?", "A small animal."]);
    assert!(stage.has("2/2"), "the other answer is a branch");
    stage.click("Previous branch");
    assert!(stage.has("An animal."));
    let conversation = stage.window.state().conversation();
    assert_eq!(conversation.title, "Foxes");
    assert_eq!(conversation.created, 1_700_000_000_500);
    undo(&mut stage);
    assert!(!stage.has("An animal."));
}

#[test]
fn llama_cpp_conversations_of_both_versions_are_read() {
    let messages = |id: fn(u64) -> Value| {
        json!([
            { "id": id(0), "convId": "c", "type": "root", "role": "system", "content": "", "parent": null },
            { "id": id(1), "type": "text", "role": "user", "content": "Hi", "parent": id(0),
              "extra": [{ "type": "imageFile", "name": "a.png" }] },
            { "id": id(2), "type": "text", "role": "assistant", "content": "Hello", "parent": id(1) },
            { "id": id(3), "type": "text", "role": "assistant", "content": "Hey", "parent": id(1) },
        ])
    };
    let forms: [fn(u64) -> Value; 2] = [|id| json!(id), |id| json!(format!("m{id}"))];
    for id in forms {
        let one = json!({ "conv": { "id": "c", "name": "Greetings", "currNode": id(2),
            "lastModified": 1_700_000_000_000_u64 }, "messages": messages(id) });
        for file in [json!([one]), one.clone()] {
            let told = "One conversation from llama.cpp. One thing that is no text was left out.";
            let stage = import("all.json", &file, told);
            assert_eq!(shown(&stage), ["Hi", "Hello"]);
            assert!(stage.has("1/2"));
        }
    }
}

#[test]
fn sessions_in_lines_are_read_with_or_without_branches() {
    // Files are read by a thread: they stay until the end.
    let folder = tempfile::tempdir().unwrap();
    let import = |name: &str, lines: &[Value], told: &str| {
        let path = folder.path().join(name);
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        std::fs::write(&path, lines.join("\r\n")).unwrap();
        let mut stage = stage("OpenELM-270M-Instruct");
        drop_files(&mut stage, &[path]);
        wait(&mut stage, told);
        stage.window.run();
        stage
    };
    let head = json!({ "type": "session", "harness": "llama.app", "id": "c", "name": "Greetings" });
    let said = |role: &str, content: Value| json!({ "type": "message", "message": { "role": role, "content": content } });
    let flat = [
        head.clone(),
        said("system", json!("Be brief.")),
        said(
            "user",
            json!([{ "type": "text", "text": "Hi" }, { "type": "image_url" }]),
        ),
        said("assistant", json!("Hello")),
        json!({ "type": "tool_result" }),
    ];
    let told = "One conversation from llama.cpp. 2 things that are no text were left out.";
    let stage = import("talk.jsonl", &flat, told);
    assert_eq!(shown(&stage), ["Hi", "Hello"]);
    let conversation = stage.window.state().conversation();
    assert_eq!(
        (conversation.title.as_str(), conversation.system.as_str()),
        ("Greetings", "Be brief.")
    );

    let node = |id: &str, parent: Value, role: &str, content: &str| json!({ "type": "message", "message": { "id": id, "parent": parent, "role": role, "content": content } });
    let mut head = head;
    head["currNode"] = json!("b");
    let tree = [
        head,
        node("q", json!(null), "user", "Hi"),
        node("a", json!("q"), "assistant", "Hello"),
        node("b", json!("q"), "assistant", "Hey"),
    ];
    let stage = import("tree.jsonl", &tree, "One conversation from llama.cpp.");
    assert_eq!(shown(&stage), ["Hi", "Hey"]);
    assert!(stage.has("2/2"));

    let broken = [
        json!({ "type": "session" }),
        json!({ "type": "message", "message": 5 }),
    ];
    import("broken.jsonl", &broken, "broken.jsonl: line 2: ");
    // What is no session is a text.
    let mut stage = import("data.jsonl", &[json!({ "prompt": "a fox" })], "Message");
    until(&mut stage, "the text", |stage| {
        let message = stage.window.get_by_label("Message").value();
        message.is_some_and(|text| text.contains("a fox"))
    });
}

#[test]
fn an_archive_is_to_be_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.zip");
    std::fs::write(&path, b"PK\x03\x04 and so on").unwrap();
    let mut stage = stage("demo");
    drop_files(&mut stage, &[path]);
    wait(&mut stage, "export.zip: is a ZIP archive: unpack it");
}

#[test]
fn open_webui_chats_come_with_tags_and_branches() {
    let file = json!([{
        "id": "1", "title": "Owls", "created_at": 1_700_000_000, "updated_at": 1_700_000_500, "pinned": true,
        "meta": { "tags": ["birds"] },
        "chat": { "title": "Owls", "system": "Be brief.", "history": { "currentId": "b", "messages": {
            "q": { "id": "q", "parentId": null, "childrenIds": ["a", "b"], "role": "user", "content": "Owls?",
                   "timestamp": 5, "files": [{ "type": "image" }] },
            "a": { "id": "a", "parentId": "q", "role": "assistant", "content": "Birds.", "timestamp": 7 },
            "b": { "id": "b", "parentId": "q", "role": "assistant", "content": "Night birds.", "timestamp": 6 },
        } }, "messages": [] },
    }]);
    let told = "One conversation from Open WebUI. One thing that is no text was left out.";
    let stage = import("chat-export.json", &file, told);
    assert_eq!(shown(&stage), ["Owls?", "Night birds."]);
    assert!(stage.has("1/2"), "earlier ones come first");
    let conversation = stage.window.state().conversation();
    assert_eq!(conversation.system, "Be brief.");
    assert_eq!((conversation.pinned, conversation.tags.len()), (true, 1));
    // Without a history there is what was shown.
    let flat = json!([{ "title": "Flat", "chat": { "messages": [
        { "role": "user", "content": "One?" }, { "role": "assistant", "content": "Two." } ] } }]);
    let stage = import("flat.json", &flat, "One conversation from Open WebUI.");
    assert_eq!(shown(&stage), ["One?", "Two."]);
}

#[test]
fn lm_studio_conversations_come_with_versions() {
    let said = |text: &str| json!([{ "type": "text", "text": text }]);
    let file = json!({
        "name": "Kings", "createdAt": 1_700_000_000_000_u64, "systemPrompt": "Be a bard.",
        "messages": [
            { "currentlySelected": 0, "versions": [
                { "type": "singleStep", "role": "user", "content": said("A king?") } ] },
            { "currentlySelected": 1, "versions": [
                { "type": "singleStep", "role": "assistant", "content": said("No.") },
                { "type": "multiStep", "role": "assistant", "steps": [
                    { "type": "contentBlock", "style": { "type": "thinking" }, "content": said("Hm.") },
                    { "type": "contentBlock", "content": said("There was a king.") },
                    { "type": "debugInfoBlock", "debugInfo": "x" } ] } ] },
            { "currentlySelected": 0, "versions": [
                { "type": "singleStep", "role": "user", "content": said("And?") } ] },
        ],
    });
    let told = "One conversation from LM Studio. One thing that is no text was left out.";
    let stage = import("1700.conversation.json", &file, told);
    assert_eq!(shown(&stage), ["A king?", "There was a king.", "And?"]);
    assert!(stage.has("2/2"));
    assert_eq!(stage.window.state().conversation().system, "Be a bard.");
}

#[test]
fn what_is_odd_in_them_is_told_or_passed_over() {
    let looping = json!([{ "title": 7, "mapping": {
        "a": node("a", json!("b"), "user", json!({ "parts": ["a"] })),
        "b": node("b", json!("a"), "user", json!({ "parts": ["b"] })),
    }, "current_node": ["a"] }]);
    import("loop.json", &looping, "has no messages with text");
    let wrong = json!([{ "title": "x", "mapping": "none" }]);
    import("wrong.json", &wrong, "wrong.json");
    let many = json!([{ "chat": { "messages": vec![json!({}); 50_001] } }]);
    import("many.json", &many, "at most 50000 messages");
    let unknown = json!([{ "prompt": "a", "answer": "b" }]);
    import(
        "unknown.json",
        &unknown,
        "is neither a trace nor a conversation",
    );
}
