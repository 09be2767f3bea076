//! Field names: AWS writes `taskRoleArn`, a release file writes `task_role_arn`.
//!
//! A name that would not come back as it was is kept as AWS spells it, so that a field which AWS
//! adds tomorrow survives being read, recorded and registered again.

use serde_json::{Map, Value};

/// Names that the rule below spells wrongly: AWS's and Terraform's.
const IRREGULAR: &[(&str, &str)] = &[
    ("enableECSManagedTags", "enable_ecs_managed_tags"),
    ("sizeInGiB", "size_in_gib"),
    ("managedEBSVolume", "managed_ebs_volume"),
];

/// Fields whose keys are the user's own words, in AWS's spelling.
const FREE_MAPS: &[&str] = &["dockerLabels", "options", "driverOpts", "labels"];

/// Returns the name as a release file spells it.
pub(crate) fn to_snake(name: &str) -> String {
    if let Some((_, snake)) = IRREGULAR.iter().find(|(camel, _)| *camel == name) {
        return (*snake).to_owned();
    }
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    if to_camel(&snake) == name { snake } else { name.to_owned() }
}

/// Returns the name as AWS spells it.
pub(crate) fn to_camel(name: &str) -> String {
    if let Some((camel, _)) = IRREGULAR.iter().find(|(_, snake)| *snake == name) {
        return (*camel).to_owned();
    }
    let mut camel = String::with_capacity(name.len());
    let mut raise = false;
    for letter in name.chars() {
        if letter == '_' && !camel.is_empty() {
            raise = true;
        } else if raise {
            camel.push(letter.to_ascii_uppercase());
            raise = false;
        } else {
            camel.push(letter);
        }
    }
    camel
}

/// Returns a whole value with its field names as a release file spells them.
pub(crate) fn value_to_snake(value: &Value) -> Value {
    rename(value, to_snake)
}

/// Returns a whole value with its field names as AWS spells them.
pub(crate) fn value_to_camel(value: &Value) -> Value {
    rename(value, to_camel)
}

/// The same for an object.
pub(crate) fn map_to_camel(map: &Map<String, Value>) -> Map<String, Value> {
    rename_map(map, to_camel)
}

/// The same for an object.
pub(crate) fn map_to_snake(map: &Map<String, Value>) -> Map<String, Value> {
    rename_map(map, to_snake)
}

fn rename(value: &Value, rule: fn(&str) -> String) -> Value {
    match value {
        Value::Object(map) => Value::Object(rename_map(map, rule)),
        Value::Array(items) => items.iter().map(|item| rename(item, rule)).collect(),
        other => other.clone(),
    }
}

fn rename_map(map: &Map<String, Value>, rule: fn(&str) -> String) -> Map<String, Value> {
    map.iter()
        .map(|(name, value)| {
            let free = FREE_MAPS.contains(&to_camel(name).as_str());
            let value = if free { value.clone() } else { rename(value, rule) };
            (rule(name), value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_go_both_ways() {
        for (camel, snake) in [
            ("family", "family"),
            ("taskRoleArn", "task_role_arn"),
            ("enableECSManagedTags", "enable_ecs_managed_tags"),
            ("sizeInGiB", "size_in_gib"),
            ("awsvpcConfiguration", "awsvpc_configuration"),
        ] {
            assert_eq!(to_snake(camel), snake);
            assert_eq!(to_camel(snake), camel);
        }
    }

    #[test]
    fn a_name_that_would_not_come_back_is_kept() {
        for odd in ["Upper", "with_underscore", "already-odd"] {
            assert_eq!(to_snake(odd), odd);
        }
        assert_eq!(to_snake("someXMLThing"), "some_x_m_l_thing");
        assert_eq!(to_camel("some_x_m_l_thing"), "someXMLThing");
    }

    #[test]
    fn the_users_own_keys_are_left_alone() {
        let wire = json!({ "logConfiguration": { "logDriver": "awslogs", "options": { "awslogs-group": "/a", "maxSize": "1" } },
            "dockerLabels": { "com.example.Team": "x" } });
        let snake = value_to_snake(&wire);
        assert_eq!(snake.pointer("/log_configuration/options/maxSize"), Some(&json!("1")));
        assert_eq!(snake.pointer("/docker_labels/com.example.Team"), Some(&json!("x")));
        assert_eq!(value_to_camel(&snake), wire);
    }
}
