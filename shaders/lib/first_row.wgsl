// Where the rows of a class begin in a step: rows that were generated come first, those of prompts behind them.
struct FirstRow {
    first: u32,
    end: u32, // behind the last
    padding_0: u32,
    padding_1: u32,
}
