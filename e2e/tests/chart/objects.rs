//! What a chart renders, as Kubernetes would read it.

use std::collections::BTreeMap;

use serde_json::Value;

/// All objects of a release.
#[derive(Clone, Debug)]
pub(crate) struct Objects(Vec<Value>);

/// A workload, and how its pods are called.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) replicas: u64,
    /// `spec.template`
    pub(crate) pod: Value,
}

impl Objects {
    pub(crate) fn read(text: &str) -> Self {
        let documents = text.split("\n---\n").filter(|document| {
            let mut lines = document.lines().filter(|line| *line != "---");
            lines.any(|line| !line.trim().is_empty() && !line.starts_with('#'))
        });
        Self(
            documents
                .map(|document| serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error}\n{document}")))
                .collect(),
        )
    }

    /// The objects of a kind, by name.
    pub(crate) fn of(&self, kind: &str) -> BTreeMap<&str, &Value> {
        let of_kind = self.0.iter().filter(|object| object["kind"] == kind);
        of_kind
            .map(|object| (object["metadata"]["name"].as_str().unwrap(), object))
            .collect()
    }

    pub(crate) fn workloads(&self) -> Vec<Workload> {
        let workload = |object: &Value| {
            let kind = object["kind"].as_str()?;
            ["Deployment", "StatefulSet", "DaemonSet"]
                .contains(&kind)
                .then(|| Workload {
                    name: object["metadata"]["name"].as_str().unwrap().to_owned(),
                    kind: kind.to_owned(),
                    replicas: object["spec"]["replicas"].as_u64().unwrap_or(1),
                    pod: object["spec"]["template"].clone(),
                })
        };
        self.0.iter().filter_map(workload).collect()
    }

    /// The pods that a selector finds.
    pub(crate) fn selected(&self, selector: &BTreeMap<String, String>) -> Vec<Workload> {
        let mut workloads = self.workloads();
        workloads.retain(|workload| {
            let labels = &workload.pod["metadata"]["labels"];
            selector.iter().all(|(key, value)| labels[key] == value.as_str())
        });
        workloads
    }

    /// The file that a ConfigMap or Secret holds for a program.
    pub(crate) fn file(&self, object: &str, file: &str) -> Option<String> {
        ["ConfigMap", "Secret"].iter().find_map(|kind| {
            let held = *self.of(kind).get(object)?;
            let text = held["data"][file]
                .as_str()
                .or_else(|| held["stringData"][file].as_str())?;
            Some(text.to_owned())
        })
    }
}

impl Workload {
    /// The names of its pods; what Kubernetes makes up is `*`.
    pub(crate) fn pods(&self) -> Vec<String> {
        match self.kind.as_str() {
            "StatefulSet" => (0..self.replicas).map(|n| format!("{}-{n}", self.name)).collect(),
            "Deployment" => vec![format!("{}-*-*", self.name); usize::try_from(self.replicas).unwrap()],
            _ => vec![format!("{}-*", self.name)],
        }
    }

    pub(crate) fn container(&self) -> &Value {
        &self.pod["spec"]["containers"][0]
    }
}
