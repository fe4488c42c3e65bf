//! What a step tells of its rows.

use crate::kernels::sample::Report;

/// A token that the device has chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    pub id: u32,
    /// Whether the logit of `id` is NaN; then nothing was chosen.
    pub is_nan: bool,
    /// Its raw logit.
    pub logit: f32,
    /// `ln(sum(exp(logits)))` over all raw logits.
    pub log_sum: f64,
    /// Ids and raw logits of the most probable tokens, most probable first.
    pub top: Vec<(u32, f32)>,
}

/// How probable a given id is.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Its raw logit.
    pub logit: f32,
    /// The most probable id, the lowest among equals; where a logit is NaN, the id of that.
    pub best: u32,
    pub is_nan: bool,
    /// As in [`Choice`].
    pub log_sum: f64,
    /// As in [`Choice`].
    pub top: Vec<(u32, f32)>,
}

/// What was wanted after a row of a batch.
pub enum RowResult<'a> {
    Logits(&'a [f32]),
    Choice(Choice),
    Score(Scored),
}

/// A result that was read before anybody asked.
pub enum StoredRow {
    Logits(Vec<f32>),
    Choice(Choice),
    Score(Scored),
}

/// A report that is to come.
#[derive(Debug, Clone, Copy)]
pub struct WantedReport {
    /// Row of the batch.
    pub row: usize,
    /// Alternatives to report.
    pub top: usize,
    pub is_score: bool,
}

/// Which result belongs to which row of the batch.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Row of the batch, row of the logits.
    pub logits: Vec<(usize, u32)>,
    pub reports: Vec<WantedReport>,
}

/// What a report says, as whoever wanted it takes it.
pub fn result(report: Report, wanted: &WantedReport) -> RowResult<'static> {
    let Report {
        id,
        is_nan,
        logit,
        log_sum,
        top,
    } = report;
    match wanted.is_score {
        true => RowResult::Score(Scored {
            logit,
            best: id,
            is_nan,
            log_sum,
            top,
        }),
        false => RowResult::Choice(Choice {
            id,
            is_nan,
            logit,
            log_sum,
            top,
        }),
    }
}
