use super::*;

fn set(assignments: &[&str]) -> Result<ServerConfig, ConfigError> {
    let mut layers = Layers::default();
    layers.add("log.dir", "/data", Source::Flag("--data-dir"));
    for assignment in assignments {
        layers.add_set(assignment)?;
    }
    ServerConfig::from_layers(&layers)
}

fn message(result: Result<ServerConfig, ConfigError>) -> String {
    result.expect_err("refused").to_string()
}

#[test]
fn the_defaults_make_a_broker_on_loopback() {
    let config = set(&[]).unwrap();
    assert_eq!(config.listeners, ["127.0.0.1:9092".parse().unwrap()]);
    assert_eq!(config.advertised, None);
    assert!(!config.allow_anonymous);
    assert_eq!(config.connection.request_bytes_max, 104_857_600);
    assert_eq!(config.connection.idle, Duration::from_secs(600));
}

#[test]
fn every_default_is_a_value_that_its_key_takes() {
    for definition in SERVER {
        assert_eq!(definition.kind.check(definition.default), Ok(()), "{}", definition.key);
    }
    assert_eq!(
        keys().count(),
        keys().collect::<std::collections::BTreeSet<_>>().len(),
        "a key is defined twice"
    );
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_right_name() {
    let told = message(set(&["max.conections=7"]));
    assert_eq!(told, "unknown key \"max.conections\" (--set); did you mean max.connections?");
    let told = message(set(&["log.retention.m=7"]));
    assert_eq!(told, "unknown key \"log.retention.m\" (--set); did you mean log.retention.ms?");
    assert_eq!(message(set(&["zzzzzzzzzzzz=7"])), "unknown key \"zzzzzzzzzzzz\" (--set)");
}

#[test]
fn a_bad_value_is_refused_with_what_would_be_right() {
    for (assignment, reason) in [
        ("connections.max.idle.ms=many", "expected a whole number from 1 to 86400000"),
        ("connections.max.idle.ms=0", "expected a whole number from 1 to 86400000"),
        ("allow.anonymous=yes", "expected true or false"),
        ("listeners=9092", "expected HOST:PORT"),
        ("listeners=127.0.0.1:1,SSL://127.0.0.1:2", "SSL listeners are not served; expected PLAINTEXT"),
    ] {
        let (key, value) = assignment.split_once('=').unwrap();
        let expected = format!("bad value {value:?} for {key} (--set): {reason}");
        assert_eq!(message(set(&[assignment])), expected);
    }
    assert_eq!(message(set(&["max.connections"])), "--set max.connections: expected KEY=VALUE");
}

#[test]
fn the_nearer_to_the_command_line_the_stronger() {
    let file = Path::new("m.toml");
    let keys = || ["max.connections", "log.dir"].into_iter();
    let environment = |value: &str| {
        [("MILLRACE_MAX_CONNECTIONS".to_owned(), value.to_owned()), ("HOME".into(), "/root".into())]
            .into_iter()
    };
    let mut layers = Layers::default();
    layers.add_file(file, "log.dir = \"/data\"\n\"max.connections\" = 1\n").unwrap();
    assert_eq!(ServerConfig::from_layers(&layers).unwrap().engine["max.connections"], "1");
    layers.add_environment(environment("2"), keys()).unwrap();
    assert_eq!(ServerConfig::from_layers(&layers).unwrap().engine["max.connections"], "2");
    layers.add("max.connections", "3", Source::Flag("--max-connections"));
    assert_eq!(ServerConfig::from_layers(&layers).unwrap().engine["max.connections"], "3");
    layers.add_set("max.connections=4").unwrap();
    let config = ServerConfig::from_layers(&layers).unwrap();
    assert_eq!((&*config.engine["max.connections"], config.data_dir.as_path()), ("4", Path::new("/data")));
}

#[test]
fn a_file_may_write_keys_dotted_quoted_or_as_tables() {
    for text in [
        "\"max.connections.per.ip\" = 5",
        "max.connections.per.ip = 5",
        "[max.connections]\nper.ip = \"5\"",
        "[max]\n\"connections.per.ip\" = 5",
    ] {
        let mut layers = Layers::default();
        layers.add_file(Path::new("m.toml"), text).unwrap();
        assert_eq!(layers.get("max.connections.per.ip").unwrap().value, "5", "{text}");
    }
    let mut layers = Layers::default();
    layers.add_file(Path::new("m.toml"), "listeners = [\"127.0.0.1:1\", \"[::1]:2\"]").unwrap();
    assert_eq!(addresses(&layers, "listeners").unwrap().len(), 2);
    let error = layers.add_file(Path::new("m.toml"), "listeners = ").unwrap_err();
    assert!(error.to_string().starts_with("m.toml is not TOML"), "{error}");
}

#[test]
fn a_variable_that_names_no_key_is_refused_unless_it_is_made_by_the_platform() {
    let add = |name: &str| {
        let variables = [(name.to_owned(), "tcp://10.0.0.1:9092".to_owned())].into_iter();
        Layers::default().add_environment(variables, keys())
    };
    let error = add("MILLRACE_MAX_CONNECTION").unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown key \"MILLRACE_MAX_CONNECTION\" (environment variable MILLRACE_MAX_CONNECTION); \
         did you mean MILLRACE_MAX_CONNECTIONS?"
    );
    for name in ["MILLRACE_LOG", "MILLRACE_SERVICE_HOST", "MILLRACE_PORT_9092_TCP", "MILLRACE_PORT", "PATH"] {
        add(name).unwrap();
    }
}

#[test]
fn a_listener_open_to_all_needs_a_word_about_it() {
    let told = message(set(&["listeners=127.0.0.1:9092,0.0.0.0:9093"]));
    assert!(told.contains("0.0.0.0:9093") && told.contains("--allow-anonymous"), "{told}");
    assert!(set(&["listeners=0.0.0.0:9093", "allow.anonymous=true"]).is_ok());
}
