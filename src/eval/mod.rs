//! The three tables of OpenELM's model card: what lm-evaluation-harness at commit `dc90fec` asks of a model, how it is scored, and what
//! comes of it.

mod answer;
mod card;
mod data;
mod document;
mod encode;
mod exchange;
mod fewshot;
mod like;
mod metric;
mod mmlu;
mod notes;
mod open;
pub mod perplexity;
mod plan;
pub(crate) mod python;
mod records;
mod report;
mod run;
mod selection;
mod spec;
mod table;
mod task;

pub use answer::{Answer, Answers};
pub use card::{CardRow, card_row};
pub use encode::{Encoded, Encoder};
pub use exchange::{Request, Results, requests};
pub use like::Like;
pub use metric::{Mean, Metric};
pub use mmlu::mmlu_groups;
pub use notes::{notes, notes_of_options};
pub use plan::{Job, plan};
pub use records::Records;
pub use report::{GroupResult, Report, TaskResult};
pub use run::ask;
pub use selection::{Run, Selection};
pub use table::{Column, Table};
pub use task::{Choice, Item, Settings, Task};
