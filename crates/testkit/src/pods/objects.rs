//! What a chart renders, as Kubernetes would read it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Labels, or a selector of them.
pub type Labels = BTreeMap<String, String>;

/// All objects of a release.
#[derive(Clone, Debug)]
pub struct Objects(Vec<Value>);

/// A workload, and how its pods are called.
#[derive(Clone, Debug)]
pub struct Workload {
    /// `metadata.name`
    pub name: String,
    /// Deployment, `StatefulSet` or `DaemonSet`.
    pub kind: String,
    /// How many pods it has, unless it has one on each node.
    pub replicas: u64,
    /// `spec.template`
    pub pod: Value,
    /// The volumes that each of its pods claims for itself.
    pub claims: Vec<String>,
    /// The moment at which Helm makes it, if that isn't the installation: `pre-delete`, for instance.
    pub hook: Option<String>,
}

impl Objects {
    /// Reads a stream of YAML documents.
    ///
    /// # Errors
    /// When one is no YAML or no object.
    pub fn read(text: &str) -> Result<Self> {
        let documents = text.split("\n---\n").filter(|document| {
            let mut lines = document.lines().filter(|line| *line != "---");
            lines.any(|line| !line.trim().is_empty() && !line.starts_with('#'))
        });
        let read = |document: &str| -> Result<Value> {
            let object: Value = serde_saphyr::from_str(document).with_context(|| document.to_owned())?;
            let named = object["kind"].is_string() && object["metadata"]["name"].is_string();
            named
                .then_some(object)
                .with_context(|| format!("no object of Kubernetes: {document}"))
        };
        documents.map(read).collect::<Result<_>>().map(Self)
    }

    /// These and more.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// The objects of a kind, by name.
    #[must_use]
    pub fn of(&self, kind: &str) -> BTreeMap<&str, &Value> {
        let of_kind = self.0.iter().filter(|object| object["kind"] == kind);
        of_kind.map(|object| (name(object), object)).collect()
    }

    /// What makes pods.
    #[must_use]
    pub fn workloads(&self) -> Vec<Workload> {
        let workload = |object: &Value| {
            let kind = object["kind"].as_str()?;
            let claims = object["spec"]["volumeClaimTemplates"].as_array();
            ["Deployment", "StatefulSet", "DaemonSet"]
                .contains(&kind)
                .then(|| Workload {
                    name: name(object).to_owned(),
                    kind: kind.to_owned(),
                    replicas: object["spec"]["replicas"].as_u64().unwrap_or(1),
                    pod: object["spec"]["template"].clone(),
                    hook: object["metadata"]["annotations"]["helm.sh/hook"]
                        .as_str()
                        .map(str::to_owned),
                    claims: claims
                        .into_iter()
                        .flatten()
                        .map(|claim| name(claim).to_owned())
                        .collect(),
                })
        };
        self.0.iter().filter_map(workload).collect()
    }

    /// The workloads whose pods a selector finds.
    #[must_use]
    pub fn selected(&self, selector: &Labels) -> Vec<Workload> {
        let mut workloads = self.workloads();
        workloads.retain(|workload| workload.is_selected(selector));
        workloads
    }

    /// The files of a `ConfigMap` or Secret.
    #[must_use]
    pub fn files(&self, kind: &str, name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        let held = *self.of(kind).get(name)?;
        let entries = |key: &str| held[key].as_object().into_iter().flatten().collect::<Vec<_>>();
        let plain = |text: &str| Some(text.as_bytes().to_vec());
        let encoded = |text: &str| STANDARD.decode(text).ok();
        let data = entries("data").into_iter().map(|(file, value)| {
            let text = value.as_str()?;
            let bytes = if kind == "Secret" { encoded(text) } else { plain(text) };
            Some((file.clone(), bytes?))
        });
        let more = entries("stringData")
            .into_iter()
            .map(|(file, value)| Some((file.clone(), plain(value.as_str()?)?)));
        data.chain(more).collect()
    }

    /// The file that a `ConfigMap` or Secret holds for a program.
    #[must_use]
    pub fn file(&self, object: &str, file: &str) -> Option<String> {
        ["ConfigMap", "Secret"]
            .iter()
            .find_map(|kind| String::from_utf8(self.files(kind, object)?.remove(file)?).ok())
    }
}

impl Workload {
    /// The names of its pods; what Kubernetes makes up is `*`.
    #[must_use]
    pub fn pods(&self) -> Vec<String> {
        match self.kind.as_str() {
            "StatefulSet" => (0..self.replicas).map(|n| format!("{}-{n}", self.name)).collect(),
            "Deployment" => (0..self.replicas).map(|_| format!("{}-*-*", self.name)).collect(),
            _ => vec![format!("{}-*", self.name)],
        }
    }

    /// Its pods' labels.
    #[must_use]
    pub fn labels(&self) -> Labels {
        let labels = self.pod["metadata"]["labels"].as_object().into_iter().flatten();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        labels
            .filter_map(|(key, value)| Some((key.clone(), text(value)?)))
            .collect()
    }

    /// Whether a selector finds its pods.
    #[must_use]
    pub fn is_selected(&self, selector: &Labels) -> bool {
        finds(selector, &self.labels())
    }

    /// Its pods' first container.
    #[must_use]
    pub fn container(&self) -> &Value {
        &self.pod["spec"]["containers"][0]
    }
}

/// Whether what bears these labels is found by a selector.
pub(super) fn finds(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// [`Objects::read`] has seen that there is one.
fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}
