//! Settings read field by field: one that another version of this program wrote, or a person, costs no others.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What is in an object of JSON, and what is wrong with those fields of it that are left out. `T` does without any field.
///
/// # Errors
/// Says what is wrong where there is no object.
pub fn read<T: DeserializeOwned>(json: &[u8]) -> Result<(T, Vec<String>), String> {
    let fields = match serde_json::from_slice(json) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err("is no JSON object".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    let (mut usable, mut problems) = (Map::new(), Vec::new());
    for (name, value) in fields {
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        match serde_json::from_value::<T>(Value::Object(alone)) {
            Ok(_) => _ = usable.insert(name, value),
            Err(error) => problems.push(format!("`{name}` ({error})")),
        }
    }
    let read = serde_json::from_value(Value::Object(usable));
    read.map(|read| (read, problems))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::super::settings::Settings;
    use super::*;

    #[test]
    fn a_field_that_cannot_be_used_costs_no_others() {
        let json = r#"{"draft": "Once", "trace": "all of it", "max_tokens": 1e300, "zoom": 1.5, "presets": 3, "later": [1]}"#;
        let (settings, problems) = read::<Settings>(json.as_bytes()).unwrap();
        assert_eq!((settings.draft.as_str(), settings.zoom), ("Once", 1.5));
        assert_eq!(settings.max_tokens, Settings::default().max_tokens);
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems.iter().any(|problem| problem.contains("`trace`")));
        for json in ["", "{", "[]", "3", "{\"zoom\": 1"] {
            assert!(read::<Settings>(json.as_bytes()).is_err(), "{json}");
        }
    }

    /// JSON has no infinite numbers: what was read as one would be written as `null`, and not be read the next time.
    #[test]
    fn what_is_read_can_be_written_and_read_again() {
        for json in [
            r#"{"zoom": 1e300}"#,
            r#"{"sampling": {"temperature": 1e300}}"#,
            r#"{"presets": [{"name": "a", "sampling": {"top_p": -1e300}}]}"#,
            r#"{"model_sampling": {"demo": {"min_p": 1e39}}}"#,
        ] {
            let (settings, problems) = read::<Settings>(json.as_bytes()).unwrap();
            assert_eq!(problems.len(), 1, "{json}");
            let written = serde_json::to_vec(&settings).unwrap();
            assert!(read::<Settings>(&written).unwrap().1.is_empty(), "{json}");
        }
    }
}
