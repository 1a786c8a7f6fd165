//! Manifests and indexes, of OCI and of Docker, as far as they say which blobs an image is made of.

use super::Platform;
use dragonfly_model::Digest;
use serde::Deserialize;
use std::collections::HashSet;

/// The types of manifests that are understood, for `Accept`.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// More layers than this has no image.
const MAX_LAYERS: usize = 1024;
/// More entries than this has no index.
const MAX_ENTRIES: usize = 4096;

/// What an image is made of, each blob once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// The manifests that lead to the blobs: an index, if there is one, and then the manifest.
    pub manifests: Vec<Descriptor>,
    /// The configuration.
    pub config: Option<Descriptor>,
    /// The layers that its registry has, in their order.
    pub layers: Vec<Descriptor>,
}

impl Image {
    /// Configuration and layers: all that is fetched as blobs.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers)
    }
}

/// A content in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Its media type.
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// A manifest of an index.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) platform: Option<Platform>,
    pub(super) digest: Digest,
}

/// What a manifest says.
#[derive(Debug)]
pub(super) enum Document {
    Index(Vec<Entry>),
    Manifest {
        config: Option<Descriptor>,
        layers: Vec<Descriptor>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    media_type: Option<String>,
    manifests: Option<Vec<RawDescriptor>>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<RawPlatform>,
    #[serde(default)]
    urls: Vec<String>,
}

#[derive(Deserialize)]
struct RawPlatform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// What a document says, and its media type: its own word, else that of the answer it came in.
pub(super) fn read(bytes: &[u8], content_type: Option<&str>) -> Result<(String, Document), String> {
    let raw: Raw = serde_json::from_slice(bytes).map_err(|error| format!("it is no manifest ({error})"))?;
    let named = content_type.map(|text| text.split(';').next().unwrap_or_default().trim().to_owned());
    let media_type = raw.media_type.or(named).unwrap_or_default();
    let document = match (raw.manifests, raw.layers) {
        (Some(entries), _) => index(entries)?,
        (None, Some(layers)) => manifest(raw.config, layers)?,
        (None, None) if raw.fs_layers.is_some() => {
            return Err("it has Docker's first schema, which names no sizes; push the image anew".to_owned());
        }
        (None, None) => {
            return Err(format!(
                "it has neither layers nor manifests (its type is {media_type:?})"
            ));
        }
    };
    Ok((media_type, document))
}

fn index(entries: Vec<RawDescriptor>) -> Result<Document, String> {
    if entries.len() > MAX_ENTRIES {
        return Err(format!("it is an index of {} manifests", entries.len()));
    }
    let entries = entries.into_iter().map(|raw| {
        Ok(Entry {
            digest: digest(&raw.digest)?,
            platform: raw
                .platform
                .map(|platform| Platform::new(platform.os, platform.architecture, platform.variant)),
        })
    });
    Ok(Document::Index(entries.collect::<Result<_, String>>()?))
}

fn manifest(config: Option<RawDescriptor>, layers: Vec<RawDescriptor>) -> Result<Document, String> {
    if layers.len() > MAX_LAYERS {
        return Err(format!("it has {} layers", layers.len()));
    }
    let config = config.map(descriptor).transpose()?;
    let mut seen: HashSet<Digest> = config.iter().map(|config| config.digest.clone()).collect();
    let mut unique = Vec::with_capacity(layers.len());
    // A layer that only other places have is not the registry's to give.
    for raw in layers.into_iter().filter(|raw| raw.urls.is_empty()) {
        let layer = descriptor(raw)?;
        if seen.insert(layer.digest.clone()) {
            unique.push(layer);
        }
    }
    Ok(Document::Manifest { config, layers: unique })
}

fn descriptor(raw: RawDescriptor) -> Result<Descriptor, String> {
    Ok(Descriptor {
        digest: digest(&raw.digest)?,
        media_type: raw.media_type,
        size: raw.size,
    })
}

fn digest(text: &str) -> Result<Digest, String> {
    let digest: Digest = text.parse().map_err(|error| format!("{error}"))?;
    if !digest.algorithm().is_cryptographic() {
        return Err(format!("{digest} names no blob; only sha256 and sha512 do"));
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn hex(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    fn parsed(document: &Value) -> Result<(String, Document), String> {
        read(
            document.to_string().as_bytes(),
            Some("application/from-header; charset=utf-8"),
        )
    }

    #[test]
    fn a_manifest_names_each_blob_of_its_registry_once() {
        let blob = |digit, size: u64| json!({"mediaType": "t", "digest": hex(digit), "size": size});
        let mut foreign = blob('9', 9);
        foreign["urls"] = json!(["https://elsewhere.example/layer"]);
        let document = json!({"schemaVersion": 2, "config": blob('1', 1), "layers": [blob('2', 2), foreign, blob('3', 3), blob('2', 2)]});
        let (media_type, Document::Manifest { config, layers }) = parsed(&document).unwrap() else {
            panic!("it is a manifest");
        };
        assert_eq!(media_type, "application/from-header");
        let image = Image {
            manifests: Vec::new(),
            config,
            layers,
        };
        let sizes: Vec<u64> = image.blobs().map(|blob| blob.size).collect();
        assert_eq!(sizes, [1, 2, 3]);
    }

    #[test]
    fn what_is_no_manifest_is_said() {
        let crc = json!({"layers": [{"digest": "crc32:00000001", "size": 1}]});
        let short = json!({"layers": [{"digest": "sha256:12", "size": 1}]});
        let old = json!({"schemaVersion": 1, "fsLayers": []});
        for (document, word) in [
            (crc, "names no blob"),
            (short, "hex digits"),
            (old, "first schema"),
            (json!({}), "neither"),
            (json!([]), "no manifest"),
        ] {
            let error = parsed(&document).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        let huge = json!({"layers": vec![json!({"digest": hex('1'), "size": 1}); MAX_LAYERS + 1]});
        assert!(parsed(&huge).is_err());
    }
}
