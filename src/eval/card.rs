//! What Apple's model card prints for Apple's own models.

use super::table::Table;

/// A row of the card.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CardRow {
    /// Percent, in the order of [`Table::columns`].
    pub values: &'static [f64],
    /// Their mean, as printed: Apple averaged before rounding, so it may be 0.01 off the mean of `values`.
    pub average: f64,
}

/// A model's row of a table; `model` is a name such as `apple/OpenELM-270M-Instruct`, or a folder that is called like one. `None` for others.
pub fn card_row(table: Table, model: &str) -> Option<CardRow> {
    let parts = || model.trim_end_matches(['/', '\\']).rsplit(['/', '\\']);
    // In the hub's cache a model is a folder such as `models--apple--OpenELM-270M/snapshots/REVISION`.
    let in_cache = parts().find(|part| part.starts_with("models--"));
    let name = match in_cache {
        Some(folder) => folder.rsplit("--").next()?,
        None => parts().next()?,
    };
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let size = name.strip_prefix("OpenELM-")?;
    match table {
        Table::ZeroShot => find(ZERO_SHOT, size),
        Table::Llm360 => find(LLM360, size),
        Table::OpenLlm => find(OPEN_LLM, size),
    }
}

type Row<const N: usize> = (&'static str, [f64; N], f64);

fn find<const N: usize>(rows: &'static [Row<N>], size: &str) -> Option<CardRow> {
    let (_, values, average) = rows.iter().find(|(name, ..)| *name == size)?;
    Some(CardRow {
        values,
        average: *average,
    })
}

const ZERO_SHOT: &[Row<7>] = &[
    (
        "270M",
        [26.45, 45.08, 53.98, 46.71, 69.75, 84.70, 53.91],
        54.37,
    ),
    (
        "270M-Instruct",
        [30.55, 46.68, 48.56, 52.07, 70.78, 84.40, 52.72],
        55.11,
    ),
    (
        "450M",
        [27.56, 48.06, 55.78, 53.97, 72.31, 87.20, 58.01],
        57.56,
    ),
    (
        "450M-Instruct",
        [30.38, 50.00, 60.37, 59.34, 72.63, 88.00, 58.96],
        59.95,
    ),
    (
        "1_1B",
        [32.34, 55.43, 63.58, 64.81, 75.57, 90.60, 61.72],
        63.44,
    ),
    (
        "1_1B-Instruct",
        [37.97, 52.23, 70.00, 71.20, 75.03, 89.30, 62.75],
        65.50,
    ),
    (
        "3B",
        [35.58, 59.89, 67.40, 72.44, 78.24, 92.70, 65.51],
        67.39,
    ),
    (
        "3B-Instruct",
        [39.42, 61.74, 68.17, 76.36, 79.00, 92.50, 66.85],
        69.15,
    ),
];

const LLM360: &[Row<5>] = &[
    ("270M", [27.65, 47.15, 25.72, 39.24, 53.83], 38.72),
    ("270M-Instruct", [32.51, 51.58, 26.70, 38.72, 53.20], 40.54),
    ("450M", [30.20, 53.86, 26.01, 40.18, 57.22], 41.50),
    ("450M-Instruct", [33.53, 59.31, 25.41, 40.48, 58.33], 43.41),
    ("1_1B", [36.69, 65.71, 27.05, 36.98, 63.22], 45.93),
    ("1_1B-Instruct", [41.55, 71.83, 25.65, 45.95, 64.72], 49.94),
    ("3B", [42.24, 73.28, 26.76, 34.98, 67.25], 48.90),
    ("3B-Instruct", [47.70, 76.87, 24.80, 38.76, 67.96], 51.22),
];

const OPEN_LLM: &[Row<8>] = &[
    (
        "270M",
        [27.65, 66.79, 47.15, 25.72, 69.75, 30.91, 39.24, 53.83],
        45.13,
    ),
    (
        "270M-Instruct",
        [32.51, 66.01, 51.58, 26.70, 70.78, 33.78, 38.72, 53.20],
        46.66,
    ),
    (
        "450M",
        [30.20, 68.63, 53.86, 26.01, 72.31, 33.11, 40.18, 57.22],
        47.69,
    ),
    (
        "450M-Instruct",
        [33.53, 67.44, 59.31, 25.41, 72.63, 36.84, 40.48, 58.33],
        49.25,
    ),
    (
        "1_1B",
        [36.69, 71.74, 65.71, 27.05, 75.57, 36.46, 36.98, 63.22],
        51.68,
    ),
    (
        "1_1B-Instruct",
        [41.55, 71.02, 71.83, 25.65, 75.03, 39.43, 45.95, 64.72],
        54.40,
    ),
    (
        "3B",
        [42.24, 73.29, 73.28, 26.76, 78.24, 38.76, 34.98, 67.25],
        54.35,
    ),
    (
        "3B-Instruct",
        [47.70, 72.33, 76.87, 24.80, 79.00, 38.47, 38.76, 67.96],
        55.73,
    ),
];
