//! `openelm quantize`: a model's matrices in eight or four bits, kept on disk.

use anyhow::Result;
use openelm::hub::TokenizerNeed;
use openelm::{Dtype, Error};

use super::args::{Quantize, QuantizedChoice};
use super::hub;
use super::output::{self, Bar, Interrupted};

pub fn run(arguments: &Quantize) -> Result<()> {
    let dtype = match arguments.dtype {
        QuantizedChoice::Q8 => Dtype::Q8,
        QuantizedChoice::Q4 => Dtype::Q4,
    };
    let begin = std::time::Instant::now();
    let mut checkpoint = hub::checkpoint(&arguments.model, &arguments.hub, TokenizerNeed::Wanted)?;
    for adapter in &arguments.lora {
        checkpoint.merge_lora(adapter)?;
    }
    if let Some(before) = checkpoint.quantized_as() {
        output::note(&match before == dtype {
            true => format!("openelm: warning: this model is in {dtype} already"),
            false => format!(
                "openelm: warning: this model is in {before} already, and {dtype} of that is worse than {dtype} of what it was made from"
            ),
        });
    }
    for warning in &checkpoint.warnings {
        output::note(&format!("openelm: warning: {warning}"));
    }
    let cancel = output::cancel_on_ctrl_c();
    let bar = Bar::new("quantising", true);
    let progress = |done, total| bar.set(done, total);
    let written = checkpoint.write_quantized_unless(&cancel, &arguments.out, dtype, progress);
    bar.clear();
    if let Err(Error::Cancelled) = written {
        return Err(Interrupted("interrupted; nothing was written".into()).into());
    }
    for warning in written? {
        output::note(&format!("openelm: warning: {warning}"));
    }
    output::note(&format!(
        "[{} in {dtype} written to {} in {:.1} s]",
        checkpoint.name,
        arguments.out.display(),
        begin.elapsed().as_secs_f64()
    ));
    Ok(())
}
