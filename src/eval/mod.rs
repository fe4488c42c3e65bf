//! The three tables of OpenELM's model card: what lm-evaluation-harness at commit `dc90fec` asks of a model, how it is scored, and what
//! comes of it.

mod card;
mod encode;
mod like;
mod metric;
mod mmlu;
pub mod perplexity;
mod table;
mod task;

pub use card::{CardRow, card_row};
pub use encode::{Encoded, Encoder};
pub use like::Like;
pub use metric::{Mean, Metric};
pub use mmlu::mmlu_groups;
pub use table::{Column, Table};
pub use task::{Choice, Item, Settings, Task, notes};
