use insta::assert_snapshot;
use proptest::prelude::*;
use relctl_plan::Role;

use super::*;

fn kind() -> Kind {
    let schema = json!({
        "x-relctl": {
            "identity": ["cluster", "name"],
            "terraform": {
                "resource": "cloud_service", "beside": { "cloud_revision": { "skip_destroy": true } },
            },
        },
        "properties": {
            "cluster": {}, "name": {}, "image": {}, "mode": { "default": "0644" },
            "count": { "x-relctl": { "external": "autoscaling" } },
            "content": { "x-relctl": { "multiline": true } },
            "labels": { "additionalProperties": {} },
            "network": { "properties": { "subnets": {}, "public": {} } },
            "ports": { "type": "array" },
            "containers": {
                "x-relctl": { "key": ["name"] },
                "items": { "properties": {
                    "name": {}, "image": {}, "command": {},
                    "environment": { "x-relctl": { "key": ["name"] }, "items": { "properties": { "name": {}, "value": {} } } },
                    "secrets": { "x-relctl": { "key": ["name"] }, "items": { "properties": { "name": {}, "from": { "x-relctl": { "secret-reference": true } } } } },
                } },
            },
        },
    });
    Kind::from_parts("cloud_service".to_owned(), Role::Resource, schema, 10, Vec::new()).unwrap()
}

fn fields() -> Map {
    let fields = json!({
        "cluster": "prod", "name": "web", "mode": "0644", "count": 6,
        "content": "port = 1\nhome = ${HOME}\n\"quoted\" \\ back\n",
        "labels": { "team": "x", "a.b": "c" },
        "network": { "subnets": ["s-1", "s-2"], "public": false },
        "ports": [
            { "container": 3000, "name": "a long name of a port", "protocol": "tcp" },
            { "container": 3001, "name": "another long name of a port", "protocol": "udp" },
        ],
        "containers": {
            "api": {
                "name": "api", "image": "registry/api:v1", "command": ["sh", "-c", "echo ${X}"],
                "environment": {
                    "NODE_ENV": { "name": "NODE_ENV", "value": "production" },
                    "DB_PASSWORD": { "name": "DB_PASSWORD", "value": "hunter2" },
                },
                "secrets": { "TOKEN": { "name": "TOKEN", "from": "vault/token" } },
            },
            "log": { "name": "log", "image": "registry/log:v1" },
        },
    });
    fields.as_object().unwrap().clone()
}

fn import<'a>(address: &'a Address, kind: &'a Kind, fields: &'a Map) -> Import<'a> {
    Import { address, kind, plugin: None, fields, problems: &[] }
}

#[test]
fn as_a_person_would_write_it() {
    let (address, kind) = ("resource.cloud_service.web".parse().unwrap(), kind());
    assert_snapshot!(import_toml(&import(&address, &kind, &fields())), @r#"
    # What is there now. Keep what the release shall own: what is not written here, relctl
    # leaves alone.
    [resource.cloud_service.web]
    cluster = "prod"
    name = "web"
    content = """
    port = 1
    home = $${HOME}
    \"quoted\" \\ back
    """
    ports = [
      { container = 3000, name = "a long name of a port", protocol = "tcp" },
      { container = 3001, name = "another long name of a port", protocol = "udp" },
    ]
    labels = { "a.b" = "c", team = "x" }
    network = { public = false, subnets = ["s-1", "s-2"] }
    # count is left out: it is 6 now, and autoscaling may move it

    [resource.cloud_service.web.containers]
    log = { image = "registry/log:v1" }

    [resource.cloud_service.web.containers.api]
    command = ["sh", "-c", "echo $${X}"]
    image = "registry/api:v1"

    [resource.cloud_service.web.containers.api.environment]
    NODE_ENV = { value = "production" }
    # DB_PASSWORD is left out: it looks like a credential, which belongs into a secret store

    [resource.cloud_service.web.containers.api.secrets]
    TOKEN = { from = "vault/token" }

    # In Terraform, for what the release owns from now on:
    #
    # resource "cloud_service" "web" {
    #   lifecycle {
    #     ignore_changes = [containers, content, labels, network, ports]
    #   }
    # }
    #
    # resource "cloud_revision" "web" {
    #   skip_destroy = true
    # }
    "#);
}

#[test]
fn programs_get_the_same() {
    let (address, kind) = ("resource.cloud_service.web".parse().unwrap(), kind());
    let value = import_json(&import(&address, &kind, &fields()));
    assert!(!value.to_string().contains("hunter2"));
    assert_eq!(value["fields"]["containers"]["log"]["image"], "registry/log:v1");
    assert_snapshot!(serde_json::to_string_pretty(&value["left_out"]).unwrap(), @r#"
    [
      {
        "path": "containers.api.environment.DB_PASSWORD",
        "reason": "looks like a credential, which belongs into a secret store"
      },
      {
        "path": "count",
        "reason": "is 6 now, and autoscaling may move it"
      },
      {
        "path": "mode",
        "reason": "is \"0644\", as without it"
      }
    ]
    "#);
    assert_eq!(value["terraform"]["cloud_revision"]["skip_destroy"], true);
}

#[test]
fn what_holds_data_is_protected_and_what_is_wrong_is_said() {
    let schema = json!({ "x-relctl": { "identity": ["name"], "holds-data": true }, "properties": { "name": {} } });
    let kind = Kind::from_parts("db".to_owned(), Role::Resource, schema, 1, Vec::new()).unwrap();
    let address = "resource.db.main".parse().unwrap();
    let fields = Map::from_iter([("name".to_owned(), json!("main"))]);
    let problem = Diagnostic {
        path: "name".parse().unwrap(),
        message: "is too short\n[forged]".to_owned(),
        hint: Some("make it longer".to_owned()),
    };
    let import =
        Import { plugin: Some("eu"), problems: &[problem], ..import(&address, &kind, &fields) };
    assert_snapshot!(import_toml(&import), @r#"
    # What is there now. Keep what the release shall own: what is not written here, relctl
    # leaves alone.
    # The plugin says of name: is too short\n[forged]; make it longer
    [resource.db.main]
    name = "main"
    plugin = "eu"
    lifecycle = { protect = true }
    "#);
}

proptest! {
    /// What is written is what is read, whatever the texts and names are.
    #[test]
    fn toml_holds_what_was_there(
        text in any::<String>(),
        name in any::<String>(),
        texts in prop::collection::vec("[ -~\n\t\"'$\\{\\\\]{0,40}", 0..6),
    ) {
        let kind = {
            let schema = json!({ "properties": { "parts": { "x-relctl": { "key": ["key"] } } } });
            Kind::from_parts("k".to_owned(), Role::Resource, schema, 1, Vec::new()).unwrap()
        };
        let fields = json!({
            "text": text, "list": texts, "map": { &name: { "inner": texts.concat(), "deep": { "x": [{ "y": text }] } } },
        });
        let fields = fields.as_object().unwrap().clone();
        let address: Address = "resource.k.n".parse().unwrap();
        let sifted = Sifted { kept: fields.clone(), left_out: Vec::new() };
        let written = toml::object(&address, &kind, &[], &sifted);
        let read: ::toml::Table = written.parse().unwrap_or_else(|error| panic!("{error}\n{written}"));
        let read = serde_json::to_value(&read["resource"]["k"]["n"]).unwrap();
        let unescaped: Value =
            serde_json::from_str(&read.to_string().replace("$${", "${")).unwrap();
        prop_assert_eq!(unescaped, Value::Object(fields));
    }
}
