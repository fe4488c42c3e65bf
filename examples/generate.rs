//! The shortest program: a prompt goes in, text streams out.
//!
//!     cargo run --release --example generate -- "There was once a king" path/to/model

use std::io::Write;

use openelm::{GenerateOptions, LoadOptions, Model};

fn main() -> openelm::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let prompt = arguments.next().unwrap_or("Once upon a time".into());
    let path = arguments.next().unwrap_or("demo".into());

    let model = Model::load(&path, &LoadOptions::default())?;
    let mut session = model.session()?;
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(120);
    options.sampling = model.sampling_defaults();
    options.sampling.seed = 3;

    print!("{prompt}");
    for token in session.generate(&model.encode(&prompt)?, &options)? {
        print!("{}", token?.text);
        let _ = std::io::stdout().flush();
    }
    println!();
    Ok(())
}
