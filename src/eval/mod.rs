//! The three tables of OpenELM's model card: what lm-evaluation-harness at commit `dc90fec` asks of a model, how it is scored, and what
//! comes of it.

pub mod perplexity;
