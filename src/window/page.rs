//! A conversation as HTML, with what each answer took: the part of a page that [`crate::trace::html`] makes a whole of.

use std::fmt::Write;

use super::conversation::{Conversation, Mode};
use super::message::describe;
use crate::text::Role;
use crate::trace::escaped;

/// What is shown of a conversation. Texts are as they were written: nothing in them is markup.
pub fn html(conversation: &Conversation) -> String {
    let mut text = String::from("<section class=\"talk\">");
    let system = conversation.system.trim();
    if !system.is_empty() {
        said(&mut text, "System", "system", system);
    }
    let messages = conversation
        .path()
        .iter()
        .map(|at| conversation.message(*at));
    if conversation.mode == Mode::Completion {
        // One text, which both wrote.
        text.push_str("<p class=\"said\">");
        for message in messages.clone() {
            let words = escaped(&message.text);
            let _ = match message.role {
                Role::Assistant => write!(text, "{words}"),
                _ => write!(text, "<b class=\"person\">{words}</b>"),
            };
        }
        text.push_str("</p>");
    }
    for message in messages {
        match (conversation.mode, message.role) {
            (Mode::Completion, _) => {}
            (Mode::Chat, Role::Assistant) => {
                said(&mut text, "Assistant", "assistant", &message.text);
            }
            (Mode::Chat, _) => said(&mut text, "You", "person", &message.text),
        }
        if let Some(stats) = &message.stats {
            let numbers = describe(stats).join(" · ");
            let [numbers, model] = [&numbers, &stats.model].map(|text| escaped(text));
            let _ = write!(text, "<p class=\"note\">{numbers} · <bdi>{model}</bdi></p>");
        }
    }
    text + "</section>\n"
}

fn said(text: &mut String, who: &str, class: &str, words: &str) {
    let words = escaped(words);
    let _ = write!(
        text,
        "<h3>{who}</h3><p class=\"said {class}\"><bdi>{words}</bdi></p>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(mode: Mode) -> Conversation {
        let mut conversation = Conversation::new("1".into(), mode, "Plain".into());
        let asked = conversation.add(None, Role::User, "Is <b>this</b> \"bold\"?");
        conversation.add(Some(asked), Role::Assistant, "</p><script>no</script>");
        conversation
    }

    #[test]
    fn what_was_said_is_no_markup() {
        for mode in [Mode::Chat, Mode::Completion] {
            let html = html(&conversation(mode));
            assert!(html.contains("Is &lt;b&gt;this&lt;/b&gt; &quot;bold&quot;?"));
            assert!(html.contains("&lt;/p&gt;&lt;script&gt;no"));
            assert!(!html.contains("<script"));
        }
    }

    #[test]
    fn a_chat_says_who_said_what() {
        let chat = html(&conversation(Mode::Chat));
        assert!(chat.find("<h3>You</h3>").unwrap() < chat.find("<h3>Assistant</h3>").unwrap());
        assert!(!html(&conversation(Mode::Completion)).contains("<h3>"));
    }
}
