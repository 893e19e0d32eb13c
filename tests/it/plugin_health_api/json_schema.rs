//! The part of JSON Schema that `/openapi.json` uses; any other keyword is a panic.

use serde_json::Value;

/// What is wrong with `value`, the first that is found; `root` is where references lead.
pub(super) fn check(value: &Value, schema: &Value, root: &Value) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        let holds = match keyword.as_str() {
            "$ref" => {
                let pointer = rule.as_str().and_then(|text| text.strip_prefix('#')).unwrap();
                let schema = root.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}"));
                check(value, schema, root)?;
                true
            }
            "type" => match rule {
                Value::Array(kinds) => kinds.iter().any(|kind| is_a(value, kind)),
                kind => is_a(value, kind),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "anyOf" => {
                let mut schemas = rule.as_array().unwrap().iter();
                schemas.any(|schema| check(value, schema, root).is_ok())
            }
            "required" => {
                let mut keys = rule.as_array().unwrap().iter().map(|key| key.as_str().unwrap());
                value.as_object().is_none_or(|object| keys.all(|key| object.contains_key(key)))
            }
            "properties" => {
                for (key, schema) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        check(value, schema, root).map_err(|error| format!("{key}: {error}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                let is_more = |key: &String| known.is_none_or(|known| !known.contains_key(key));
                for (key, value) in value.as_object().into_iter().flatten() {
                    match rule {
                        Value::Bool(allowed) if is_more(key) && !allowed => {
                            return Err(format!("{key}: it is not in the schema"));
                        }
                        Value::Object(_) if is_more(key) => {
                            check(value, rule, root).map_err(|error| format!("{key}: {error}"))?;
                        }
                        _ => {}
                    }
                }
                true
            }
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    check(value, rule, root).map_err(|error| format!("{index}: {error}"))?;
                }
                true
            }
            "minItems" => value.as_array().is_none_or(|list| list.len() as u64 >= number(rule)),
            "maxItems" => value.as_array().is_none_or(|list| list.len() as u64 <= number(rule)),
            "minimum" => value.as_f64().is_none_or(|found| found >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|found| found <= rule.as_f64().unwrap()),
            "format" => {
                assert_eq!(rule, "date-time");
                value.as_str().is_none_or(is_time)
            }
            "description" => true,
            other => panic!("this reader does not know the keyword {other}"),
        };
        if !holds {
            return Err(format!("{value} is not of {keyword} {rule}"));
        }
    }
    Ok(())
}

fn is_a(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    }
}

/// `2026-01-31T12:00:00.123Z`.
fn is_time(text: &str) -> bool {
    let form = "0000-00-00T00:00:00.000Z";
    let fits = |(found, form): (char, char)| match form {
        '0' => found.is_ascii_digit(),
        _ => found == form,
    };
    text.len() == form.len() && text.chars().zip(form.chars()).all(fits)
}

fn number(rule: &Value) -> u64 {
    rule.as_u64().unwrap()
}
