//! What people have where a model should be, and what to take instead: the same for every face.

/// What people have in place of a folder with config.json and safetensors.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelForm {
    /// PyTorch's pickled tensors.
    PyTorch { file: String },
    /// What LoRA adds to a model.
    LoraAdapter {
        /// The model that it belongs to, as whoever trained it called that.
        base: Option<String>,
    },
    /// Matrices in a form of a program that quantises.
    Quantized { program: String },
    /// A cache of the Hugging Face hub.
    HubCache {
        /// Names of the models in it.
        models: Vec<String>,
    },
    /// A file of another program.
    Other { file: String, program: String },
}

impl std::fmt::Display for ModelForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PyTorch { file } => write!(
                f,
                "the weights are in {file}, a file of PyTorch, which is not read: it may run any program. Take the .safetensors files, which \
                 most repositories have beside it, or convert it with PyTorch (`torch.load(..., weights_only=True)`, then `save_file` of \
                 safetensors.torch, as model.safetensors)"
            ),
            Self::LoraAdapter { base: Some(base) } => {
                write!(f, "this is a LoRA adapter, not a model: it changes `{base}`, which is loaded first")
            }
            Self::LoraAdapter { base: None } => {
                f.write_str("this is a LoRA adapter, not a model: it changes another one, which is loaded first")
            }
            Self::Quantized { program } => write!(
                f,
                "its matrices are quantised by {program} in a form that is not read. Take the model that it was made from, such as Apple's own, \
                 and quantise that"
            ),
            Self::HubCache { models } => {
                const SHOWN: usize = 8;
                let named: Vec<&str> = models.iter().take(SHOWN).map(String::as_str).collect();
                let more = if models.len() > SHOWN { ", …" } else { "" };
                write!(f, "this is a cache of the Hugging Face hub, not a model; it has {}{more}", named.join(", "))
            }
            Self::Other { file, program } => write!(
                f,
                "there is {file}, a file of {program}; name that file itself if it can be read, else take the model's \
                 .safetensors files and config.json"
            ),
        }
    }
}
