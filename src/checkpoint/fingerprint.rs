//! A number that tells models apart: two that compute anything differently have different ones.

use twox_hash::XxHash3_128;

use super::Checkpoint;
use super::config::{Activation, Config};
use crate::error::Result;

impl Checkpoint {
    /// XXH3 (128 bits) of all that the computation depends on: the configuration's numbers and every byte of every tensor.
    ///
    /// All bytes, because fine-tunes may differ in a few: a row of the embedding, say. It takes as long as reading memory does, which loading
    /// does anyway. It is no protection against somebody who wants two models to look alike.
    ///
    /// # Errors
    /// [`crate::Error::Tensor`] if the files do not hold a tensor.
    pub fn fingerprint(&self) -> Result<u128> {
        let mut hash = XxHash3_128::new();
        for number in numbers(&self.config) {
            hash.write(&number.to_le_bytes());
        }
        for spec in self.config.tensors() {
            self.check_lengths()?;
            hash.write(spec.name.as_bytes());
            self.tensor(&spec)?.each_source(|bytes| hash.write(bytes));
        }
        Ok(hash.finish_128())
    }
}

/// What of a configuration changes what is computed. The context's length does not, nor do ids with a meaning.
fn numbers(config: &Config) -> Vec<u64> {
    let activation = match config.activation {
        Activation::Silu => 0,
        Activation::Relu => 1,
        Activation::GeluTanh => 2,
        Activation::Gelu => 3,
    };
    let mut numbers = vec![
        config.vocab_size as u64,
        config.model_dim as u64,
        config.head_dim as u64,
        u64::from(config.rope_freq_constant.to_bits()),
        u64::from(config.ffn_with_glu),
        activation,
        u64::from(config.normalize_qk_projections),
        u64::from(config.share_input_output_layers),
        config.layers.len() as u64,
    ];
    for layer in &config.layers {
        numbers.extend([layer.q_heads, layer.kv_heads, layer.ffn_dim].map(|width| width as u64));
    }
    numbers
}
