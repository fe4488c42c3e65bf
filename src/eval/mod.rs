//! The three tables of OpenELM's model card: what lm-evaluation-harness at commit `dc90fec` asks of a model, how it is scored, and what
//! comes of it.

mod card;
mod data;
mod document;
mod encode;
mod fewshot;
mod like;
mod metric;
mod mmlu;
mod notes;
mod open;
pub(crate) mod python;
mod spec;
mod table;
mod task;

pub use card::{CardRow, card_row};
pub use encode::{Encoded, Encoder};
pub use like::Like;
pub use metric::{Mean, Metric};
pub use mmlu::mmlu_groups;
pub use notes::notes;
pub use table::{Column, Table};
pub use task::{Choice, Item, Settings, Task};
