//! What a step tells of its rows, and how it is read from what the device has reported.

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

/// What `sample_pick.wgsl` has reported.
pub fn result(report: &[f32], wanted: &WantedReport) -> RowResult<'static> {
    let candidate = |i: usize| (report[4 + 2 * i].to_bits(), report[5 + 2 * i]);
    let (id, logit) = (report[0].to_bits(), report[1]);
    let is_nan = report[3] < 0.0;
    let log_sum = f64::from(report[2]) + f64::from(report[3]).ln();
    let top = (0..wanted.top).map(candidate).collect();
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
