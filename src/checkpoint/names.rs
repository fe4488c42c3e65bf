//! Names of tensors as they are in the files of people, and what Apple's code calls them.

use std::collections::BTreeSet;

/// Modules that trainers wrap models in, anywhere in a name.
const WRAPPERS: [&str; 5] = [
    "_orig_mod",
    "module",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
    "_forward_module",
];

/// Every model has this tensor; what stands before tells where the model is within whatever was saved.
const EMBEDDING: &str = "token_embeddings.weight";
const ROOT: &str = "transformer.";
const HEAD: &str = "lm_head.";

/// How the names of a checkpoint become Apple's.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Renaming {
    /// Wrappers that occur.
    wrappers: BTreeSet<&'static str>,
    /// What stands where `transformer.` should; `None`: that.
    root: Option<String>,
}

impl Renaming {
    pub fn of<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Self {
        let parts = names.clone().flat_map(|name| name.split('.'));
        let wrappers = parts.filter_map(|part| WRAPPERS.into_iter().find(|known| *known == part));
        let mut renaming = Self {
            wrappers: wrappers.collect(),
            root: None,
        };
        let mut roots = names.filter_map(|name| {
            let name = renaming.unwrapped(name);
            name.strip_suffix(EMBEDDING).map(str::to_owned)
        });
        if let (Some(root), None) = (roots.next(), roots.next())
            && root != ROOT
            && (root.is_empty() || root.ends_with('.'))
        {
            renaming.root = Some(root);
        }
        renaming
    }

    fn unwrapped(&self, name: &str) -> String {
        let parts: Vec<&str> = name
            .split('.')
            .filter(|part| !self.wrappers.contains(part))
            .collect();
        parts.join(".")
    }

    /// What Apple's code calls the tensor.
    pub fn apply(&self, name: &str) -> String {
        let name = self.unwrapped(name);
        let Some(root) = &self.root else {
            return name;
        };
        let around = root.strip_suffix(ROOT).unwrap_or(root);
        match (name.strip_prefix(around), name.strip_prefix(root.as_str())) {
            (Some(head), _) if head.starts_with(HEAD) => head.to_owned(),
            (_, Some(rest)) => format!("{ROOT}{rest}"),
            _ => name.clone(),
        }
    }

    /// What is to be said about it, if it does anything.
    pub fn notice(&self) -> Option<String> {
        let mut left_out: Vec<String> = self
            .wrappers
            .iter()
            .map(|name| format!("`{name}.`"))
            .collect();
        match self.root.as_deref() {
            None if left_out.is_empty() => return None,
            None => {}
            Some("") => {
                return Some(format!(
                    "the names of its tensors lack the `{ROOT}` that they should begin with"
                ));
            }
            Some(root) => left_out.push(format!("`{}`", root.strip_suffix(ROOT).unwrap_or(root))),
        }
        Some(format!(
            "the names of its tensors have {} before what they should be, which is left out",
            left_out.join(" and ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wraps_a_model_is_left_out() {
        for (before, head) in [
            ("", ""),
            ("module.", "module."),
            ("model.", "model."),
            ("_orig_mod.module.", "_orig_mod.module."),
            ("base_model.model.", "base_model.model."),
        ] {
            let names = [
                format!("{before}transformer.token_embeddings.weight"),
                format!("{before}transformer.layers.0.attn.qkv_proj.weight"),
                format!("{head}lm_head.weight"),
                "other".to_owned(),
            ];
            let renaming = Renaming::of(names.iter().map(String::as_str));
            let renamed = names.each_ref().map(|name| renaming.apply(name));
            assert_eq!(
                renamed,
                [
                    "transformer.token_embeddings.weight",
                    "transformer.layers.0.attn.qkv_proj.weight",
                    "lm_head.weight",
                    "other"
                ]
            );
            assert_eq!(renaming.notice().is_none(), before.is_empty());
        }
        // The model without what is around it, and wrappers in the middle.
        let names = [
            "token_embeddings.weight",
            "layers.0._checkpoint_wrapped_module.attn_norm.weight",
            "lm_head.weight",
        ];
        let renaming = Renaming::of(names.into_iter());
        assert_eq!(
            names.map(|name| renaming.apply(name)),
            [
                "transformer.token_embeddings.weight",
                "transformer.layers.0.attn_norm.weight",
                "lm_head.weight"
            ]
        );
    }

    #[test]
    fn what_cannot_be_told_stays() {
        for names in [
            &["a.token_embeddings.weight", "b.token_embeddings.weight"][..],
            &["my_token_embeddings.weight"],
            &[],
        ] {
            let renaming = Renaming::of(names.iter().copied());
            assert_eq!(renaming, Renaming::default());
        }
    }
}
