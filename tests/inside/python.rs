//! Python's random numbers, letters and literals, as Python itself has them.

use serde_json::json;
use sha2::{Digest, Sha256};

use openelm::eval::python::{Random, capitalize, parse_literal, strip};

/// Hash of all draws: numbers of a draw with spaces between, a draw a line.
fn hash_of_draws(population: u32, count: usize, draws: usize) -> String {
    let mut random = Random::new(1234);
    let lines: Vec<String> = (0..draws)
        .map(|_| {
            let drawn = random.sample(population, count).unwrap();
            drawn
                .iter()
                .map(u32::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    let bytes = Sha256::digest(lines.join("\n").as_bytes());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The published sizes of ARC-c, HellaSwag, WinoGrande and CrowS-Pairs, and both ways to draw on both sides of where they meet.
#[test]
fn draws_are_python_s() {
    for (population, count, draws, hash) in [
        (
            1119,
            25,
            1172,
            "a9384e11df109f0d5408b4dd3399da6d9627e852e01634152ea7fd09a3ed003f",
        ),
        (
            39905,
            11,
            10042,
            "288d7556f35ee2f4b4f4e2b99ec73cc8c6fb49b43fb65c0cdeaf187ddd223546",
        ),
        (
            40398,
            6,
            1267,
            "63de1638aee3ccdfab1ff294fbea3ca43936f566632775defc722dda0f32948a",
        ),
        (
            1677,
            25,
            1677,
            "f2c3861c53715cbcd4a5c30bf993d260492c15f2342142a14a18124037a31eaf",
        ),
        (
            20,
            3,
            50,
            "b64372434fa0b497765dd92ebe1f033223f5fd1d5bdd06120d7afd3cbea46610",
        ),
        (
            277,
            25,
            50,
            "5b48e212cc5387c78e90c376aa4d3715a9820de69b736f151ed09443f862c9f2",
        ),
        (
            278,
            25,
            50,
            "586d83176a48d4f67d13a4c738231d780f7dd305d18223e5a22cc31f61127408",
        ),
    ] {
        assert_eq!(
            hash_of_draws(population, count, draws),
            hash,
            "{count} of {population}"
        );
    }
    let mut random = Random::new(1234);
    assert_eq!(random.sample(3, 4), None);
    assert_eq!(random.sample(0, 0), Some(Vec::new()));
    assert_eq!(random.sample(1, 1), Some(vec![0]));
}

#[test]
fn capitals_are_python_s() {
    for (text, expected) in [
        ("", ""),
        ("the NASA captain", "The nasa captain"),
        ("ßtraße", "Sstraße"),
        ("ﬁNE", "Fine"),
        ("ǆǄ", "ǅǆ"),
        ("ΑΣ", "Ας"),
        ("σ", "Σ"),
        ("ΟΔΟΣ ΟΔΟΣ", "Οδος οδος"),
        ("ᾳΑ", "ᾼα"),
        ("ŉo", "ʼNo"),
        ("İI", "İi"),
        ("\"HE said", "\"he said"),
        (" A", " a"),
    ] {
        assert_eq!(capitalize(text), expected, "{text}");
    }
    assert_eq!(strip("\u{1c}\u{a0} a \u{1f}\u{3000}"), "a");
}

#[test]
fn literals_are_python_s() {
    for (text, expected) in [
        (
            r#"[{'a': "it's", "b": 'a "b"'}]"#,
            json!([{"a": "it's", "b": "a \"b\""}]),
        ),
        (
            r"'\'\\\n\t\xa0\u3000\U0001F600\101\q'",
            json!("'\\\n\t\u{a0}\u{3000}\u{1F600}A\\q"),
        ),
        (" ( 'a' 'b' ,\n)", json!(["ab"])),
        (
            "[1, -2, 1.5, None, True, False, u'x', 1_000]",
            json!([1, -2, 1.5, null, true, false, "x", 1000]),
        ),
        ("'''a\n'b'''", json!("a\n'b")),
        ("['a\\\nb', '']", json!(["ab", ""])),
        ("{}", json!({})),
    ] {
        assert_eq!(parse_literal(text), Ok(expected), "{text}");
    }
    for text in [
        "",
        "[",
        "[1 2]",
        "{1: 2}",
        "{'a'}",
        "'a",
        "'a\nb'",
        r"'\x1'",
        r"'\ud800'",
        r"'\N{DASH}'",
        "os",
        "[1] 2",
        "1e999",
        "--1",
        "[,]",
        "'\\",
        "u",
        "'''a''",
    ] {
        assert!(parse_literal(text).is_err(), "{text}");
    }
}
