//! Writes the settings down: as a `sluice.toml` with the present values, and as the reference page. Both are made from the
//! tables that the code reads, so they cannot differ from it.

use std::fmt::Write;

use sluice_broker::topics::TopicConfigs;

use crate::config::{SetBy, Settings};
use crate::settings::{SETTINGS, defaults};

/// Columns of a comment line.
const WIDTH: usize = 100;

/// A configuration file with the values in force.
pub(crate) fn as_toml(settings: &Settings) -> String {
    let mut text = String::from("# Every setting of 'sluice serve' with its present value.\n");
    let mut section = None;
    for setting in SETTINGS {
        let (of, name) = setting.place();
        if of != section {
            section = of;
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(text, "\n[{}]", of.unwrap_or_default());
        }
        text.push('\n');
        wrap(&mut text, setting.doc);
        match settings.get(setting) {
            Some((value, set_by)) => {
                let from = match set_by {
                    SetBy::Default => String::new(),
                    SetBy::File(path) => format!("From {}. ", path.display()),
                    SetBy::Env(name) => format!("From {name}. "),
                    SetBy::Flag(flag) => format!("From {flag}. "),
                };
                let default = setting.default(&defaults()).map_or("unset".to_owned(), |value| value.to_string());
                wrap(&mut text, &format!("{from}Default: {default}"));
                let _ = writeln!(text, "{name} = {value}");
            }
            None => {
                let _ = writeln!(text, "# Default: unset\n# {name} =");
            }
        }
    }
    text
}

/// docs/configuration.md.
pub(crate) fn as_markdown() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         <!-- Made by: sluice serve --print-config=markdown > docs/configuration.md -->\n\n\
         `sluice serve` needs no configuration. Each setting can be given by a flag (some), by an environment variable, or in\n\
         `sluice.toml` (in the working folder, or named by `--config` or `SLUICE_CONFIG`); a flag wins over the environment, the\n\
         environment over the file. An unknown setting or an impossible value is an error: nothing is ignored.\n\
         `sluice serve --print-config` prints what would be used, as a file to start from. `SLUICE_LOG` chooses what is logged\n\
         (default `info`; for example `debug`, or `info,sluice_broker::log=debug`).\n\n\
         ## Settings of the broker\n\n\
         A key with a dot stands in a section: `http.listen` is `listen` under `[http]`. Lists are separated by commas in the\n\
         environment.\n\n\
         | key | environment | flag | value | default | meaning |\n|---|---|---|---|---|---|\n",
    );
    let defaults = defaults();
    for setting in SETTINGS {
        let flag = setting.flag.map_or(String::new(), |flag| format!("`{flag}`"));
        let default = setting.default(&defaults).map_or("unset".to_owned(), |value| format!("`{value}`"));
        let (env, kind) = (setting.env(), setting.kind.describe());
        let _ = writeln!(text, "| `{}` | `{env}` | {flag} | {kind} | {default} | {} |", setting.key, setting.doc);
    }
    text.push_str(
        "\n## Configs of topics\n\n\
         Set when a topic is made, or later by any Kafka admin tool or `PATCH /topics/{topic}/configs`. These are all keys of\n\
         Kafka 4.4 and those of this broker. A key of Kafka's that is not in force yet takes its default only: any other value is\n\
         refused with 'not supported yet'.\n\n\
         | key | default | meaning |\n|---|---|---|\n",
    );
    for entry in TopicConfigs::default().describe() {
        let default = if entry.default.is_empty() { String::new() } else { format!("`{}`", entry.default) };
        let _ = writeln!(text, "| `{}` | {default} | {} |", entry.key, entry.doc);
    }
    text.push_str(
        "| `sluice.plugin.config.<plugin>` | `{}` | The plugin's configuration, a JSON object that it is given when it is bound. |\n\
         | `sluice.plugin.failure.<plugin>` | `reject` | What happens to records on which the plugin fails. |\n",
    );
    text
}

fn wrap(text: &mut String, sentence: &str) {
    let mut line = String::from("#");
    for word in sentence.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::ServeArgs;

    #[test]
    fn the_reference_page_is_current() {
        let kept = include_str!("../../docs/configuration.md");
        assert!(kept == as_markdown(), "run: sluice serve --print-config=markdown > docs/configuration.md");
    }

    #[test]
    fn the_printed_file_says_the_same_when_it_is_read_back() {
        let env = [("SLUICE_NODE_ID", "9"), ("SLUICE_HTTP", "[::1]:1,localhost:2")];
        let env: Vec<_> = env.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let first = Settings::read(&ServeArgs::default(), env).unwrap();
        let printed = as_toml(&first);
        assert!(printed.contains("# From SLUICE_NODE_ID. Default: 1\nnode_id = 9\n"), "{printed}");

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sluice.toml");
        std::fs::write(&path, &printed).unwrap();
        let args = ServeArgs { config: Some(path), ..ServeArgs::default() };
        let second = Settings::read(&args, Vec::new()).unwrap();
        for setting in SETTINGS {
            let value = |settings: &Settings| settings.get(setting).map(|(value, _)| value.clone());
            assert_eq!(value(&first), value(&second), "{}", setting.key);
        }
    }
}
