//! How what was asked for is done.

use super::App;
use super::exports;
use crate::engine::Alternative;
use crate::text::{Role, Template};
use crate::window::action::{Action, BannerId, Overlay};
use crate::window::conversation::{MODELS_OWN, Mode, template_for};
use crate::window::markdown;
use crate::window::settings::Setting;
use crate::window::state::{Banner, NarrowView, OpenEdit};
use crate::window::theme;
use crate::window::tokens::text_before;

/// A model's path that will be true wherever the program starts next time; other names as they are.
fn absolute(model: &str) -> String {
    if model == "demo" || model.starts_with("shape:") {
        return model.to_owned();
    }
    match std::path::absolute(model) {
        Ok(path) if path.exists() => path.display().to_string(),
        _ => model.to_owned(),
    }
}

impl App {
    /// Does what was asked for.
    pub fn act(&mut self, action: Action) {
        self.perform(action);
        self.saving.touch();
        self.list_changes();
    }

    fn perform(&mut self, action: Action) {
        // Several things asked for in one frame: the first may have changed what the next is about.
        if action
            .message()
            .is_some_and(|at| at >= self.conversation().total())
        {
            return;
        }
        match action {
            Action::SetDraft(text) => self.state.set_draft(text),
            Action::SendDraft => {
                let draft = self.state.draft().to_owned();
                self.state.set_draft(String::new());
                self.send(draft);
                self.views.chat.focus_composer();
            }
            Action::Send(text) => self.send(text),
            Action::Stop => self.stop(),
            Action::Regenerate(at) => self.regenerate(at, self.state.settings.answers()),
            Action::RegenerateSeveral(at, count) => self.regenerate(at, count),
            Action::Continue(at) => self.go_on(at),
            Action::Edit(at) => self.edit(at),
            Action::SetEdit(text) => {
                if let Some(mut edit) = self.take_edit() {
                    edit.text = text;
                    let id = self.conversation().id.clone();
                    self.state.edits.insert(id, edit);
                }
            }
            Action::SaveEdit => self.save_edit(),
            Action::SendEdit => self.send_edit(),
            Action::CancelEdit => self.cancel_edit(),
            Action::RestoreEdit {
                conversation,
                message,
                text,
            } => {
                if self.state.edit().is_none() && self.conversation().id == conversation {
                    let edit = OpenEdit { message, text };
                    self.state.edits.insert(conversation, edit);
                    self.views.chat.focus_editor();
                }
            }
            Action::BranchAt {
                message,
                token,
                alternative,
            } => self.branch_at(message, token, &alternative),
            Action::Copy(at) => self.egui.copy_text(self.state.editable(at)),
            Action::CopyPlain(at) => {
                let text = self.state.editable(at);
                let is_markdown = self.conversation().mode == Mode::Chat;
                self.egui.copy_text(match is_markdown {
                    true => markdown::plain(&text),
                    false => text,
                });
            }
            Action::Delete(at) => self.delete(at),
            Action::Undo => self.undo(),
            Action::Redo => self.redo(),
            Action::Choose(at) => {
                (self.state.inspected, self.state.offered) = (None, None);
                self.conversation_mut().choose(at);
            }
            Action::Inspect(at) => self.state.inspected = Some(at),
            Action::CloseInspector => self.state.inspected = None,

            Action::OpenFind => self.open_find(),
            Action::CloseFind => self.close_find(),
            Action::SetFind(query) => self.set_find(query),
            Action::FindEverywhere(everywhere) => self.find_everywhere(everywhere),
            Action::StepFind { is_back } => self.step_find(is_back),
            Action::OpenFound(at) => self.open_found(at),

            Action::New(mode) => {
                self.state.dismiss(BannerId::ContextFull);
                self.new_conversation(mode);
            }
            Action::Open(id) => self.open(&id),
            Action::DeleteConversation(id) => self.delete_conversation(&id),
            Action::Rename(..) | Action::Pin(..) | Action::Tag(..) => self.change_listed(action),
            Action::Duplicate(id) => self.duplicate(&id),
            Action::OpenTrash => self.open_trash(),
            Action::RestoreThrown(id) => self.restore_thrown(&id),
            Action::DeleteForGood(id) => self.delete_for_good(&id),
            Action::TakeTexts(paths) => self.reading.texts(paths),
            Action::Import => self.dialogs.pick_imports(),
            Action::ImportFiles(paths) => self.reading.import(paths),
            Action::UndoListed(turn) => self.undo_listed(turn),
            Action::SetMode(mode) => self.set_mode(mode),
            Action::SetSystem(system) => self.conversation_mut().system = system,
            Action::TakeSystem(system) => self.take_system(system),
            Action::SetTemplate(name) => self.conversation_mut().template = name,
            Action::SaveTemplate { original, template } => self.save_template(&original, template),
            Action::DeleteTemplate(name) => self.delete_template(&name),
            Action::RestoreTemplate(template, used_by) => self.restore_template(template, &used_by),

            Action::Load(model) => {
                self.state.overlays.remove(&Overlay::Models);
                self.may_fall_back = false;
                self.has_fallen_back = false;
                self.load(&absolute(model.trim()));
            }
            Action::CancelLoading => self.cancel_loading(),
            Action::Pull(name) => self.pull(&name),
            Action::CancelPull(name) => self.cancel_pull(&name),
            Action::SetDevice(device) => self.state.load.device = device,
            Action::FindAdapters => {
                self.state.adapters = Some(Vec::new());
                self.dialogs.find_adapters();
            }
            Action::PickModel => self.dialogs.pick_model(),
            Action::PickTokenizer => self.dialogs.pick_tokenizer(),
            Action::ForgetTokenizer => {
                self.state.load.tokenizer = None;
                self.state.settings.tokenizer = None;
            }

            Action::Set(Setting::DeletePreset(name)) => self.delete_preset(name),
            Action::Set(setting) => {
                if let Setting::Appearance(appearance) = setting {
                    theme::apply(&self.egui, appearance);
                }
                self.state.settings.set(setting);
                self.egui.set_zoom_factor(self.state.settings.zoom());
            }
            Action::Save(export) => {
                let content = exports::content(&self.state, self.reading.reader(), export);
                let name = exports::file_name(&self.state, export);
                self.dialogs
                    .save(name, || content().map(String::into_bytes));
            }
            Action::CopyMarkdown => self.egui.copy_text(self.conversation().markdown()),
            Action::TakePicture(what, to) => self.pictures.want(what, to),
            Action::RetrySave => self.saving.retry(&self.state),

            Action::ShowOverlay(overlay) => {
                if overlay == Overlay::Models {
                    self.find_models();
                }
                self.state.overlays.insert(overlay);
            }
            Action::HideOverlay(overlay) => {
                self.state.overlays.remove(&overlay);
            }
            Action::ToggleTimings => self.toggle_timings(),
            Action::ToggleSidebar => self.toggle_sidebar(),
            Action::Dismiss(banner) => self.state.dismiss(banner),

            Action::ShowTab(tab) => self.state.timings.tab = tab,
            Action::ShowBeside(tab) => self.state.timings.beside = tab,
            Action::ShowPhase(phase) => self.state.timings.show_phase(phase),
            Action::Select(selection) => self.state.timings.selection = selection,
            Action::Compare(pair) => self.state.timings.compared = pair,
            Action::CloseTrace => self.state.timings.close(),
            Action::PauseTiming(is_paused) => self.pause_timing(is_paused),

            Action::Escape => self.escape(),
        }
    }

    // ---- messages

    fn send(&mut self, text: String) {
        if !self.state.can_generate() {
            self.state.set_draft(text);
            return;
        }
        // A word at the end of the box would run into what the model writes; a text keeps its spaces.
        let text = match self.conversation().mode {
            Mode::Completion => text,
            Mode::Chat => text.trim().to_owned(),
        };
        let last = self.conversation().last();
        let count = self.state.settings.answers();
        match last {
            Some(last) if text.trim().is_empty() => match self.conversation().message(last).role {
                Role::Assistant if count == 1 || self.conversation().mode == Mode::Chat => {
                    self.go_on(last);
                }
                _ => self.answers(Some(last), count),
            },
            _ if text.trim().is_empty() => {}
            _ => {
                self.state.settings.was_sent(&text);
                let asked = self.conversation_mut().add(last, Role::User, &text);
                self.answers(Some(asked), count);
            }
        }
    }

    /// Has the model write `count` other answers together.
    fn regenerate(&mut self, message: usize, count: usize) {
        if self.state.can_generate() {
            let parent = self.conversation().message(message).parent;
            self.answers(parent, count);
        }
    }

    /// Has the model write more of a message.
    fn go_on(&mut self, message: usize) {
        if self.state.can_generate() {
            let conversation = self.conversation();
            match conversation.prompt(&self.state.template(), Some(message)) {
                Ok(prompt) => self.generate(&[message], &prompt, Vec::new()),
                Err(error) => self.tell_failure(&error),
            }
        }
    }

    fn branch_at(&mut self, message: usize, token: usize, alternative: &Alternative) {
        if !self.state.can_generate() {
            return;
        }
        let conversation = self.conversation();
        let text = text_before(conversation, message).to_owned();
        let branched = conversation.message(message);
        let before = branched.tokens.iter().take(token);
        let mut forced: Vec<(u32, f32)> = before
            .map(|event| (event.token.id, event.token.logprob))
            .collect();
        forced.push((alternative.id, alternative.logprob));
        let parent = branched.parent;
        self.state.inspected = None;
        self.answer(parent, &text, forced);
    }

    fn edit(&mut self, message: usize) {
        let open = self.state.edit().map(|edit| edit.message);
        if let Some(open) = open.filter(|_| self.conversation().mode == Mode::Chat) {
            let conversation = self.conversation();
            if conversation.kept_index(open).is_none() {
                // It has been deleted with what it answered.
                self.take_edit();
            } else if !conversation.path().contains(&open) {
                self.conversation_mut().choose(open);
                self.views.chat.focus_editor();
            }
        }
        if self.state.edit().is_some() {
            let text = "Another message is being edited: save or cancel that first.";
            self.state
                .tell(Banner::note(BannerId::EditInProgress, text));
            return;
        }
        let id = self.conversation().id.clone();
        let text = self.state.editable(message);
        self.state.edits.insert(id, OpenEdit { message, text });
        self.views.chat.focus_editor();
    }

    /// Ends the edit of the conversation in sight.
    fn take_edit(&mut self) -> Option<OpenEdit> {
        let state = &mut self.state;
        state.edits.remove(&state.conversations[state.current].id)
    }

    /// Ends it without a change; what was written can be had back.
    fn cancel_edit(&mut self) {
        let Some(OpenEdit { message, text }) = self.take_edit() else {
            return;
        };
        if text != self.state.editable(message) {
            let restore = Action::RestoreEdit {
                conversation: self.conversation().id.clone(),
                message,
                text,
            };
            let banner = Banner::note(BannerId::EditCancelled, "The message is as it was.");
            self.state.tell(banner.with_fix("Go on editing", restore));
        }
    }

    fn save_edit(&mut self) {
        let Some(OpenEdit { message, text }) = self.take_edit() else {
            return;
        };
        self.state.inspected = None;
        self.state.dismiss(BannerId::MessageDeleted);
        let conversation = self.conversation_mut();
        match conversation.mode {
            Mode::Chat => conversation.edit(message, text),
            // The text as a whole, as a branch beside what it was.
            Mode::Completion => {
                conversation.add(None, Role::User, &text);
            }
        }
    }

    fn send_edit(&mut self) {
        if !self.state.can_generate() {
            return;
        }
        if let Some(OpenEdit { message, text }) = self.take_edit() {
            let parent = self.conversation().message(message).parent;
            let asked = self.conversation_mut().add(parent, Role::User, &text);
            self.answers(Some(asked), self.state.settings.answers());
        }
    }

    fn delete(&mut self, message: usize) {
        self.state.inspected = None;
        self.conversation_mut().delete(message);
        if self
            .state
            .edit()
            .is_some_and(|edit| edit.message == message)
        {
            self.take_edit();
        }
        let text = "The message and what followed it.";
        let banner = Banner::note(BannerId::MessageDeleted, text);
        self.state.tell(banner.with_fix("Undo", Action::Undo));
    }

    fn undo(&mut self) {
        // What the model is writing to must stay as it is.
        if !self.undo_last_listed() && !self.state.is_writing_here() {
            self.state.inspected = None;
            self.conversation_mut().undo();
            self.state.dismiss(BannerId::MessageDeleted);
        }
    }

    fn redo(&mut self) {
        if !self.redo_last_listed() && !self.state.is_writing_here() {
            self.state.inspected = None;
            self.conversation_mut().redo();
        }
    }

    // ---- conversations

    fn set_mode(&mut self, mode: Mode) {
        if self.conversation().mode == mode {
            return;
        }
        // An edit of the whole text is none of a message, nor the other way round.
        if let Some(OpenEdit { message, text }) = self.state.edit()
            && self.conversation().kept_index(*message).is_some()
            && self.state.editable(*message) != *text
        {
            let text = "A message is being edited: save or cancel that first.";
            self.state
                .tell(Banner::note(BannerId::EditInProgress, text));
            return;
        }
        self.take_edit();
        let template = self.state.template_for(mode);
        let conversation = self.conversation_mut();
        match [template_for(conversation.mode), MODELS_OWN].contains(&&*conversation.template) {
            true => conversation.set_mode(mode, template),
            false => conversation.mode = mode,
        }
    }

    fn save_template(&mut self, original: &str, template: Template) {
        let name = template.name.clone();
        self.state.settings.renamed_templates.remove(&name);
        let own = &mut self.state.settings.templates;
        let is_own = own.iter().any(|other| other.name == original);
        own.retain(|other| other.name != name && other.name != original);
        own.push(template);
        if is_own {
            self.rename_template(original, &name);
        } else if self.conversation().template == original {
            // Others stay with the built-in one. The editor may still be open when another conversation is shown.
            self.conversation_mut().template = name;
        }
    }

    fn delete_template(&mut self, name: &str) {
        let own = &mut self.state.settings.templates;
        let at = own.iter().position(|template| template.name == name);
        let Some(template) = at.map(|at| own.remove(at)) else {
            return;
        };
        let using = self.state.conversations.iter();
        let using = using.filter(|conversation| conversation.template == name);
        let used_by = using.map(|conversation| conversation.id.clone()).collect();
        self.rename_template(name, self.state.template_for(Mode::Chat));
        let text = format!("The template `{name}`.");
        let back = Action::RestoreTemplate(template, used_by);
        let banner = Banner::note(BannerId::TemplateDeleted, text);
        self.state.tell(banner.with_fix("Undo", back));
    }

    /// Has a template back that was deleted, in the conversations that used it, whether they were read or not.
    fn restore_template(&mut self, template: Template, used_by: &[String]) {
        let settings = &mut self.state.settings;
        settings.renamed_templates.remove(&template.name);
        settings
            .templates
            .retain(|other| other.name != template.name);
        for id in used_by {
            if let Some(conversation) = self.changed_conversation(id) {
                conversation.template.clone_from(&template.name);
            }
        }
        self.state.settings.templates.push(template);
        self.state.dismiss(BannerId::TemplateDeleted);
    }

    fn delete_preset(&mut self, name: String) {
        let mut presets = self.state.settings.presets.iter();
        if let Some(preset) = presets.find(|preset| preset.name == name) {
            let back = Action::Set(Setting::RestorePreset(preset.clone()));
            let banner = Banner::note(BannerId::PresetDeleted, format!("The preset `{name}`."));
            self.state.tell(banner.with_fix("Undo", back));
        }
        self.state.settings.set(Setting::DeletePreset(name));
    }

    /// Has all conversations that use one template use another.
    fn rename_template(&mut self, from: &str, to: &str) {
        let using = self.state.conversations.iter_mut();
        for conversation in using.filter(|conversation| conversation.template == from) {
            to.clone_into(&mut conversation.template);
            self.saving.mark(&conversation.id);
        }
        self.state.settings.template_renamed(from, to);
    }

    // ---- what is shown

    fn toggle_timings(&mut self) {
        let state = &mut self.state;
        if !state.is_narrow {
            state.settings.timings = !state.settings.timings;
            return;
        }
        state.settings.timings = true;
        state.narrow = match state.narrow {
            NarrowView::Timings => NarrowView::Chat,
            _ => NarrowView::Timings,
        };
    }

    fn toggle_sidebar(&mut self) {
        let state = &mut self.state;
        if !state.is_narrow {
            state.settings.sidebar = !state.settings.sidebar;
            return;
        }
        state.narrow = match state.narrow {
            NarrowView::Sidebar => NarrowView::Chat,
            _ => NarrowView::Sidebar,
        };
    }

    fn escape(&mut self) {
        if !self.state.overlays.is_empty() {
            self.state.overlays.clear();
            self.views.chat.focus_composer();
        } else if self.state.find.is_some() {
            self.close_find();
        } else if self.state.is_busy() {
            self.stop();
            self.views.chat.focus_composer();
        } else if let Some(edit) = self.state.edit()
            && edit.text == self.state.editable(edit.message)
        {
            self.take_edit();
            self.views.chat.focus_composer();
        }
    }
}
