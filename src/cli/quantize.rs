//! `openelm quantize`: a model's matrices in eight or four bits, kept on disk.

use anyhow::Result;
use openelm::Dtype;
use openelm::hub::TokenizerNeed;

use super::args::{Quantize, QuantizedChoice};
use super::hub;
use super::output::{self, Bar};

pub fn run(arguments: &Quantize) -> Result<()> {
    let dtype = match arguments.dtype {
        QuantizedChoice::Q8 => Dtype::Q8,
        QuantizedChoice::Q4 => Dtype::Q4,
    };
    let begin = std::time::Instant::now();
    let checkpoint = hub::checkpoint(&arguments.model, &arguments.hub, TokenizerNeed::Wanted)?;
    let bar = Bar::new("quantising", true);
    checkpoint.write_quantized(&arguments.out, dtype, |done, total| bar.set(done, total))?;
    bar.clear();
    output::note(&format!(
        "[{} in {dtype} written to {} in {:.1} s]",
        checkpoint.name,
        arguments.out.display(),
        begin.elapsed().as_secs_f64()
    ));
    Ok(())
}
