//! Docker: its daemon asks everything through the proxy.
//!
//! Docker has no other way to lead pulls from any registry through a mirror. What is asked over HTTPS travels through a
//! tunnel, so the peer sees it only if its proxy has a CA that Docker trusts (`proxy.server.caCert`).

use super::config::{Config, Docker};
use super::json::with_member;
use super::plan::{Change, Error, Runtime, change, read};
use serde_json::Value;

pub(super) fn plan(config: &Config, docker: &Docker) -> Result<Option<Change>, Error> {
    let path = &docker.config_path;
    let before = read(path)?;
    let text = before.clone().filter(|text| !text.trim().is_empty());
    let after = edit(text.as_deref().unwrap_or("{}\n"), &config.proxy).map_err(|what| Error::content(path, what))?;
    Ok(change(path, before, after, Some(Runtime::Docker)))
}

fn edit(text: &str, proxy: &str) -> Result<String, String> {
    let mut text = text.to_owned();
    for key in ["http-proxy", "https-proxy"] {
        let parsed: Value = serde_json::from_str(&text).map_err(|error| format!("it is no JSON: {error}"))?;
        match parsed.get("proxies").and_then(|proxies| proxies.get(key)) {
            Some(Value::String(known)) if known == proxy => {}
            Some(known) => {
                return Err(format!(
                    "its proxies.{key} is {known}; two proxies can't be asked, so remove that one or leave Docker out"
                ));
            }
            None => {
                let value = Value::from(proxy).to_string();
                let added = with_member(&text, &["proxies"], key, &value);
                text = added.ok_or("it is no JSON object, or its proxies are none")?;
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "http://127.0.0.1:4001";

    #[test]
    fn both_proxies_are_set_and_everything_else_stays() {
        let before = "{\n  \"registry-mirrors\": [\"https://mirror.lab\"],\n  \"proxies\": {\n    \"no-proxy\": \"lab\"\n  }\n}\n";
        let after = edit(before, PROXY).unwrap();
        let value: Value = serde_json::from_str(&after).unwrap();
        assert_eq!(value["proxies"]["http-proxy"], PROXY);
        assert_eq!(value["proxies"]["https-proxy"], PROXY);
        assert_eq!(value["proxies"]["no-proxy"], "lab");
        assert_eq!(value["registry-mirrors"][0], "https://mirror.lab");
        assert_eq!(edit(&after, PROXY).unwrap(), after);
    }

    #[test]
    fn another_proxy_is_not_replaced() {
        let error = edit("{\"proxies\": {\"https-proxy\": \"http://corp:3128\"}}", PROXY).unwrap_err();
        assert!(error.contains("http://corp:3128"), "{error}");
        assert!(edit("no json", PROXY).is_err());
    }
}
