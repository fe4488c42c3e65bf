// How a lane walks along its rows, a block in COLUMNS: several steps at a time, whose weights are all under way before the first is
// multiplied.

// Steps at a time: 1, 2 or 4. However many, sums are added up in the same order.
override AHEAD: u32 = 1u;

// Where a lane begins: its rows of weights, its input, and its column.
struct Walk {
    rows: vec4<u32>,
    input: u32,
    column: u32,
}

fn one_step(sums: Sums, at: Walk, first: u32) -> Sums {
    return add_step(sums, load_rows(at.rows, first, at.column), at, first);
}

fn two_steps(sums: Sums, at: Walk, first: u32) -> Sums {
    let second = first + COLUMNS;
    let a = load_rows(at.rows, first, at.column);
    let b = load_rows(at.rows, second, at.column);
    return add_step(add_step(sums, a, at, first), b, at, second);
}

fn four_steps(sums: Sums, at: Walk, first: u32) -> Sums {
    let second = first + COLUMNS;
    let third = second + COLUMNS;
    let fourth = third + COLUMNS;
    let a = load_rows(at.rows, first, at.column);
    let b = load_rows(at.rows, second, at.column);
    let c = load_rows(at.rows, third, at.column);
    let d = load_rows(at.rows, fourth, at.column);
    return add_step(add_step(add_step(add_step(sums, a, at, first), b, at, second), c, at, third), d, at, fourth);
}

fn steps_ahead(sums: Sums, at: Walk, first: u32) -> Sums {
    if AHEAD == 4u {
        return four_steps(sums, at, first);
    } else if AHEAD == 2u {
        return two_steps(sums, at, first);
    }
    return one_step(sums, at, first);
}

// All lanes do as many steps, so that they are together where their sums meet.
fn walk_rows(at: Walk) -> Sums {
    let blocks = select(shape.blocks, BLOCKS, BLOCKS > 0u);
    let steps = blocks / COLUMNS;
    var sums = Sums();
    var first = 0u;
    if BLOCKS > 0u {
        // Whoever knows the width has rows of less than three times AHEAD: no loop, which not every compiler would unroll.
        if steps >= AHEAD {
            sums = steps_ahead(sums, at, 0u);
            first = AHEAD * COLUMNS;
        }
        if steps >= 2u * AHEAD {
            sums = steps_ahead(sums, at, first);
            first = 2u * AHEAD * COLUMNS;
        }
    } else {
        for (var i = 0u; i < steps / AHEAD; i += 1u) {
            sums = steps_ahead(sums, at, first);
            first += AHEAD * COLUMNS;
        }
    }
    if ((steps % AHEAD) & 2u) != 0u {
        sums = two_steps(sums, at, first);
        first += 2u * COLUMNS;
    }
    if ((steps % AHEAD) & 1u) != 0u {
        sums = one_step(sums, at, first);
        first += COLUMNS;
    }
    if first < blocks {
        // The last block stands in for those that are not there.
        let more = one_step(sums, Walk(at.rows, at.input, min(at.column, blocks - first - 1u)), first);
        if first + at.column < blocks {
            sums = more;
        }
    }
    return sums;
}
